"""Ground, axis and scale with a real mouse, on a result whose truth is known; then Scene Ready and a test object.

The result has the sample's true cameras and points of its true depth, in metres with z up: what Blender has after the
clicks is compared with that.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.sample_photos import SAMPLE
from threer_blender import bundle
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction

from . import window as real
from .artist import Artist

FOLDER = SAMPLE[0].parents[1]
CLOTH = 0.006  # m: the height of the cloth's surface in the sample's world
STEP = 2  # of the depth pictures' pixels
# Places on the cloth, in the sample's world.
GROUND = [(-0.24, -0.152, CLOTH), (-0.26, 0.187, CLOTH), (-0.01, -0.3, CLOTH)]
LINE = [(-0.29, -0.301, CLOTH), (-0.013, -0.301, CLOTH)]
VIEWPORT, DIALOG = (0, 55, 1316, 820), (8, 200, 506, 620)  # parts of the screen for the documents
ROOT = "next(o for o in bpy.data.objects if o.get('threer_role') == 'root')"
READY = "[o for o in bpy.data.objects if o.get('threer_role') == 'ground']"
TILT = f"""
from mathutils import Matrix
root = {ROOT}
root.matrix_world = Matrix.Rotation(0.45, 4, (1, 0.4, 0.2)) @ Matrix.Scale(2.2, 4) @ root.matrix_world
bpy.context.view_layer.update()
bpy.ops.ed.undo_push(message="tilted")
"""
VIEW = f"""
window, area, regions = viewport()
space = area.spaces.active
space.shading.type = "MATERIAL"
space.region_3d.view_perspective = "{{0}}"
space.region_3d.view_camera_zoom = 10
space.region_3d.view_location = {ROOT}.matrix_world.translation
space.region_3d.view_distance = 1.1 * {ROOT}.matrix_world.median_scale
"""
INVOKE = """
window, area, regions = viewport()
with bpy.context.temp_override(window=window, area=area, region=regions["WINDOW"]):
    bpy.ops.threer.{0}("INVOKE_DEFAULT")
"""
PLACE = f"""
from bpy_extras.view3d_utils import location_3d_to_region_2d as project
from mathutils import Vector
window, area, regions = viewport()
region, view = regions["WINDOW"], area.spaces.active.region_3d
at = project(region, view, {ROOT}.matrix_world @ Vector({{0}}))
print(round(region.x + at.x), round({real.SIZE[1]} - region.y - at.y))
"""
MATRIX = f"bpy.context.view_layer.update(); print([list(row) for row in {ROOT}.matrix_world])"


def solved(folder: Path) -> Reconstruction:
    """The sample's truth as a result of the photos in `folder`."""
    truth = {camera["photo"]: camera for camera in json.loads((FOLDER / "truth.json").read_text())["cameras"]}
    photos, cameras, parts = [], [], []
    for index, path in enumerate(sorted(folder.glob("*.jpg"))):
        entry = truth[path.name]
        width, height = entry["width"], entry["height"]
        photos.append(Photo(path.name, str(path), width, height, f"{index:064x}"))
        lens = Distortion(entry["distortion"]["model"], tuple(entry["distortion"]["params"]))
        pose = np.array(entry["world_from_camera"])
        fx, fy, cx, cy = (float(entry[name]) for name in ("fx", "fy", "cx", "cy"))
        camera = Camera(path.name, width, height, fx, fy, cx, cy, pose, lens)
        cameras.append(camera)
        with Image.open(FOLDER / entry["depth"]) as image:
            depth = np.asarray(image, np.float64)[::STEP, ::STEP] * 0.0005  # m: the numbers are half millimetres
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB").resize((width, height)))
        rows, columns = np.nonzero(depth > 0)
        full = np.array((width / depth.shape[1], height / depth.shape[0]))
        pixels = (np.stack([columns, rows], -1) + 0.5 / STEP) * full
        local = camera.rays(pixels) * depth[rows, columns][:, None]
        points = local @ pose[:3, :3].T + pose[:3, 3]
        x, y = pixels.astype(int).T
        parts.append((points, picture[y.clip(0, height - 1), x.clip(0, width - 1)], np.full(len(points), index)))
    positions, colors, owner = (np.concatenate(each) for each in zip(*parts, strict=True))
    count = len(positions)
    up = np.tile(np.array((0, 0, 1), np.float32), (count, 1))
    cloud = PointCloud(positions.astype(np.float32), up, colors, np.ones(count, np.float32), owner.astype(np.int32))
    return Reconstruction("colmap", "BSD-3-Clause", photos, cameras, cloud=cloud)


