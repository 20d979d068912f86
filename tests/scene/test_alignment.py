"""Picked points -> the root's matrix: exact where the points are, robust where some of them are not of the surface."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from threer_blender.model.errors import UserError
from threer_blender.scene import alignment
from threer_blender.scene.alignment import Plane


def similarity(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rng.uniform(0.2, 5) * rotation, rng.normal(0, 3, 3)
    return matrix


def standing(matrix: Any, points: Any) -> Any:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def local(matrix: Any, points: Any) -> Any:
    """The points of the reconstruction that stand at `points` in Blender's world."""
    return standing(np.linalg.inv(matrix), points)


def is_similarity(matrix: Any) -> bool:
    square = matrix[:3, :3] @ matrix[:3, :3].T
    return np.allclose(square, square[0, 0] * np.eye(3)) and np.linalg.det(matrix[:3, :3]) > 0


@pytest.mark.parametrize("seed", range(4))
def test_three_points_become_the_ground(seed: int) -> None:
    rng, root = np.random.default_rng(seed), similarity(seed)
    picks = rng.normal(0, 2, (3, 3))
    plane = alignment.plane_through(picks, np.zeros((0, 3)))
    camera = picks.mean(0) + rng.normal(size=3)
    new = alignment.grounded(root, plane, camera)
    there = standing(new, local(root, picks))
    assert np.abs(there[:, 2]).max() < 1e-9
    assert np.allclose(there[:, :2].mean(0), picks[:, :2].mean(0))
    assert standing(new, local(root, camera))[2] > 0
    assert is_similarity(new)
    assert np.linalg.det(new) == pytest.approx(np.linalg.det(root))


def test_a_ground_that_stands_on_its_head_is_brought_round() -> None:
    plane = Plane(np.array((0.0, 0.0, 1.0)), np.array((1.0, 2.0, 3.0)))
    new = alignment.grounded(np.eye(4), plane, np.array((1.0, 2.0, -4.0)))
    assert np.allclose(new[:3, 2], (0, 0, -1))
    assert np.allclose(standing(new, np.array((1.0, 2.0, 3.0))), (1, 2, 0))


def test_real_points_near_the_picks_decide_and_outliers_do_not() -> None:
    """The picks are 3 cm off, the ground's points 2 mm, and one in four near a pick belongs to something on it."""
    rng = np.random.default_rng(1)
    normal = np.array((0.2, -0.1, 1.0)) / np.linalg.norm((0.2, -0.1, 1.0))
    across = np.linalg.svd(normal[None])[2][1:]
    ground = rng.uniform(-2, 2, (40_000, 2)) @ across + rng.normal(0, 0.002, (40_000, 1)) * normal
    things = ground[::3] + rng.uniform(0.02, 0.2, (len(ground[::3]), 1)) * normal
    picks = np.array([(-1.5, -1.5), (1.5, -1.2), (0.2, 1.6)]) @ across + np.array([[0.03], [-0.02], [0.03]]) * normal
    plane = alignment.plane_through(picks, np.concatenate([ground, things]))
    assert np.degrees(np.arccos(abs(plane.normal @ normal))) < 0.1
    assert abs(plane.centre @ normal) < 0.002


def test_points_on_a_line_are_refused() -> None:
    line = np.array([(0, 0, 0), (1, 1, 0.01), (2, 2, 0)], float)
    with pytest.raises(UserError, match="one line"):
        alignment.plane_through(line, np.zeros((0, 3)))
    with pytest.raises(UserError, match="one line"):
        alignment.plane_through(np.ones((3, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("axis", ["", "X", "Y", "Z"])
def test_two_points_lie_along_an_axis(seed: int, axis: str) -> None:
    rng, root = np.random.default_rng(seed), similarity(seed)
    start, end = rng.normal(0, 2, (2, 3))
    new = alignment.along_axis(root, start, end, axis)
    line = standing(new, local(root, end)) - standing(new, local(root, start))
    assert np.allclose(standing(new, local(root, start)), start)
    name = axis or "XYZ"[np.abs(end - start).argmax()]
    other = {"X": 1, "Y": 0, "Z": None}[name]
    if other is None:
        assert np.abs(line[:2]).max() < 1e-9
    else:
        assert abs(line[other]) < 1e-9
        assert np.allclose(new[2], root[2])  # every height stays
    assert (line @ alignment.AXES[name]) * ((end - start) @ alignment.AXES[name]) > 0  # nothing is flipped
    assert is_similarity(new)


def test_an_axis_needs_two_places() -> None:
    point = np.array((1.0, 2.0, 3.0))
    with pytest.raises(UserError, match="are one"):
        alignment.along_axis(np.eye(4), point, point)
    with pytest.raises(UserError, match="right above"):
        alignment.along_axis(np.eye(4), point, np.array((1.0, 2.0, 4.0)), "X")


def test_two_points_get_their_length_and_the_ground_stays() -> None:
    root = similarity(5)
    start, end, ground = np.array([(1.0, 2.0, 0.3), (3.0, -1.0, 0.3), (0.5, 0.5, 0.0)])
    new = alignment.scaled(root, float(np.linalg.norm(end - start)), 7.5)
    there = standing(new, local(root, np.array([start, end, ground])))
    assert np.linalg.norm(there[1] - there[0]) == pytest.approx(7.5)
    assert there[2, 2] == pytest.approx(0, abs=1e-12)
    for length, wanted in ((0.0, 1.0), (1.0, 0.0), (1.0, -2.0), (1e-320, 1e300)):
        with pytest.raises(UserError, match="more than zero"):
            alignment.scaled(root, length, wanted)


def test_the_origin_comes_to_a_point() -> None:
    root, point = similarity(2), np.array((3.0, -1.0, 0.5))
    new = alignment.with_origin(root, point)
    assert np.allclose(standing(new, local(root, point)), 0)
    assert np.allclose(new[:3, :3], root[:3, :3])


@pytest.mark.parametrize(("axis", "direction"), list(product("XYZ", (1, -1))))
def test_quarters(axis: str, direction: int) -> None:
    root = similarity(3)
    new = alignment.quarter_rotated(root, axis, direction)
    index = "XYZ".index(axis)
    first, second = (index + 1) % 3, (index + 2) % 3
    assert np.allclose(new[index], root[index])
    assert np.allclose(new[second], direction * root[first])
    assert np.allclose(new[first], -direction * root[second])
    again = root
    for _ in range(4):
        again = alignment.quarter_rotated(again, axis, direction)
    assert np.allclose(again, root)


def test_an_upright_edge_on_the_plate_comes_as_near_to_upright_as_its_line_allows() -> None:
    centre = np.array((0.0, -4.0, 1.5))
    edge = np.array([(1.0, 0.2, 0.0), (1.2, 0.2, 2.0)])  # leans to the right by 5.7 degrees
    start, end = centre + 0.5 * (edge - centre)
    direction = alignment.line_on_plate(centre, start, end, upright=True)
    normal = np.cross(edge[0] - centre, edge[1] - centre)
    assert abs(direction @ normal) < 1e-9
    rotation = alignment.along_axis(np.eye(4), centre, centre + direction, "Z")[:3, :3]
    assert abs((rotation @ normal)[2]) < 1e-9  # the picture shows it upright
    assert np.degrees(np.arccos((np.trace(rotation) - 1) / 2)) < 5.8
    with pytest.raises(UserError, match="are one"):
        alignment.line_on_plate(centre, edge[0], edge[0], upright=False)
