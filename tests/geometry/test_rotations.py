"""Rotation vectors and matrices."""

import numpy as np
import pytest

from threer_blender.geometry import rotations


def test_vectors_come_back_from_matrices_at_every_angle() -> None:
    axes = np.random.default_rng(0).normal(size=(50, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = np.geomspace(1e-9, 3.1, 50)
    vectors = axes * angles[:, None]
    matrices = rotations.from_vectors(vectors)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-14)
    np.testing.assert_allclose(rotations.to_vectors(matrices), vectors, rtol=1e-9, atol=1e-16)
    np.testing.assert_allclose(rotations.angles(matrices), angles, rtol=1e-9, atol=1e-16)


def test_a_single_vector_turns_about_its_axis() -> None:
    quarter = rotations.from_vectors(np.array([0, 0, np.pi / 2]))
    np.testing.assert_allclose(quarter @ (1, 0, 0), (0, 1, 0), atol=1e-15)
    np.testing.assert_array_equal(rotations.from_vectors(np.zeros(3)), np.eye(3))
    np.testing.assert_array_equal(rotations.to_vectors(np.eye(3)), np.zeros(3))


def test_cross_matrices_take_the_cross_product() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 4, 5, 3))
    product = (rotations.cross_matrices(a) @ b[..., None])[..., 0]
    np.testing.assert_allclose(product, np.cross(a, b), atol=1e-15)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_nearest_rotation_beats_all_others_near_it(mirrored: bool) -> None:
    random = np.random.default_rng(2)
    matrix = random.normal(size=(3, 3))
    if (np.linalg.det(matrix) < 0) != mirrored:
        matrix[0] *= -1
    best = rotations.nearest(matrix)
    assert np.linalg.det(best) == pytest.approx(1)
    others = rotations.from_vectors(0.1 * random.normal(size=(200, 3))) @ best
    assert np.linalg.norm(best - matrix) < np.linalg.norm(others - matrix, axis=(1, 2)).min()
