"""A shot's tools by mouse and keys in a real window: brush, plate line, survey mark, mending, smoothing, rendering.

The shot has its true cameras and tracks, so nothing is solved.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.blender.filmed import COUNT, SIZE, filmed, frames
from threer_blender import bundle
from threer_blender.model.reconstruction import TrackedPoints

from . import window as real
from .artist import Artist

# Places on the floor of the small world, y down: of a stroke, and both ends of an edge of its chequers.
STROKE = [(-1.5, 0.0, 0.3), (-0.2, 0.0, -1.5), (1.4, 0.0, -0.3)]
EDGE = [(-1.5, 0.0, 1.0), (1.5, 0.0, 1.0)]
TRACKED = [(-0.4, 0.0, -1.2), (-1.4, 0.0, 0.6), (1.0, 0.0, 0.4), (0.0, -1.0, -0.632)]
WORST = 3.0  # px, of the last track
CAMERA = "next(o for o in bpy.data.objects if o.get('threer_frames'))"
ROOT = "next(o for o in bpy.data.objects if o.get('threer_role') == 'root')"
TRACKS = "next(o for o in bpy.data.objects if str(o.get('threer_role')).startswith('tracks'))"
PATH = f"""
camera, scene, places = {CAMERA}, bpy.context.scene, []
for number in range(1, {COUNT + 1}):
    scene.frame_set(number)
    places.append([round(x, 5) for x in camera.matrix_world.translation])
scene.frame_set(1)
print(places)
"""
INVOKE = """
window, area, regions = viewport()
with bpy.context.temp_override(window=window, area=area, region=regions["WINDOW"]):
    bpy.ops.threer.{0}("INVOKE_DEFAULT", {1})
"""
TILT = f"""
from mathutils import Matrix
root = {ROOT}
root.matrix_world = Matrix.Rotation(0.3, 4, (1, 0.4, 0.2)) @ root.matrix_world
bpy.context.view_layer.update()
bpy.ops.ed.undo_push(message="tilted")
"""
MATRIX = f"bpy.context.view_layer.update(); print([list(row) for row in {ROOT}.matrix_world])"
PICTURE = f"""
from bpy_extras.view3d_utils import location_3d_to_region_2d as project
window, area, regions = viewport()
region, view, camera = regions["WINDOW"], area.spaces.active.region_3d, bpy.context.scene.camera
corners = camera.data.view_frame(scene=bpy.context.scene)
places = [project(region, view, camera.matrix_world.normalized() @ corner) for corner in corners]
x, y = [region.x + place.x for place in places], [{real.SIZE[1]} - region.y - place.y for place in places]
print([min(x), min(y), max(x), max(y)])
"""
RENDERS = "bpy.app.is_job_running('RENDER')"
COLORS = f"""
image = bpy.data.images.load("{real.SHARED}/result_comp/comp.0001.exr")
print([[image.pixels[4 * (x + ({SIZE[1]} - 1 - y) * {SIZE[0]}) + i] for i in range(3)] for x, y in {{}}])
"""


def true_shot(folder: Path) -> Any:
    """The result of a film of the small world in `folder`, as the window sees its files, with true tracks."""
    result = filmed(folder)
    path, solved = f"{real.SHARED}/filmed/clip.mp4", frames()
    rows = [(index, number) for index in range(len(TRACKED)) for number in solved]
    pixels = np.array([solved[number].project(np.array(TRACKED[index])) for index, number in rows], np.float32)
    point, number = np.array(rows, np.int32).T
    errors = np.full(len(TRACKED), 0.1, np.float32)
    errors[-1] = WORST
    ones = np.ones(len(TRACKED), np.float32)
    tracks = TrackedPoints(point, number, pixels, np.array(TRACKED, np.float32), errors, ones)
    shaken = solved[4].world_from_camera + 0.1 * np.eye(4)[:, 1:2] * np.eye(4)[3]  # 0.1 along y: smoothing takes it out
    solved[4] = replace(solved[4], world_from_camera=shaken)
    shots = [replace(shot, path=path, tracks=tracks, cameras=solved) for shot in result.shots]
    return replace(result, photos=[replace(photo, path=path) for photo in result.photos], shots=shots)


@pytest.fixture
def filming(artist: Artist) -> Artist:
    """The artist, who looks through the camera of the first frame."""
    window = artist.window
    window.ask("bpy.data.objects.remove(bpy.data.objects['Cube'])")
    bundle.write(true_shot(window.shared), window.shared / "result")
    window.ask(f"bpy.ops.threer.import_result(directory='{real.SHARED}/result')")
    artist.open_tab()
    window.ask(INVOKE.format("look_through", ""))
    artist.until(f"bpy.context.scene.camera == {CAMERA}", 30)
    return artist


def test_a_shot_by_hand(filming: Artist) -> None:
    window = filming.window
    window.ask(TILT)
    for step in (brush_the_ground, draw_on_the_plate, mark_a_survey_point, leave_a_track_out, smooth_and_undo, render):
        step(filming)


def brush_the_ground(artist: Artist) -> None:
    artist.window.hover(600, 500)
    artist.window.ask(INVOKE.format("ground", ""))
    artist.window.drag(*(on_screen(artist, place) for place in STROKE), button=1)
    artist.keep("40 brushed")
    up = standing(artist, (0, -1, 0))
    assert np.degrees(np.arccos(up[2])) < 1.5, up


def draw_on_the_plate(artist: Artist) -> None:
    """Both ends of an edge of the floor's chequers are clicked; the result need not have points there."""
    artist.window.ask(INVOKE.format("axis", "on_plate=True"))
    for place in EDGE:
        artist.window.click(*on_screen(artist, place))
        artist.window.ask("")  # lets Blender take the click before the next one
    artist.keep("41 drawn on the plate")
    along = standing(artist, (1, 0, 0))
    assert min(np.degrees(np.arccos(np.abs(along[:2]).clip(0, 1)))) < 1.0, along


