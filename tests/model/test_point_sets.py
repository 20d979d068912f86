"""Floaters, decimation and planes of point sets whose truth is known."""

import numpy as np
import pytest

from threer_blender.geometry.kd_tree import Tree
from threer_blender.model import point_sets
from threer_blender.model.errors import UserError


def test_known_floaters_are_marked_and_nothing_else() -> None:
    """A surface that is sparse where it is far, and floaters over it, some of them in pairs."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 20, 60_000)
    surface = np.stack([depth * rng.uniform(-1, 1, len(depth)), 0.1 * np.sin(depth), depth], axis=1)
    alone = np.stack([rng.uniform(-1, 1, 300), rng.uniform(0.5, 3, 300), rng.uniform(1, 6, 300)], axis=1)
    points = np.concatenate([surface, alone, alone[:50] + 1e-3])
    spacing = 0.01 * points[:, 2]
    distances = Tree(points).mean_distance(points, 9) * 9 / 8
    marked = point_sets.floaters(distances.astype(np.float32), spacing.astype(np.float32), 4.0)
    is_floater = np.arange(len(points)) >= len(surface)
    assert marked[is_floater].mean() > 0.97
    assert is_floater[marked].mean() > 0.9


def test_points_at_no_distance_and_at_infinity() -> None:
    assert not point_sets.floaters(np.ones(5, np.float32), None, 4.0).any()
    marked = point_sets.floaters(np.array([1, 1.1, 0.9, 1, np.inf], np.float32), None, 4.0)
    assert marked.tolist() == [False, False, False, False, True]


def test_the_most_confident_point_of_each_cube_stays() -> None:
    rng = np.random.default_rng(1)
    points, confidence = rng.uniform(-1, 1, (5000, 3)).astype(np.float32), rng.integers(0, 9, 5000).astype(np.float32)
    chosen = point_sets.one_a_cube(points, 0.3, confidence)
    cubes = np.floor(points / np.float32(0.3)).astype(int)
    best: dict[tuple[int, ...], float] = {}
    for cube, value in zip(map(tuple, cubes.tolist()), confidence.tolist(), strict=True):
        best[cube] = max(best.get(cube, 0.0), value)
    assert chosen.sum() == len(best)
    assert all(confidence[i] == best[tuple(cubes[i].tolist())] for i in np.flatnonzero(chosen))
    assert point_sets.one_a_cube(points, 0.3, None).sum() == len(best)
    assert not len(point_sets.one_a_cube(points[:0], 0.3, None))


def test_planes_in_noise_and_clutter() -> None:
    rng = np.random.default_rng(2)
    floor = np.c_[rng.uniform(-2, 2, (4000, 2)), rng.normal(0, 0.003, 4000)]
    wall = np.c_[rng.uniform(-2, 2, 2000), rng.normal(1, 0.003, 2000), rng.uniform(0.1, 2, 2000)]
    clutter = rng.uniform(-2, 2, (1500, 3))
    numbers = point_sets.on_planes(np.concatenate([floor, wall, clutter]).astype(np.float32), 2, 0.015)
    assert (numbers[:4000] == 0).mean() > 0.98
    assert (numbers[4000:6000] == 1).mean() > 0.98
    assert (numbers[6000:] == -1).mean() > 0.95
    with pytest.raises(UserError, match="No plane"):
        point_sets.on_planes(rng.uniform(-2, 2, (4000, 3)).astype(np.float32), 2, 0.001)
