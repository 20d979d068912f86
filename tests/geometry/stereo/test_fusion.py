"""Fusion: a surface that many views see becomes one layer of points that lies on it. [R]"""

from functools import cache

import numpy as np

from tests.runtime import synthetic
from threer_blender.geometry.stereo import dense, fusion
from threer_blender.geometry.stereo.views import DepthMap, View
from threer_blender.model.arrays import Array


@cache
def world(count: int = 4) -> tuple[list[synthetic.TrueView], list[View], list[DepthMap]]:
    """True views of the ray-cast world, the same as stereo gets them, and the depths that it estimates."""
    true_views = synthetic.true_views(count, 160, 120, 9)
    sparse = synthetic.sparse_points(true_views, 100)
    views = [
        View(true_view.image, true_view.intrinsics, true_view.world_from_camera, points, ids)
        for true_view, (points, ids) in zip(true_views, sparse, strict=True)
    ]
    return true_views, views, dense.estimate_depths(views, dense.STANDARD, lambda _done, _total: None)


def exact_map(true_view: synthetic.TrueView) -> DepthMap:
    """The truth as a depth map that all views confirm."""
    normal = (true_view.normal @ true_view.world_from_camera[:3, :3]).astype(np.float32)
    ones = np.ones(true_view.depth.shape, np.float32)
    return DepthMap(true_view.depth.astype(np.float32), normal, ones, np.full(true_view.depth.shape, 3, np.uint8))


def distance_to_world(points: Array) -> Array:
    """(N,) exact distance to the nearest of the synthetic world's surfaces."""
    distances = [np.abs(np.linalg.norm(points - synthetic.BALL, axis=1) - synthetic.BALL_RADIUS)]
    for origin, axis_u, axis_v, half_u, half_v, _ in synthetic.PLANES:
        local = points - origin
        u, v = local @ axis_u, local @ axis_v
        over_u, over_v = np.maximum(np.abs(u) - half_u, 0), np.maximum(np.abs(v) - half_v, 0)
        height = local @ np.cross(axis_u, axis_v)
        distances.append(np.sqrt(height**2 + over_u**2 + over_v**2))
    return np.min(distances, axis=0)


def test_points_lie_on_the_surface_without_flyers() -> None:
    _, views, maps = world()
    cloud = fusion.fuse(views, maps, min_agreeing=2)
    distance = distance_to_world(cloud.positions.astype(float))
    assert np.median(distance) < 0.012  # units: at a distance of four, a tenth of a pixel of parallax
    assert np.mean(distance > 0.1) < 0.005


def test_each_surface_appears_once() -> None:
    """Exact maps give about as many points as the first view has pixels, and those that only the others see."""
    true_views, views, _ = world()
    maps = [exact_map(true_view) for true_view in true_views]
    cloud = fusion.fuse(views, maps)
    pixels = true_views[0].depth.size
    assert pixels < len(cloud.positions) < 2 * pixels
    same = fusion.fuse([views[0]] * 3, [maps[0]] * 3)
    assert len(same.positions) == pixels
    assert np.all(distance_to_world(same.positions.astype(float)) < 1e-4)


def visible_to_another(true_views: list[synthetic.TrueView], i: int) -> Array:
    """(H, W) whether another view sees what view i sees, well inside its picture and away from edges."""
    true_view = true_views[i]
    height, width = true_view.depth.shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(true_view.intrinsics).T
    pose = true_view.world_from_camera
    world = (rays * true_view.depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]
    visible = np.zeros(true_view.depth.shape, bool)
    for j, other in enumerate(true_views):
        if j != i:
            camera = (world - other.world_from_camera[:3, 3]) @ other.world_from_camera[:3, :3]
            pixel = camera @ other.intrinsics.T
            u, v = (np.floor(pixel[..., k] / pixel[..., 2]).astype(int) for k in (0, 1))
            inside = (u >= 0) & (v >= 0) & (u < width) & (v < height)
            u, v = np.where(inside, u, 0), np.where(inside, v, 0)
            visible |= inside & (np.abs(other.depth[v, u] / camera[..., 2] - 1) < 0.003) & ~other.edge[v, u]
    return visible & ~true_view.edge


