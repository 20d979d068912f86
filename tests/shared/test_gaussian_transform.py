"""Moved, turned and scaled splats: covariances follow, and each direction keeps its colour."""

import numpy as np
import pytest

from tests.splats import colors, covariances, matrices, random_gaussians
from threer_blender.model import spherical_harmonics
from threer_blender.model.errors import UserError
from threer_blender.model.gaussian_transform import transformed

TURN = matrices([[0.3, -0.7, 0.2, 0.61]] / np.linalg.norm([0.3, -0.7, 0.2, 0.61]))[0]


def matrix(linear, move=(1.0, -2.0, 0.5)):
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = linear, move
    return found


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_similarity(degree):
    gaussians = random_gaussians(500, degree)
    moved = transformed(gaussians, matrix(2.5 * TURN))
    assert moved.means == pytest.approx(2.5 * gaussians.means @ TURN.T + (1, -2, 0.5), abs=1e-5)
    expected = 2.5**2 * TURN @ covariances(gaussians) @ TURN.T
    assert covariances(moved) == pytest.approx(expected, abs=1e-5)
    directions = np.random.default_rng(1).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = colors(gaussians.sh, directions)
    assert colors(moved.sh, directions @ TURN.T) == pytest.approx(before, abs=1e-5)


def test_harmonics_are_orthonormal():
    """Over a fine sphere; the published constants, in other words."""
    count = 20_000
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    functions = spherical_harmonics.basis(radius * np.cos(angle), radius * np.sin(angle), z, 3)
    values = np.stack([np.broadcast_to(function, count) for function in functions])
    assert 4 * np.pi * values @ values.T / count == pytest.approx(np.eye(16), abs=1e-3)


@pytest.mark.parametrize(
    ("linear", "sentence"),
    [(np.diag((1.0, 2.0, 1.0)), "uniform"), (np.diag((-1.0, 1.0, 1.0)), "positive"), (np.zeros((3, 3)), "positive")],
)
def test_what_splats_cannot_follow(linear, sentence):
    with pytest.raises(UserError, match=sentence):
        transformed(random_gaussians(3), matrix(linear))
