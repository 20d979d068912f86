"""Points alone become a surface where they are, and none where they are not."""

from dataclasses import replace

import numpy as np

from tests.blender.world import camera, looking_at
from tests.geometry.meshes.ball import off, pointmap
from threer_blender.geometry.meshes import simplification, surfels, volume
from threer_blender.geometry.meshes.charts import face_normals
from threer_blender.model.arrays import Array
from threer_blender.model.proxy_mesh import Mesh
from threer_blender.model.reconstruction import PointCloud

CAMERAS = [
    camera(f"{number}.png", 160, 120, 150, pose=looking_at((3 * np.sin(angle), -2.4, 3 * np.cos(angle))))
    for number, angle in enumerate(np.arange(4) * np.pi / 2)
]


def cloud(positions: Array, towards: Array) -> PointCloud:
    """Points whose normals are no more than the directions to a camera, as those of an imported cloud."""
    normals = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    count = len(positions)
    return PointCloud(
        positions.astype(np.float32), normals.astype(np.float32), np.full((count, 3), 128, np.uint8),
        np.ones(count, np.float32), np.zeros(count, np.int32),
    )  # fmt: skip


def world_points() -> PointCloud:
    """The points of the ball on the floor that four cameras see."""
    points, towards = [], []
    for each in CAMERAS:
        there = pointmap(each)
        points.append(there.points[there.mask])
        towards.append(each.world_from_camera[:3, 3] - points[-1])
    return cloud(np.concatenate(points), np.concatenate(towards))


def surface(points: PointCloud) -> Mesh:
    mesh = volume.surface(surfels.distances(surfels.surfels(points)))
    return simplification.without_small_parts(mesh)


def test_the_surface_is_where_the_points_are() -> None:
    points = world_points()
    mesh = surface(points)
    assert len(mesh.faces) > 5000
    distances = off(mesh.vertices)
    assert np.median(distances) < 0.01
    assert np.quantile(distances, 0.99) < 0.05
    towards = np.array((0.0, -9.0, 0.0)) - mesh.vertices[mesh.faces].mean(axis=1)
    upper = mesh.vertices[mesh.faces].mean(axis=1)[:, 1] < -1.2
    assert ((face_normals(mesh) * towards).sum(axis=1)[upper] > 0).mean() > 0.99


def test_a_hole_in_the_points_is_a_hole_of_the_surface() -> None:
    grid = np.stack(np.meshgrid(np.arange(60) * 0.05, np.arange(60) * 0.05, [0.0]), axis=-1).reshape(-1, 3)
    inside = (np.abs(grid[:, :2] - 1.5) < 0.5).all(axis=1)
    stray = np.random.default_rng(0).uniform((0, 0, 1), (3, 3, 3), (20, 3))
    positions = np.concatenate([grid[~inside], stray])
    mesh = surface(cloud(positions, np.array((1.5, 1.5, 9.0)) - positions))
    assert np.abs(mesh.vertices[:, 2]).max() < 0.01  # nothing of the stray points
    middle = np.abs(mesh.vertices[:, :2] - 1.5).max(axis=1)
    assert middle.min() > 0.3
    assert (face_normals(mesh)[:, 2] > 0).all()


def test_sparse_places_have_a_surface_too() -> None:
    random = np.random.default_rng(1)
    dense, sparse = random.uniform((0, 0), (1, 1), (4000, 2)), random.uniform((1, 0), (2, 1), (800, 2))
    positions = np.concatenate([np.c_[each, np.zeros(len(each))] for each in (dense, sparse)])
    mesh = surface(cloud(positions, np.array((1.0, 0.5, 5.0)) - positions))
    area = np.linalg.norm(face_normals(mesh), axis=1) / 2
    right = mesh.vertices[mesh.faces].mean(axis=1)[:, 0] > 1
    assert 0.9 < area[right].sum() < 1.15
    assert 0.9 < area[~right].sum() < 1.15


def test_points_in_one_place_have_no_surface() -> None:
    same = np.zeros((50, 3))
    assert len(surface(cloud(same, same + 1)).faces) == 0


def test_noise_of_the_given_side_does_no_harm() -> None:
    points = world_points()
    flipped = np.random.default_rng(2).random(len(points)) < 0.1
    normals = np.where(flipped[:, None], -points.normals, points.normals)
    assert np.median(off(surface(replace(points, normals=normals)).vertices)) < 0.01
