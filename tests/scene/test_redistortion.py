"""CG over the plate: a grid of small lights is rendered with overscan, distorted by the compositor, and measured."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.world import camera, reconstruct
from tests.scene.test_shots import moving
from threer_blender.files import exr_file
from threer_blender.lenses import export
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, Shot
from threer_blender.scene import build, redistortion

SIZE = (240, 160)
PATTERN = "plate.####.exr"
BARREL = Distortion("OPENCV", (-0.2, 0.04, 2e-3, -1e-3))
DEPTH = 6.0


def filmed(tmp_path: Path, cameras: dict[int, Camera], plate_size: Any = None) -> Any:
    """A shot of grey frames, and its lens exported."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for number in cameras:
        grey = np.full((SIZE[1], SIZE[0], 3), 0.25, np.float32)
        exr_file.write(folder / PATTERN.replace("####", str(number)), grey)
    first = next(iter(cameras.values()))
    size = first.width, first.height
    photo = Photo(first.photo, str(folder / PATTERN), *size, sha256=f"{1:064x}", frame=min(cameras))
    shot = Shot(
        PATTERN, photo.path, Fraction(24), len(cameras), cameras, first_frame=min(cameras), plate_size=plate_size
    )
    result = reconstruct([photo], [first], step=8, shots=[shot])
    export.write(result, tmp_path / "lens")
    root = build.build(result, tmp_path)
    return root, shot, photo


def lights(solved: Any, root: Any) -> Any:
    """Small white squares before the camera, at a grid of the plate's pixels; their places in the plate."""
    x, y = np.meshgrid(np.linspace(12, SIZE[0] - 12, 9), np.linspace(12, SIZE[1] - 12, 7))
    pixels = np.stack([x, y], axis=-1).reshape(-1, 2)
    local = solved.rays(pixels) * DEPTH
    half = 1.2 * DEPTH / solved.fy
    corners = local[:, None] + half * np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)])
    world = corners.reshape(-1, 3) @ solved.world_from_camera[:3, :3].T + solved.world_from_camera[:3, 3]
    mesh = bpy.data.meshes.new("lights")
    mesh.from_pydata(world.tolist(), [], np.arange(len(world)).reshape(-1, 4).tolist())
    material = bpy.data.materials.new("light")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    emission = nodes.new("ShaderNodeEmission")
    emission.inputs["Strength"].default_value = 50
    material.node_tree.links.new(emission.outputs[0], nodes["Material Output"].inputs[0])
    mesh.materials.append(material)
    obj = bpy.data.objects.new("lights", mesh)
    obj.parent = root
    bpy.context.scene.collection.objects.link(obj)
    return solved.project(world.reshape(-1, 4, 3).mean(axis=1))


def comped(frame: Any, comp: Any) -> Any:
    """(H, W, 3) what the compositor saves for a frame, first row uppermost."""
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 64, False
    for obj in scene.objects:
        obj.hide_render = obj.name != "lights"
    scene.world = None
    scene.frame_set(frame)
    bpy.ops.render.render()
    (path,) = [each for each in comp.iterdir() if f"{frame:04d}" in each.name]
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.array(image.pixels, np.float32).reshape(height, width, -1)[::-1, :, :3]
    bpy.data.images.remove(image)
    return pixels


def distances(picture: Array, expected: Array) -> Any:
    """Pixels between each light's middle in the picture and where it should be."""
    light = (picture[..., 0] - 0.25).clip(0, None)
    rows, columns = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    out = []
    for x, y in expected:
        near = light * (np.maximum(np.abs(columns - x), np.abs(rows - y)) < 6)
        assert near.sum() > 1
        out.append(np.hypot((near * columns).sum() / near.sum() - x, (near * rows).sum() / near.sum() - y))
    return np.array(out)


