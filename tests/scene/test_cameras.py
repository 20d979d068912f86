"""Points land on the Reconstruction's pixels in Blender, by its matrices and renders. Scenes render as a camera is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.world import CAMERAS, looking_at, reconstruct
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Photo, PhotoFromMap, PointCloud, Reconstruction
from threer_blender.scene import build, cameras

POINTS = np.random.default_rng(0).uniform((-2, -2, -2), (2, 0, 2), (500, 3)).astype(np.float32)


def blender_pixels(scene: bpy.types.Scene, root: bpy.types.Object, obj: bpy.types.Object, points: Array) -> Array:
    """Where Blender's own matrices put world points of the reconstruction, in pixels from the top left corner."""
    bpy.context.view_layer.update()
    render = scene.render
    projection = obj.calc_matrix_camera(
        bpy.context.evaluated_depsgraph_get(),
        x=render.resolution_x,
        y=render.resolution_y,
        scale_x=render.pixel_aspect_x,
        scale_y=render.pixel_aspect_y,
    )
    # Blender ignores the scale of a camera.
    whole = np.array(projection) @ np.array(obj.matrix_world.normalized().inverted()) @ np.array(root.matrix_world)
    clip = np.c_[points, np.ones(len(points))].astype(np.float64) @ whole.T
    x, y = (clip[:, :2] / clip[:, 3:]).T
    return np.stack([(x + 1) / 2 * render.resolution_x, (1 - y) / 2 * render.resolution_y], -1)


def in_front(camera: Camera) -> Any:
    return POINTS[(POINTS - camera.world_from_camera[:3, 3]) @ camera.world_from_camera[:3, 2] > 0.5]


@pytest.mark.parametrize("number", range(len(CAMERAS)), ids=[camera.photo for camera in CAMERAS])
@pytest.mark.parametrize("sensor", [None, 23.5, 6.17])
def test_matrices(reconstruction: Reconstruction, tmp_path: Path, number: int, sensor: float | None) -> None:
    reconstruction = replace(reconstruction, photos=[replace(p, sensor_width=sensor) for p in reconstruction.photos])
    root = build.build(reconstruction, tmp_path)
    camera, obj = CAMERAS[number], build.solved_cameras(root)[number]
    cameras.use_camera(bpy.context.scene, obj)
    points = in_front(camera)
    actual = blender_pixels(bpy.context.scene, root, obj, points)
    assert np.abs(actual - camera.project(points)).max() < 0.01
    if sensor:
        assert obj.data.sensor_width == pytest.approx(sensor)
    else:
        fitted = "sensor_width" if camera.width >= camera.height else "sensor_height"
        assert getattr(obj.data, fitted) == pytest.approx(36.0)


