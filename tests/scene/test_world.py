"""A second solve, whose world is another one, stands where the first stood: what the artist aligned stays aligned."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.world import BALL_CENTRE, BALL_RADIUS, CAMERAS, reconstruct
from tests.scene.test_cameras import blender_pixels, in_front
from threer_blender import bundle
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Photo, Reconstruction
from threer_blender.model.reconstruction_transform import transformed
from threer_blender.scene import build, cameras, proxies, world


def similar(angle: float, scale: Any, place: Any) -> Any:
    rotation = Matrix.Rotation(angle, 3, (0.3, 1, -0.5))
    return np.array(Matrix.LocRotScale(place, rotation, (scale, scale, scale)), np.float64)


def off(points: Array) -> Any:
    """(N,) distance from the first world's surface: the floor and the ball on it."""
    ball = np.abs(np.linalg.norm(points - BALL_CENTRE, axis=-1) - BALL_RADIUS)
    return np.minimum(ball, np.abs(points[..., 1]))


def positions(mesh: Any) -> Any:
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.attributes["position"].data.foreach_get("vector", flat)
    return flat.reshape(-1, 3)


@pytest.mark.parametrize("number", [0, 3])
def test_the_second_solve_stands_on_the_first(
    reconstruction: Reconstruction, photos: list[Photo], tmp_path: Path, number: int
) -> None:
    """Points and cameras, to the pixel; and again, after a third solve and one that is the first once more."""
    root = build.build(reconstruction, tmp_path)
    root.matrix_basis = Matrix.Rotation(0.4, 4, "X") @ root.matrix_basis
    aligned = root.matrix_basis.copy()
    again = reconstruct(photos, CAMERAS, step=5)
    for matrix in (similar(0.8, 1.3, (3, -2, 7)), similar(-2.5, 0.2, (0, 1, 0)), np.eye(4)):
        assert build.build(transformed(again, matrix), tmp_path) == root
        assert root.matrix_basis == aligned
        cloud = next(child for child in root.children if child.type in ("MESH", "POINTCLOUD"))
        assert off(positions(cloud.data)).max() < 1e-4
        camera_object = build.solved_cameras(root)[number]
        cameras.use_camera(bpy.context.scene, camera_object)
        points = in_front(CAMERAS[number])
        visible = blender_pixels(bpy.context.scene, root, camera_object, points)
        assert np.abs(visible - CAMERAS[number].project(points)).max() < 0.02
    assert world.WORLD not in root


def test_what_is_made_of_the_bundle_follows(
    reconstruction: Reconstruction, photos: list[Photo], tmp_path: Path
) -> None:
    first = bundle.write(reconstruction, tmp_path / "first")
    root = build.build(bundle.read(first), first)
    other = transformed(reconstruct(photos, CAMERAS, step=4), similar(0.8, 1.3, (3, -2, 7)))
    second = bundle.write(other, tmp_path / "second")
    build.build(bundle.read(second), second)
    holdouts = proxies.of_photos(root, world.under(root, bundle.read(second)), proxies.HOLDOUT)
    assert off(np.concatenate([positions(proxy.data) for proxy in holdouts])).max() < 1e-3


def test_without_common_cameras_a_solve_stays_in_its_own_world(reconstruction: Reconstruction, tmp_path: Path) -> None:
    build.build(replace(reconstruction, cameras=reconstruction.cameras[:2]), tmp_path)
    moved = transformed(reconstruction, similar(0.8, 1.3, (3, -2, 7)))
    root = build.build(replace(moved, cameras=moved.cameras[2:]), tmp_path)
    assert world.WORLD not in root
