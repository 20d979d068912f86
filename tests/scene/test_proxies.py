"""Proxy meshes lie on the world that photos or splats show, are not spun over gaps, and cut what is behind them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.world import BALL_CENTRE, BALL_RADIUS, CAMERAS, reconstruct
from tests.splats import random_gaussians
from threer_blender import addon, bundle
from threer_blender.model import proxy_mesh
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Gaussians, Photo, Reconstruction
from threer_blender.scene import build, cameras, identity, masks, picture_points, proxies
from threer_blender.scene.splats import splats


def off(points: Array) -> Any:
    """(N,) distance from the world's surface: the floor and the ball on it."""
    ball = np.abs(np.linalg.norm(points - BALL_CENTRE, axis=-1) - BALL_RADIUS)
    return np.minimum(ball, np.abs(points[..., 1]))


def middles(mesh: Any) -> Any:
    return mesh.vertices[mesh.faces].mean(axis=1)


@pytest.mark.parametrize("number", [0, 1, 6])
def test_depth_meshes_are_the_surface_and_are_cut_at_jumps(photos: list[Photo], number: int) -> None:
    known = reconstruct(photos, CAMERAS, step=2)
    camera, pointmap = CAMERAS[number], known.pointmaps[number]
    mesh = proxy_mesh.from_depth(pointmap, camera)
    assert off(mesh.vertices).max() < 1e-4
    distance = np.linalg.norm(middles(mesh) - camera.world_from_camera[:3, 3], axis=1)
    assert (off(middles(mesh)) / distance).max() < 0.01
    possible = pointmap.mask[:-1, :-1] & pointmap.mask[1:, :-1] & pointmap.mask[:-1, 1:] & pointmap.mask[1:, 1:]
    assert len(mesh.faces) > 0.95 * 2 * possible.sum()
    towards = np.cross(*(np.diff(mesh.vertices[mesh.faces], axis=1).swapaxes(0, 1)))
    facing = (towards * (camera.world_from_camera[:3, 3] - middles(mesh))).sum(axis=1) > 0
    assert facing.mean() > 0.999


def test_gaps_of_the_mask_stay_open(photos: list[Photo]) -> None:
    known = reconstruct(photos, CAMERAS, step=4)
    pointmap = known.pointmaps[0]
    mask = pointmap.mask.copy()
    mask[20:40, 20:40] = False
    cut = proxy_mesh.from_depth(replace(pointmap, mask=mask), CAMERAS[0])
    hidden = pointmap.points[22:38, 22:38].reshape(-1, 3)
    nearest = np.linalg.norm(cut.vertices[:, None] - hidden, axis=-1).min(axis=0)
    assert nearest.max() > 0.05
    assert len(cut.faces) < len(proxy_mesh.from_depth(pointmap, CAMERAS[0]).faces)


def test_fused_mesh_is_the_surface(reconstruction: Reconstruction) -> None:
    mesh = proxy_mesh.from_pointmaps(reconstruction)
    assert reconstruction.cloud is not None
    cell = np.ptp(reconstruction.cloud.positions, axis=0).max() / proxy_mesh.CELLS
    near = np.linalg.norm(mesh.vertices - BALL_CENTRE, axis=1) < 2  # where most photos look
    assert near.sum() > 500
    assert np.median(off(mesh.vertices[near])) < 0.25 * cell
    assert np.quantile(off(mesh.vertices[near]), 0.95) < cell
    # The ball's upper half, which photos see from all sides, is all there.
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(200, 3))
    directions[:, 1] = -np.abs(directions[:, 1])
    on_ball = BALL_CENTRE + BALL_RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    reach = np.linalg.norm(mesh.vertices[:, None] - on_ball, axis=-1).min(axis=0)
    assert np.quantile(reach, 0.95) < 1.5 * cell
    outward = np.cross(*(np.diff(mesh.vertices[mesh.faces], axis=1).swapaxes(0, 1)))
    ball = np.abs(np.linalg.norm(middles(mesh) - BALL_CENTRE, axis=1) - BALL_RADIUS) < cell
    ball &= middles(mesh)[:, 1] < -0.3
    assert ((outward * (middles(mesh) - BALL_CENTRE)).sum(axis=1)[ball] > 0).mean() > 0.97


def sphere_of_splats(count: int = 8000) -> Any:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(count, 3))
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    base = random_gaussians(count, 0)
    return Gaussians(
        means.astype(np.float32),
        np.full((count, 3), 0.03, np.float32),
        base.rotations,
        np.full(count, 0.9, np.float32),
        base.sh,
    )


