"""Meshes keep their shape within a budget of faces, and lose small loose parts."""

import numpy as np
import pytest

from tests.geometry.meshes.ball import CELL, depth_views, off, surface
from threer_blender.geometry.meshes.charts import neighbours
from threer_blender.geometry.meshes.simplification import (
    proper,
    simplified,
    used,
    without_pinholes,
    without_small_parts,
)
from threer_blender.model.proxy_mesh import Mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return surface(depth_views())


def test_the_budget_is_held_and_the_shape_stays(mesh: Mesh) -> None:
    small = simplified(mesh, 1500)
    assert 1000 < len(small.faces) <= 1500
    assert np.median(off(small.vertices)) < 0.5 * CELL
    assert np.ptp(small.vertices, axis=0) == pytest.approx(np.ptp(mesh.vertices, axis=0), abs=4 * CELL)
    assert simplified(mesh, len(mesh.faces)) is mesh


def test_small_loose_parts_go(mesh: Mesh) -> None:
    whole = without_small_parts(mesh)
    floater = np.array([[9, 9, 9], [9.1, 9, 9], [9, 9.1, 9]], np.float32)
    both = Mesh(
        np.concatenate([whole.vertices, floater]),
        np.concatenate([whole.faces, len(whole.vertices) + np.array([[0, 1, 2]])]).astype(np.int32),
    )
    assert len(without_small_parts(both).faces) == len(whole.faces)
    assert without_small_parts(both).vertices.max() < 8


def test_faces_that_are_no_faces_go() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0], [2, 0, 0]], np.float32)
    faces = np.array([[0, 1, 2], [3, 1, 2], [0, 3, 1], [0, 1, 4]], np.int32)
    mesh = proper(Mesh(vertices, faces))
    assert len(mesh.faces) == 1
    assert len(mesh.vertices) == 3


def test_unused_vertices_go() -> None:
    mesh = used(np.arange(12.0).reshape(4, 3), np.array([[0, 2, 3]]))
    assert mesh.faces.tolist() == [[0, 1, 2]]
    assert mesh.vertices[:, 0].tolist() == [0, 6, 9]


def test_pinholes_are_closed_and_holes_stay(mesh: Mesh) -> None:
    def borders(faces: np.ndarray) -> int:  # type: ignore[type-arg]
        return int((neighbours(faces) < 0).sum())

    # Each face is so far from the top of the ball, where a hole is made.
    from_top = np.linalg.norm(mesh.vertices[mesh.faces].mean(axis=1) - (0, -1.4, 0), axis=1)
    pierced = Mesh(mesh.vertices, mesh.faces[(mesh.faces != mesh.faces[from_top.argmin(), 0]).all(axis=1)])
    assert borders(pierced.faces) > borders(mesh.faces)
    assert borders(without_pinholes(pierced).faces) <= borders(mesh.faces)
    open_top = Mesh(mesh.vertices, mesh.faces[from_top > 0.3])
    assert borders(without_pinholes(open_top).faces) > borders(without_pinholes(mesh).faces) + 16
