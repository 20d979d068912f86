"""The cloud's attributes, its live modifier, and whether a render of it is the photo."""

import ctypes.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.evaluated import evaluated
from tests.blender.world import CAMERAS, pixel_centres, reconstruct, trace
from threer_blender.model.reconstruction import Photo, PointCloud, Reconstruction
from threer_blender.scene import build, cameras, look, points

KINDS = [True, pytest.param(False, marks=pytest.mark.skipif(not points.has_point_clouds(), reason="Blender < 5.2"))]


def read(geometry: Any, name: str, prop: Any, width: int, dtype: Any = np.float32) -> Any:
    values = np.empty(len(geometry.attributes[name].data) * width, dtype)
    geometry.attributes[name].data.foreach_get(prop, values)
    return values.reshape(-1, width) if width > 1 else values


def random_cloud(count: int, seed: int = 0) -> PointCloud:
    rng = np.random.default_rng(seed)
    return PointCloud(
        positions=rng.normal(size=(count, 3)).astype(np.float32),
        normals=rng.normal(size=(count, 3)).astype(np.float32),
        colors=rng.integers(0, 256, (count, 3), np.uint8),
        confidence=rng.random(count, np.float32),
        photo=rng.integers(0, 7, count, np.int32),
    )


@pytest.mark.parametrize("as_mesh", KINDS, ids=["mesh", "point cloud"][: len(KINDS)])
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_attributes_hold_what_was_given(as_mesh: Any, count: int) -> None:
    cloud = random_cloud(count)
    radius = np.random.default_rng(1).random(count, np.float32)
    geometry = points.new_geometry("cloud", cloud, radius, as_mesh)
    assert (read(geometry, "position", "vector", 3) == cloud.positions).all()
    assert (read(geometry, "normal", "vector", 3) == cloud.normals).all()
    assert (read(geometry, "confidence", "value", 1) == cloud.confidence).all()
    assert (read(geometry, "radius", "value", 1) == radius).all()
    assert (read(geometry, "photo", "value", 1, np.int32) == cloud.photo).all()
    assert geometry.attributes["color"].data_type == "BYTE_COLOR"
    color = read(geometry, "color", "color_srgb", 4)
    assert (np.rint(color[:, :3] * 255) == cloud.colors).all()
    assert (color[:, 3] == 1).all()


def test_arrays_that_are_not_contiguous() -> None:
    cloud = random_cloud(200)
    every_other = PointCloud(
        cloud.positions[::2], cloud.normals[::2], cloud.colors[::2], cloud.confidence[::2], cloud.photo[::2]
    )
    geometry = points.new_geometry("cloud", every_other, np.ones(100, np.float32), as_mesh=True)
    assert (read(geometry, "position", "vector", 3) == cloud.positions[::2]).all()
    assert (np.rint(read(geometry, "color", "color_srgb", 4)[:, :3] * 255) == cloud.colors[::2]).all()


@pytest.fixture(params=KINDS, ids=["mesh", "point cloud"][: len(KINDS)])
def cloud_object(request: pytest.FixtureRequest) -> Any:
    """A cloud of 1000 points in the scene, threshold 0.25."""
    cloud = random_cloud(1000)
    obj = points.new_object("cloud", points.new_geometry("cloud", cloud, cloud.confidence, request.param), 0.25)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def test_threshold_is_live(cloud_object: Any) -> None:
    cloud = random_cloud(1000)
    for threshold in (None, 0.8, 0.0, 2.0):
        if threshold is not None:
            points.set_input(cloud_object.modifiers[0], look.THRESHOLD, threshold)
        retained = cloud.confidence >= (0.25 if threshold is None else threshold)
        geometry = evaluated(cloud_object)
        point_cloud = geometry.pointcloud
        assert (len(point_cloud.points) if point_cloud else 0) == retained.sum()
        if point_cloud:
            assert (read(point_cloud, "position", "vector", 3) == cloud.positions[retained]).all()
            assert (read(point_cloud, "photo", "value", 1, np.int32) == cloud.photo[retained]).all()


def test_radius_scales_every_point(cloud_object: Any) -> None:
    cloud = random_cloud(1000)
    retained = cloud.confidence[cloud.confidence >= 0.25]  # the test's radii are its confidences
    for factor in (1.0, 0.5):
        points.set_input(cloud_object.modifiers[0], look.RADIUS, factor)
        geometry = evaluated(cloud_object)
        assert read(geometry.pointcloud, "radius", "value", 1) == pytest.approx(retained * factor)


def test_colors_reach_the_material(cloud_object: Any) -> None:
    geometry = evaluated(cloud_object)
    point_cloud = geometry.pointcloud
    retained = random_cloud(1000).confidence >= 0.25
    for name in ("color", look.SHADER_COLOR):
        color = read(point_cloud, name, "color_srgb", 4)
        assert (np.rint(color[:, :3] * 255) == random_cloud(1000).colors[retained]).all()
    assert point_cloud.materials[0].original == look.material()