def test_matrices_after_the_artist_moved_the_root(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    root.matrix_basis = Matrix.Translation((3, -1, 0.5)) @ Matrix.Rotation(1.0, 4, "X") @ root.matrix_basis
    root.scale *= 3.7
    for camera, obj in zip(CAMERAS, build.solved_cameras(root), strict=True):
        cameras.use_camera(bpy.context.scene, obj)
        points = in_front(camera)
        assert np.abs(blender_pixels(bpy.context.scene, root, obj, points) - camera.project(points)).max() < 0.01


def test_matrices_of_a_large_photo(photos: list[Photo], tmp_path: Path) -> None:
    """0.01 px also where pixels are small: 24 megapixels, a long lens, a camera far from the origin."""
    pose = looking_at((300.5, -20.0, -400.0))
    cam = replace(
        CAMERAS[0], width=6000, height=4000, fx=9000.0, fy=9000.0, cx=3010.0, cy=1985.0, world_from_camera=pose
    )
    photo = replace(photos[0], width=6000, height=4000)
    root = build.build(Reconstruction("test", "", [photo], [cam]), tmp_path)
    obj = build.solved_cameras(root)[0]
    cameras.use_camera(bpy.context.scene, obj)
    actual = blender_pixels(bpy.context.scene, root, obj, POINTS)
    assert np.abs(actual - cam.project(POINTS)).max() < 0.01


def render(scene: Any, path: Path) -> Any:
    """Linear (H, W) brightness, rows from the top."""
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_depth = "32"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    width, height = image.size
    bpy.data.images.remove(image)
    return pixels.reshape(height, width, -1)[::-1, :, :3].mean(-1)


@pytest.mark.parametrize("number", range(4), ids=[camera.photo for camera in CAMERAS[:4]])
def test_a_rendered_marker(photos: list[Photo], tmp_path: Path, number: int) -> None:
    """The centre of gravity of one white point's picture, by Cycles with a box filter."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    camera = CAMERAS[number]
    aim = np.array((0.7 * camera.width, 0.35 * camera.height))
    point = camera.world_from_camera[:3, :3] @ (4.0 * camera.rays(aim)) + camera.world_from_camera[:3, 3]
    whole = reconstruct(photos, CAMERAS, step=4)
    cloud = PointCloud(
        positions=point[None].astype(np.float32),
        normals=np.array([[0, -1, 0]], np.float32),
        colors=np.full((1, 3), 255, np.uint8),
        confidence=np.full(1, 9, np.float32),
        photo=np.full(1, number, np.int32),
    )
    maps = [replace(pointmap, photo_from_map=PhotoFromMap(1.5, 1.5, 0, 0)) for pointmap in whole.pointmaps]
    root = build.build(replace(whole, cloud=cloud, pointmaps=maps), tmp_path)
    scene = bpy.context.scene
    cameras.use_camera(scene, build.solved_cameras(root)[number])
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4096
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.pixel_filter_type = "BOX"
    scene.render.dither_intensity = 0
    scene.render.use_border = True  # the marker's surroundings alone: many samples in little time
    (left, top), (right, bottom) = ((aim + step) / (camera.width, camera.height) for step in (-12, 12))
    scene.render.border_min_x, scene.render.border_max_x = left, right
    scene.render.border_min_y, scene.render.border_max_y = 1 - bottom, 1 - top
    brightness = render(scene, tmp_path / "marker.exr")
    assert brightness.shape == (camera.height, camera.width)
    rows, columns = np.indices(brightness.shape) + 0.5
    centre = np.array([(brightness * columns).sum(), (brightness * rows).sum()]) / brightness.sum()
    assert 3 < brightness.sum() < 15  # about the size that was asked for
    assert np.abs(centre - aim).max() < 0.01


@pytest.mark.parametrize("number", range(len(CAMERAS)))
def test_use_camera(reconstruction: Reconstruction, tmp_path: Path, number: int) -> None:
    scene = bpy.context.scene
    obj = build.solved_cameras(build.build(reconstruction, tmp_path))[number]
    cameras.use_camera(scene, obj)
    camera, render = CAMERAS[number], scene.render
    assert scene.camera == obj
    assert (render.resolution_x, render.resolution_y) == (camera.width, camera.height)
    assert render.pixel_aspect_y / render.pixel_aspect_x == pytest.approx(camera.fx / camera.fy, rel=1e-6)


def test_one_view_per_frame(reconstruction: Reconstruction, tmp_path: Path) -> None:
    scene = bpy.context.scene
    solved = build.solved_cameras(build.build(reconstruction, tmp_path))
    for _ in range(2):  # a second time replaces the first
        cameras.one_view_per_frame(scene, solved)
    assert [(m.frame, m.camera) for m in scene.timeline_markers] == list(enumerate(solved, start=1))
    assert (scene.frame_start, scene.frame_end) == (1, len(solved))
    scene.frame_set(3)
    assert scene.camera == solved[2]
    cameras.use_camera(scene, solved[4])
    assert scene.frame_current == 5
    bpy.context.view_layer.update()
    assert scene.camera == solved[4]