def test_ground_axis_and_scale_in_three_clicks(artist: Artist) -> None:
    window = artist.window
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])")
    bundle.write(solved(window.shared / "photos"), window.shared / "result")
    window.ask(f"bpy.ops.threer.import_result(directory='{real.SHARED}/result')")
    window.ask(TILT)
    tilted = matrix(artist)
    artist.open_tab()

    window.ask(INVOKE.format("look_through"))
    window.ask(VIEW.format("CAMERA"))
    artist.keep("20 tipped")
    click_points(artist, "ground", GROUND, "21 ground")
    artist.publish("21 ground", "ground.jpg", VIEWPORT)
    up, height = standing(artist, (0, 0, 1)), standing(artist, GROUND[0], 1)[2]
    assert np.degrees(np.arccos(up[2])) < 1.5, up
    assert abs(height) < 0.01 * 2.2

    window.ask(VIEW.format("PERSP"))
    click_points(artist, "axis", LINE, "22 axis")
    artist.publish("22 axis", "axis.jpg", VIEWPORT)
    along = standing(artist, (1, 0, 0))
    assert min(np.degrees(np.arccos(abs(along[:2])))) < 2.5, along

    click_points(artist, "scale", LINE, "23 scale")
    for letter in "0.277":
        window.key("period" if letter == "." else letter)
    artist.keep("23 scale typed")
    artist.publish("23 scale typed", "scale.jpg", VIEWPORT)
    window.key("Return")
    artist.until(f"abs({ROOT}.matrix_world.median_scale - 1) < 0.03", 30)
    artist.keep("24 upright and to scale")
    aligned = matrix(artist)

    window.hover(300, 250)
    window.ask(INVOKE.format("scene_ready"))
    artist.keep("25 scene ready")
    artist.publish("25 scene ready", "scene_ready.jpg", DIALOG)
    assert not artist.is_true(READY)
    window.key("Return")
    artist.until(READY, 60)
    artist.keep("26 ready")
    for steps, expected in ((1, aligned), (3, tilted)):  # each is one step
        for _ in range(steps):
            window.hover(600, 700)
            window.key("ctrl+z")
            window.ask("", 300)  # once Blender has taken it: it forgets keys that come while it is busy
        assert not artist.is_true(READY)
        assert np.allclose(matrix(artist), expected, atol=1e-5)


def click_points(artist: Artist, tool: str, points: Any, what: str) -> None:
    """Starts a tool and clicks where points of the result are on the screen; keeps a picture before the last click."""
    window = artist.window
    window.hover(600, 500)
    window.ask(INVOKE.format(tool))
    for number, point in enumerate(points, start=1):
        x, y = map(int, window.ask(PLACE.format(tuple(point))).split())
        if number == len(points):
            artist.keep(what)
        window.click(x, y)
        window.ask("")


def matrix(artist: Artist) -> Any:
    return np.array(json.loads(artist.window.ask(MATRIX)))


def standing(artist: Artist, vector: Any, is_point: int = 0) -> Any:
    """Where a point of the sample's world stands, or where a direction of it points."""
    in_blender = (matrix(artist) @ (*vector, is_point))[:3]
    return in_blender if is_point else in_blender / np.linalg.norm(in_blender)
