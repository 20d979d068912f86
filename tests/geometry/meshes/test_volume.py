"""The surface of depth maps lies on the world, faces its photos, and ends where no photo shows the world."""

import numpy as np
import pytest

from tests.blender.world import BALL_CENTRE, BALL_RADIUS
from tests.geometry.meshes.ball import AROUND, CELL, depth_views, off, surface, without
from threer_blender.geometry.meshes import volume
from threer_blender.geometry.meshes.charts import face_normals
from threer_blender.model.proxy_mesh import Mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return surface(depth_views())


def test_the_surface_is_the_worlds(mesh: Mesh) -> None:
    assert np.median(off(mesh.vertices)) < 0.1 * CELL
    assert off(mesh.vertices).max() < 2 * CELL
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(300, 3))
    directions[:, 1] = -np.abs(directions[:, 1])  # the upper half, which all photos see
    on_ball = BALL_CENTRE + BALL_RADIUS * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    assert np.linalg.norm(mesh.vertices[:, None] - on_ball, axis=-1).min(axis=0).max() < 1.5 * CELL


def test_faces_look_to_the_photos(mesh: Mesh) -> None:
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    upper = (middles[:, 1] < -0.8) & (off(middles) < CELL)
    outward = (face_normals(mesh) * (middles - BALL_CENTRE)).sum(axis=1)
    assert upper.sum() > 500
    assert (outward[upper] > 0).mean() > 0.995


def test_a_side_that_no_photo_shows_stays_open() -> None:
    mesh = surface(depth_views(AROUND[:1]))  # from z = 3
    assert len(mesh.faces) > 1000
    assert off(mesh.vertices).max() < 2 * CELL  # no balloon closes it
    on_ball = (mesh.vertices - BALL_CENTRE)[mesh.vertices[:, 1] < -0.1]
    towards = AROUND[0].world_from_camera[:3, 3] - BALL_CENTRE
    height = on_ball @ (towards / np.linalg.norm(towards))  # of the part that the photo shows: above the horizon
    assert height.min() > BALL_RADIUS**2 / np.linalg.norm(towards) - 3 * CELL


def test_a_hole_in_all_depth_maps_stays_a_hole(mesh: Mesh) -> None:
    centre = (1.2, 0.0, 0.0)
    assert (np.linalg.norm(mesh.vertices - centre, axis=1) < 0.2).sum() > 50
    holed = surface([without(view, centre, 0.3) for view in depth_views()])
    assert not (np.linalg.norm(holed.vertices - centre, axis=1) < 0.2).any()


def test_too_many_blocks_make_coarser_cells() -> None:
    fine = volume.fused(depth_views(AROUND[:2]), 1e-4, lambda _done, _total: None)
    assert len(fine.keys) <= volume.MOST_BLOCKS
    assert off(volume.surface(fine).vertices).max() < 0.05


def test_no_depth_makes_no_surface() -> None:
    empty = without(depth_views(AROUND[:1])[0], (0, 0, 0), 99.0)
    assert len(surface([empty]).faces) == 0
