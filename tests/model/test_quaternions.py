"""Quaternions and matrices."""

import numpy as np

from threer_blender.model import quaternions


def test_matrices_come_back_as_the_same_quaternions() -> None:
    random = np.random.default_rng(0).normal(size=(40, 4))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    matrices = quaternions.matrices_from_wxyz(random)
    np.testing.assert_allclose(np.linalg.det(matrices), 1)
    for quaternion, matrix in zip(random, matrices, strict=True):
        again = quaternions.wxyz_from_matrix(matrix)
        np.testing.assert_allclose(again * np.sign(again @ quaternion), quaternion, atol=1e-12)


def test_w_comes_first_and_a_quarter_turn_about_z_takes_x_to_y() -> None:
    half = np.sqrt(0.5)
    matrix = quaternions.matrices_from_wxyz(np.array([half, 0, 0, half]))
    np.testing.assert_allclose(matrix @ (1, 0, 0), (0, 1, 0), atol=1e-15)


def test_the_product_is_the_first_rotation_after_the_second() -> None:
    pair = np.random.default_rng(1).normal(size=(2, 10, 4))
    first, second = pair / np.linalg.norm(pair, axis=-1, keepdims=True)
    product = quaternions.matrices_from_wxyz(quaternions.product_wxyz(first, second))
    expected = quaternions.matrices_from_wxyz(first) @ quaternions.matrices_from_wxyz(second)
    np.testing.assert_allclose(product, expected, atol=1e-14)