def test_nothing_seen_is_lost() -> None:
    """Every pixel whose surface another view sees too has a fused point within a pixel."""
    true_views, views, _ = world()
    cloud = fusion.fuse(views, [exact_map(true_view) for true_view in true_views])
    for i, (view, true_view) in enumerate(zip(views, true_views, strict=True)):
        camera = (cloud.positions - view.world_from_camera[:3, 3]) @ view.world_from_camera[:3, :3]
        pixel = camera @ view.intrinsics.T
        x, y = (np.floor(pixel[:, k] / pixel[:, 2]).astype(int) for k in (0, 1))
        height, width = true_view.depth.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & (camera[:, 2] > 0)
        x, y, z = x[inside], y[inside], camera[inside, 2]
        on_surface = np.abs(z / true_view.depth[y, x] - 1) < 0.05
        covered = np.zeros((height + 2, width + 2), bool)
        for dy in range(3):
            for dx in range(3):
                covered[y[on_surface] + dy, x[on_surface] + dx] = True
        assert covered[1:-1, 1:-1][visible_to_another(true_views, i)].mean() > 0.995


def test_closer_views_own_the_surface() -> None:
    """A view at half the distance keeps its own finer points although it comes later."""
    far = synthetic.true_views(1, 80, 60, 9)[0]
    close = synthetic.true_views(1, 160, 120, 9)[0]  # twice the focal length shows as much as half the distance
    views = [
        View(
            true_view.image, true_view.intrinsics, true_view.world_from_camera, np.zeros((0, 3)), np.zeros(0, np.int64)
        )
        for true_view in (far, close)
    ]
    cloud = fusion.fuse(views, [exact_map(far), exact_map(close)])
    assert np.mean(cloud.view == 1) > 0.98
    assert len(cloud.positions) > 0.9 * close.depth.size


def test_points_carry_normals_colors_and_origin() -> None:
    true_views, views, maps = world()
    cloud = fusion.fuse(views, maps, min_agreeing=2)
    assert cloud.positions.dtype == cloud.normals.dtype == cloud.confidence.dtype == np.float32
    assert cloud.colors.dtype == np.uint8
    assert cloud.view.dtype == np.int32
    assert np.allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-3)
    assert cloud.confidence.min() >= dense.TRUSTED
    centres = np.stack([view.centre for view in views])[cloud.view]
    assert np.mean(((centres - cloud.positions) * cloud.normals).sum(1) > 0) > 0.999
    for i, (view, true_view) in enumerate(zip(views, true_views, strict=True)):
        mine = cloud.view == i
        camera = (cloud.positions[mine] - view.centre) @ view.world_from_camera[:3, :3]
        pixel = camera @ view.intrinsics.T
        x, y = (np.floor(pixel[:, k] / pixel[:, 2] + 1e-3).astype(int) for k in (0, 1))
        inside = (x < true_view.depth.shape[1]) & (y < true_view.depth.shape[0])
        assert np.mean(np.all(view.image[y[inside], x[inside]] == cloud.colors[mine][inside], axis=1)) > 0.99


def test_a_floating_point_is_outvoted() -> None:
    """A patch that one view places in mid-air is dropped because the others see through it."""
    true_views, views, _ = world()
    maps = [exact_map(true_view) for true_view in true_views]
    maps[0].depth[40:60, 60:90] *= 0.6
    cloud = fusion.fuse(views, maps)
    assert np.mean(distance_to_world(cloud.positions.astype(float)) > 0.05) < 1e-3


def test_nothing_trusted_gives_an_empty_cloud() -> None:
    true_views, views, _ = world()
    maps = [exact_map(true_view) for true_view in true_views]
    for actual in maps:
        actual.confidence[:] = 0
    cloud = fusion.fuse(views, maps)
    assert cloud.positions.shape == (0, 3)
    assert cloud.colors.shape == (0, 3)