def mark_a_survey_point(artist: Artist) -> None:
    artist.window.ask("bpy.ops.object.empty_add(); bpy.context.object.name = 'nail'")
    artist.window.ask(INVOKE.format("mark_survey", ""))
    x, y = on_screen(artist, TRACKED[0])
    artist.window.click(x, y)
    artist.until("part('scene.survey_marks').of(bpy.data.objects['nail'])", 20)
    marks = (
        "(mark,) = part('scene.survey_marks').of(bpy.data.objects['nail']); print([int(mark.photo), mark.u, mark.v])"
    )
    number, u, v = json.loads(artist.window.ask(marks))
    assert number == 1
    assert np.hypot(*(frames()[1].project(np.array(TRACKED[0])) - (u, v))) < 1.0


def leave_a_track_out(artist: Artist) -> None:
    """The worst track by its button, another one by a click on it."""
    window = artist.window
    window.ask("bpy.ops.object.select_all(action='DESELECT'); bpy.ops.threer.show_tracks()")
    window.ask(INVOKE.format("select_worst_tracks", ""))
    assert artist.is_true("bpy.context.mode == 'EDIT_MESH'")
    window.ask(INVOKE.format("weigh_tracks", "weight=0.0"))
    assert excluded(artist) == [len(TRACKED) - 1]
    window.click(*on_screen(artist, TRACKED[0]))
    artist.keep("42 a track selected")
    window.ask(INVOKE.format("weigh_tracks", "weight=0.0"))
    assert excluded(artist) == [0, len(TRACKED) - 1]
    window.ask("bpy.ops.object.mode_set(mode='OBJECT'); bpy.ops.ed.undo_push()")


def smooth_and_undo(artist: Artist) -> None:
    """The dialog smooths the camera, and one undo takes that back."""
    window = artist.window
    before = window.ask(PATH)
    window.hover(500, 300)
    window.ask(INVOKE.format("smooth_camera", ""))
    artist.keep("43 smooth")
    window.key("Return")
    artist.until(f"part('scene.shots').smoothing_width({CAMERA})", 30)
    smooth = window.ask(PATH)
    assert smooth != before
    window.hover(600, 700)
    window.key("ctrl+z")
    artist.until(f"not part('scene.shots').smoothing_width({CAMERA})", 30)
    assert np.allclose(json.loads(window.ask(PATH)), json.loads(before), atol=1e-4)


def render(artist: Artist) -> None:
    """F12 renders one frame, and Ctrl F12 all of them, with a cube on the ground over the plate."""
    window = artist.window
    comp = window.shared / "result_comp"
    window.ask("bpy.ops.threer.scene_ready(); bpy.context.scene.cycles.samples = 4")
    middle = np.array(TRACKED[0]) + (0, -0.1, 0)
    x, y, z = (matrix(artist) @ (*middle, 1))[:3]
    side = 0.2 * np.linalg.norm(matrix(artist)[:3, 0])
    window.ask(f"bpy.ops.mesh.primitive_cube_add(size={side}, location=({x}, {y}, {z}))")
    for keys, last in (("F12", 1), ("ctrl+F12", COUNT)):
        window.hover(600, 300)
        window.key(keys)
        window.wait((comp / f"comp.{last:04d}.exr").exists, 300)
        artist.until(f"not {RENDERS}", 300)
        window.picture(artist.pictures / f"{artist.name} 44 {keys}.png")
        assert len(list(comp.iterdir())) == last
        window.key("Escape")
    cube, floor = frames()[1].project(np.array([middle, (1.0, 0.0, -0.8)])).astype(int).tolist()
    white, chequer = np.array(json.loads(window.ask(COLORS.format([cube, floor]))))
    assert white.min() > 0.25
    assert chequer[0] > 1.5 * chequer[2]  # the plate's orange


def on_screen(artist: Artist, place: Any) -> tuple[int, int]:
    """The pixel of the screen at which the first frame shows a place of the small world."""
    left, top, right, bottom = json.loads(artist.window.ask(PICTURE))
    u, v = frames()[1].project(np.array(place)) / SIZE
    return round(left + u * (right - left)), round(top + v * (bottom - top))


def excluded(artist: Artist) -> Any:
    """The numbers of the tracks that are left out."""
    weights = f"""
obj, edits = {TRACKS}, bpy.context.mode == "EDIT_MESH"
if edits:
    obj.update_from_editmode()
with part("scene.tracks").in_object_mode(obj):
    print([i for i, each in enumerate(obj.data.attributes["weight"].data) if each.value == 0])
"""
    return json.loads(artist.window.ask(weights))


def matrix(artist: Artist) -> Any:
    return np.array(json.loads(artist.window.ask(MATRIX)))


def standing(artist: Artist, direction: Any) -> Any:
    """Where a direction of the small world points in Blender."""
    there = matrix(artist)[:3, :3] @ direction
    return there / np.linalg.norm(there)
