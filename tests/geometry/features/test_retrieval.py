"""The order in which a capture's photos follow one another, and the places that it revisits."""

import numpy as np

from threer_blender.geometry.features import retrieval
from threer_blender.model.arrays import Array


def along(positions: Array, reach: float = 3.0) -> Array:
    """(N, N) similarity of photos taken at `positions` (N, 2). It falls with their distance."""
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    return np.exp(-((distance / reach) ** 2))


def test_photos_out_of_order_are_put_in_order() -> None:
    walk = np.stack([np.arange(60.0), np.zeros(60)], 1)
    shuffled = np.random.default_rng(0).permutation(60)
    order = shuffled[retrieval.in_order(along(walk[shuffled]))]
    assert (np.abs(np.diff(order)) == 1).all()


def test_an_order_that_holds_together_stays() -> None:
    walk = np.stack([np.arange(60.0) + 0.4 * np.random.default_rng(1).random(60), np.zeros(60)], 1)
    assert retrieval.in_order(along(walk)) == list(range(60))
    assert retrieval.in_order(np.eye(5)) == list(range(5))


def test_a_round_walk_returns_where_it_began() -> None:
    angle = np.linspace(0, 2 * np.pi, 80)
    circle = 15 * np.stack([np.cos(angle), np.sin(angle)], 1)
    actual = retrieval.revisits(along(circle), least_gap=40)
    assert len(actual) == 1
    first, second = actual[0]
    assert first < 8
    assert second > 71
