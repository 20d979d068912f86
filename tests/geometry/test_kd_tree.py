"""The k-d tree finds what a search through all points finds."""

import numpy as np
import pytest

from threer_blender.geometry import kd_tree

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 9, 300])
@pytest.mark.parametrize("spread", [(1, 1, 1), (1, 1e-9, 0), (0, 0, 0)], ids=["cloud", "line", "one place"])
def test_the_tree_finds_the_nearest(count: int, spread: tuple[float, float, float]) -> None:
    points = np.round(RANDOM.standard_normal((count, 3)), 1) * spread  # many equal coordinates
    queries = np.r_[2 * RANDOM.standard_normal((200, 3)), points]
    distances = np.linalg.norm(queries[:, None] - points, axis=-1)
    index, distance = kd_tree.Tree(points).nearest(queries)
    np.testing.assert_allclose(distance, distances.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(distances[np.arange(len(queries)), index], distances.min(axis=1), atol=1e-12)


@pytest.mark.parametrize("count", [1, 7, 300])
@pytest.mark.parametrize("nearest", [1, 3, 16])
def test_the_mean_distance_to_several_neighbours(count: int, nearest: int) -> None:
    points = np.round(RANDOM.standard_normal((count, 3)), 1)
    queries = np.r_[2 * RANDOM.standard_normal((50, 3)), points]
    distances = np.sort(np.linalg.norm(queries[:, None] - points, axis=-1), axis=1)[:, :nearest]
    np.testing.assert_allclose(kd_tree.Tree(points).mean_distance(queries, nearest), distances.mean(axis=1), atol=1e-12)
