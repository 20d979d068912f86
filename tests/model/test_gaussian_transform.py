"""Moved, turned and scaled splats: covariances follow, and each direction keeps its colour."""

from typing import Any

import numpy as np
import pytest

from tests.splats import colors, covariances, matrices, random_gaussians
from threer_blender.model import spherical_harmonics
from threer_blender.model.errors import UserError
from threer_blender.model.gaussian_transform import mirrored, transformed

ROTATION = matrices(np.array([[0.3, -0.7, 0.2, 0.61]]) / np.linalg.norm([0.3, -0.7, 0.2, 0.61]))[0]


def matrix(linear: Any, translation: tuple[float, float, float] = (1.0, -2.0, 0.5)) -> Any:
    """(4, 4) the affine map with this linear part (3, 3) and translation."""
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = linear, translation
    return affine


@pytest.mark.parametrize(
    "rotation", [ROTATION, -ROTATION, ROTATION @ np.diag((1, -1, 1))], ids=["turned", "mirrored", "both"]
)
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_similarity(degree: int, rotation: Any) -> None:
    gaussians = random_gaussians(500, degree)
    moved = transformed(gaussians, matrix(2.5 * rotation))
    assert moved.means == pytest.approx(2.5 * gaussians.means @ rotation.T + (1, -2, 0.5), abs=1e-5)
    expected = 2.5**2 * rotation @ covariances(gaussians) @ rotation.T
    assert covariances(moved) == pytest.approx(expected, abs=1e-5)
    directions = np.random.default_rng(1).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    before = colors(gaussians.sh, directions)
    assert colors(moved.sh, directions @ rotation.T) == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("signs", [(1, -1, -1), (-1, 1, 1), (-1, -1, -1), (1, 1, 1)])
def test_mirrored(signs: tuple[int, int, int]) -> None:
    """The result is that of `transformed`, and each splat's axes keep their order."""
    gaussians = random_gaussians(100)
    expected = transformed(gaussians, matrix(np.diag(np.array(signs, np.float64)), (0, 0, 0)))
    flipped = mirrored(gaussians, np.array(signs))
    assert flipped.means == pytest.approx(expected.means)
    assert covariances(flipped) == pytest.approx(covariances(expected), abs=1e-6)
    assert flipped.sh == pytest.approx(expected.sh, abs=1e-6)
    assert (np.abs(flipped.rotations) == np.abs(gaussians.rotations)).all()


def test_harmonics_are_orthonormal() -> None:
    """Integrated over a fine sphere: so the published constants are right."""
    count = 20_000
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    functions = spherical_harmonics.basis(radius * np.cos(angle), radius * np.sin(angle), z, 3)
    values = np.stack([np.broadcast_to(function, count) for function in functions])
    assert 4 * np.pi * values @ values.T / count == pytest.approx(np.eye(16), abs=1e-3)


@pytest.mark.parametrize(
    ("linear", "sentence"),
    [(np.diag((1.0, 2.0, 1.0)), "uniform"), (np.diag((1.0, 1.0, 0.0)), "larger than 0"), (np.zeros((3, 3)), "larger")],
)
def test_what_splats_cannot_follow(linear: Any, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        transformed(random_gaussians(3), matrix(linear))