def test_looks_are_shared() -> None:
    for _ in range(3):
        points.new_object("cloud", points.new_geometry("c", random_cloud(3), np.ones(3, np.float32), True), 0.0)
    assert len(bpy.data.node_groups) == 1
    assert len([m for m in bpy.data.materials if look.VERSION in m]) == 1


def test_radii_are_the_photos_pixels(reconstruction: Reconstruction) -> None:
    """A point's radius is so many grid steps of its depth map, wherever it is."""
    cloud = reconstruction.cloud
    radius = points.radii(reconstruction)
    for number, camera in enumerate(CAMERAS):
        assert cloud is not None
        mine = cloud.photo == number
        depth = cloud.positions[mine] @ camera.camera_from_world[2, :3] + camera.camera_from_world[2, 3]
        assert radius[mine] * camera.fx / depth == pytest.approx(4 * points.COVERING_RADIUS, rel=1e-3)


def test_radii_without_depth_maps(reconstruction: Reconstruction) -> None:
    """Then the points are taken to be spread evenly, which is right to a factor of 2."""
    bare = points.radii(replace(reconstruction, pointmaps=[]))
    assert 0.5 < np.median(bare / points.radii(reconstruction)) < 2
    # Where one photo with points has no map, the cloud is not made of the maps: the other maps do not count, either.
    some = points.radii(replace(reconstruction, pointmaps=reconstruction.pointmaps[1:]))
    assert np.array_equal(some, bare)


def test_points_behind_their_camera_have_no_negative_radius(photos: list[Photo]) -> None:
    cloud = replace(random_cloud(100), positions=np.full((100, 3), -1000, np.float32))
    assert (points.radii(Reconstruction("test", "", photos, CAMERAS, cloud=cloud)) >= 0).all()


def set_up(photos: list[Photo], number: Any) -> Any:
    """The whole world, every second pixel a point, ready to be rendered through a camera."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root = build.build(reconstruct(photos, CAMERAS, step=2), ".")
    scene = bpy.context.scene
    cameras.use_camera(scene, build.solved_cameras(root)[number])
    look.match_photo_colors(scene)
    scene.render.image_settings.file_format = "PNG"
    return scene


def compare(picture_path: Path, number: Any) -> Any:
    """Where the photo shows the world: the share of holes, the median difference in 8-bit steps, the share above 40."""
    image = bpy.data.images.load(str(picture_path))
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    camera = CAMERAS[number]
    rendered = pixels.reshape(camera.height, camera.width, 4)[::-1, :, :3] * 255
    depth, color, _ = trace(camera, pixel_centres(camera.width, camera.height))
    visible = ~np.isnan(depth)
    difference = np.abs(rendered - color * 255).max(-1)[visible]
    return (rendered[visible].sum(-1) == 0).mean(), np.median(difference), (difference > 40).mean()


@pytest.mark.parametrize("number", [0, 1, 3], ids=["landscape", "portrait", "wide pixels"])
def test_cycles_shows_the_photo(photos: list[Photo], tmp_path: Path, number: int) -> None:
    scene = set_up(photos, number)
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 8
    scene.cycles.use_denoising = False
    scene.render.filepath = str(tmp_path / "cycles.png")
    bpy.ops.render.render(write_still=True)
    holes, median, wrong = compare(tmp_path / "cycles.png", number)
    assert holes == 0
    assert median <= 1
    assert wrong < 0.2  # edges of stripes and of the ball, as wide as a point


EEVEE = """
import bpy, sys
from pathlib import Path
from threer_blender.scene import build
sys.path.insert(0, {root!r})
from tests.blender.world import CAMERAS, write_photos
from tests.scene.test_points import set_up
folder = Path({folder!r})
scene = set_up(write_photos(folder / "shot", CAMERAS), 0)
scene.render.engine = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"
scene.eevee.taa_render_samples = 8
scene.render.filepath = str(folder / "eevee.png")
bpy.ops.render.render(write_still=True)
"""


@pytest.mark.skipif(not ctypes.util.find_library("EGL"), reason="EEVEE without a screen needs libegl1")
def test_eevee_shows_the_photo(tmp_path: Path) -> None:
    """In a process of its own, so that trouble with graphics drivers ends this test only."""
    root = str(Path(__file__).parents[2])
    code = EEVEE.format(root=root, folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True)
    holes, median, wrong = compare(tmp_path / "eevee.png", 0)
    assert holes < 0.001
    assert median <= 1
    assert wrong < 0.2


def test_photo_colors_are_shown_on_request(reconstruction: Reconstruction, tmp_path: Path) -> None:
    view = bpy.context.scene.view_settings
    view.view_transform, view.exposure = "Filmic", 1.0
    build.build(reconstruction, tmp_path)
    assert (view.view_transform, view.exposure) == ("Filmic", 1.0)
    look.match_photo_colors(bpy.context.scene)
    assert (view.view_transform, view.exposure) == ("Standard", 0.0)
