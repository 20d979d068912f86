"""A solve comes onto a scan of the same place, with its scale, though either shows what the other does not."""

import numpy as np
import pytest

from threer_blender.geometry import rotations
from threer_blender.geometry.clouds import scan_registration
from threer_blender.model.arrays import Array


def surfaces(count: int, seed: int) -> Array:
    """(N, 3) places on the floor, three walls and a box of a room of 6 × 5 × 3 m."""
    random = np.random.default_rng(seed)
    u, v = random.random((2, count, 1))
    zero = np.zeros((count, 1))
    return np.concatenate(
        [
            np.hstack([6 * u, 5 * v, zero]),
            np.hstack([6 * u, zero, 3 * v]),
            np.hstack([zero, 5 * u, 3 * v]),
            np.hstack([zero + 6, 5 * u, 3 * v]),
            np.hstack([2 + u, 2 + v, zero + 0.8]),
            np.hstack([2 + u, zero + 2, 0.8 * v]),
            np.hstack([zero + 2, 2 + u, 0.8 * v]),
        ]
    )


def similarity(angle: float, scale: float, shift: tuple[float, float, float]) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotations.from_vectors(angle * np.array([[0.3, -0.5, 0.8]]))[0]
    matrix[:3, 3] = shift
    return matrix


@pytest.fixture(scope="module")
def scan() -> Array:
    """4 mm of noise, and a tree outside that the solve does not know."""
    random = np.random.default_rng(1)
    room = surfaces(15000, 2)
    return np.concatenate([room + 0.004 * random.standard_normal(room.shape), random.uniform(7, 9, (3000, 3))])


def test_a_solve_nearby_comes_onto_the_scan(scan: Array) -> None:
    """From 4 cm, 1 degree and 1 % off to 4 mm in the corners; a sixth of its points float in the air."""
    random = np.random.default_rng(3)
    room = surfaces(900, 4)
    in_scan = np.concatenate([room + 0.01 * random.standard_normal(room.shape), random.uniform(0.5, 2.5, (1200, 3))])
    scan_from_solve = similarity(1.0, 0.4, (3.0, -2.0, 1.0))
    solve = (in_scan - scan_from_solve[:3, 3]) @ np.linalg.inv(scan_from_solve[:3, :3]).T
    start: Array = similarity(0.02, 1.01, (0.03, -0.02, 0.02)) @ scan_from_solve
    fitted = scan_registration.fit(solve, scan, start, 0.06)
    assert fitted is not None
    fitted_from_true = fitted.matrix @ np.linalg.inv(scan_from_solve)
    corners = np.array([[0, 0, 0], [6, 0, 0], [0, 5, 0], [0, 0, 3], [6, 5, 3]], float)
    assert np.abs(corners @ fitted_from_true[:3, :3].T + fitted_from_true[:3, 3] - corners).max() < 0.004
    assert fitted.after < 0.5 * fitted.before
    assert fitted.after < 0.01
    assert 0.5 < fitted.share <= 1


def test_far_away_there_is_nothing_to_fit() -> None:
    far = np.eye(4)
    far[:3, 3] = 1000.0
    assert scan_registration.fit(surfaces(100, 1), surfaces(3000, 2), far, 0.05) is None