def test_redistorted_cg_lies_on_the_plate(tmp_path: Path) -> None:
    solved = replace(camera("plate 1001", *SIZE, 200, cx=124, cy=77), distortion=BARREL)
    root, shot, photo = filmed(tmp_path, {1001: solved})
    scene, comp = bpy.context.scene, tmp_path / "comp"
    redistortion.set_up(scene, moving(root), shot, photo, tmp_path / "lens", comp)
    assert scene.render.resolution_x > SIZE[0]
    assert scene.render.resolution_y > SIZE[1]
    expected = lights(solved, root)
    picture = comped(1001, comp)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert picture[0, 0] == pytest.approx([0.25] * 3, abs=2e-3)  # the plate is untouched
    error = distances(picture, expected)
    assert np.sqrt((error**2).mean()) <= 0.1
    assert error.max() <= 0.3


def test_a_zoom_and_squeezed_pixels(tmp_path: Path) -> None:
    """The STMap of each frame, in the plate's own pixels."""
    wide = {
        number: replace(camera(f"plate {number}", 2 * SIZE[0], SIZE[1], focal), distortion=BARREL)
        for number, focal in ((1001, 330), (1002, 420))
    }
    root, shot, photo = filmed(tmp_path, wide, plate_size=SIZE)
    scene, comp = bpy.context.scene, tmp_path / "comp"
    redistortion.set_up(scene, moving(root), shot, photo, tmp_path / "lens", comp)
    assert scene.render.pixel_aspect_x / scene.render.pixel_aspect_y == pytest.approx(2)
    for number in wide:
        expected = lights(shot.plate_camera(number), root)
        error = distances(comped(number, comp), expected)
        assert np.sqrt((error**2).mean()) <= 0.1
        bpy.data.objects.remove(bpy.data.objects["lights"])


def test_the_artists_nodes_stay_and_a_second_time_adds_none(tmp_path: Path) -> None:
    solved = replace(camera("plate 1001", *SIZE, 200), distortion=BARREL)
    root, shot, photo = filmed(tmp_path, {1001: solved})
    scene = bpy.context.scene
    settings = scene, moving(root), shot, photo, tmp_path / "lens", tmp_path / "comp"
    redistortion.set_up(*settings)
    tree = getattr(scene, "compositing_node_group", None) or scene.node_tree
    redistort = next(node for node in tree.nodes if node.get(redistortion.OURS) == "redistort")
    source = redistort.inputs[0].links[0].from_socket
    artists = tree.nodes.new("CompositorNodeBlur")
    tree.links.new(source, artists.inputs["Image"])
    tree.links.new(artists.outputs["Image"], redistort.inputs[0])
    count = len(tree.nodes)
    redistortion.set_up(*settings)
    assert len(tree.nodes) == count
    assert redistort.inputs[0].links[0].from_node == artists
    assert sum(group.name.startswith(redistortion.GROUP) for group in bpy.data.node_groups) == 1


@pytest.mark.parametrize("named", ["../plate/plate.1.exr", "/etc/a.exr", "//server/share/a.exr", "C:\\a.exr", 7, None])
def test_a_strangers_lens_leads_to_no_other_file(tmp_path: Path, named: Any) -> None:
    root, shot, photo = filmed(tmp_path, {1001: replace(camera("plate 1001", *SIZE, 200), distortion=BARREL)})
    index = tmp_path / "lens" / export.INDEX
    described = json.loads(index.read_text("utf-8"))
    for lens in described["lenses"]:
        lens["redistort"] = named
    index.write_text(json.dumps(described), "utf-8")
    images = len(bpy.data.images)
    with pytest.raises(UserError, match="export the lens there again"):
        redistortion.set_up(bpy.context.scene, moving(root), shot, photo, tmp_path / "lens", tmp_path / "comp")
    assert len(bpy.data.images) == images


def test_without_an_exported_lens_nothing_happens(tmp_path: Path) -> None:
    solved = replace(camera("plate 1001", *SIZE, 200), distortion=BARREL)
    root, shot, photo = filmed(tmp_path, {1001: solved})
    before = bpy.context.scene.render.resolution_x
    with pytest.raises(UserError, match="no lens"):
        redistortion.set_up(bpy.context.scene, moving(root), shot, photo, Path("/nowhere"), tmp_path / "comp")
    assert bpy.context.scene.render.resolution_x == before