def test_splats_mesh_is_where_they_are() -> None:
    solid = sphere_of_splats()
    rng = np.random.default_rng(1)
    haze = replace(random_gaussians(500, 0), opacities=np.full(500, 0.05, np.float32))
    haze = replace(haze, means=rng.uniform(-1.5, 1.5, (500, 3)).astype(np.float32))
    names = ("means", "scales", "rotations", "opacities", "sh")
    both = Gaussians(*(np.concatenate([getattr(solid, name), getattr(haze, name)]) for name in names))
    mesh = proxy_mesh.from_splats(both)
    radius = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radius - 1).max() < 0.1
    directions = np.random.default_rng(2).normal(size=(60, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(mesh.vertices[:, None] - directions, axis=-1).min(axis=0).max() < 0.1


def test_nothing_to_make_a_mesh_of(reconstruction: Reconstruction) -> None:
    with pytest.raises(UserError, match="no depth maps"):
        proxy_mesh.from_pointmaps(replace(reconstruction, pointmaps=[]))
    with pytest.raises(UserError, match="too faint"):
        proxy_mesh.from_splats(replace(random_gaussians(5), opacities=np.zeros(5, np.float32)))
    with pytest.raises(UserError, match="at one place"):
        proxy_mesh.from_splats(replace(random_gaussians(1), opacities=np.ones(1, np.float32)))


def test_proxies_stand_under_the_root_and_replace_earlier_ones(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    holdouts = proxies.of_photos(root, reconstruction, proxies.HOLDOUT)
    assert len(holdouts) == len(CAMERAS)
    assert all(obj.is_holdout and not obj.is_shadow_catcher for obj in holdouts)
    (one,) = proxies.fused(root, reconstruction, proxies.SHADOWS)
    assert one.is_shadow_catcher
    assert not one.is_holdout
    assert [child for child in root.children if child.get(identity.ROLE) == identity.PROXY] == [one]
    assert len([mesh for mesh in bpy.data.meshes if mesh.name.endswith(("depth", "proxy"))]) == 1
    assert one.data.validate() is False


def test_masks_of_points_cut_proxies_of_photos(reconstruction: Reconstruction, tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root = build.build(reconstruction, tmp_path)
    (cloud,) = masks.targets(root, None)
    masks.write(cloud, masks.SELECTION, picture_points.local(cloud.data)[:, 0] > 0)
    for make in (proxies.of_photos, proxies.fused):
        for obj in make(root, reconstruction, proxies.HOLDOUT):
            cut = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
            places = np.array([vertex.co for vertex in cut.vertices]).reshape(-1, 3)
            assert len(places) > 20
            assert (places[:, 0] > 0.2).mean() < 0.02 < (picture_points.local(obj.data)[:, 0] > 0.2).mean()


@pytest.fixture
def enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(addon, "data_folder", lambda: tmp_path / "home")
    addon.register()
    yield
    addon.unregister()


@pytest.mark.usefixtures("enabled")
def test_the_button(reconstruction: Reconstruction, tmp_path: Path) -> None:
    bundle.write(reconstruction, tmp_path / "result")
    root = build.build(reconstruction, tmp_path / "result")
    for each, count in ((True, len(CAMERAS)), (False, 1)):
        assert bpy.ops.threer.proxy_meshes(each_photo=each) == {"FINISHED"}
        assert len([child for child in root.children if child.get(identity.ROLE) == identity.PROXY]) == count
    obj = splats.new_object("sphere", splats.new_geometry("sphere", sphere_of_splats(3000), as_mesh=True))
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.threer.proxy_meshes(purpose="SHADOWS")
    (proxy,) = obj.children
    assert proxy.is_shadow_catcher


def test_a_holdout_cuts_what_is_behind_it(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """A red wall behind the ball: the ball cuts a hole into it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root = build.build(reconstruction, tmp_path)
    scene = bpy.context.scene
    cameras.use_camera(scene, build.solved_cameras(root)[0])
    for child in root.children:
        child.hide_render = child.type != "CAMERA"
    proxies.of_photos(root, reconstruction, proxies.HOLDOUT)[0].hide_render = False
    wall = bpy.data.meshes.new("wall")
    corners = [(-50, -50, 4), (50, -50, 4), (50, 50, 4), (-50, 50, 4)]  # in the root's world: beyond the ball
    wall.from_pydata(corners, [], [(0, 1, 2, 3)])
    behind = bpy.data.objects.new("wall", wall)
    behind.parent = root
    scene.collection.objects.link(behind)
    scene.render.film_transparent = True
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.render.resolution_percentage = 25
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = str(tmp_path / "a.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(pixels)
    alpha = pixels.reshape(image.size[1], image.size[0], 4)[::-1, :, 3]
    x, y = (CAMERAS[0].project(BALL_CENTRE) / 4).astype(int)
    assert alpha[y, x] == 0
    assert alpha[1, 1] == 1
