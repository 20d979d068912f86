"""[R] Rotation matrices as rotation vectors and back: the exponential and the logarithm of SO(3). numpy only.

A rotation vector is the axis times the angle in radians. Any number of leading dimensions is allowed.
"""

from __future__ import annotations

import numpy as np

from ..model.arrays import FloatArray

_SMALLEST = 1e-12  # the least divisor; below it sine and angle are equal


def from_vectors(vectors: FloatArray) -> FloatArray:
    """(..., 3, 3) rotation matrices of rotation vectors (..., 3) in radians (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    cross = cross_matrices(vectors)
    divisor = np.maximum(angle, _SMALLEST)
    matrices: FloatArray = np.eye(3) + np.sin(angle) / divisor * cross
    matrices = matrices + (1 - np.cos(angle)) / divisor**2 * cross @ cross
    return matrices


def to_vectors(matrices: FloatArray) -> FloatArray:
    """(..., 3) rotation vectors in radians of rotation matrices (..., 3, 3). Only for angles below pi: at pi the skew
    part, which gives the axis, vanishes."""
    axis = _axis_times_sine(matrices)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    vectors: FloatArray = axis / np.maximum(sine, _SMALLEST) * angles(matrices)[..., None]
    return vectors


def angles(matrices: FloatArray) -> FloatArray:
    """(...) rotation angles in [0, pi] radians of matrices (..., 3, 3), accurate near 0 too."""
    sine = np.linalg.norm(_axis_times_sine(matrices), axis=-1)
    radians: FloatArray = np.arctan2(sine, (np.trace(matrices, axis1=-2, axis2=-1) - 1) / 2)
    return radians


def cross_matrices(vectors: FloatArray) -> FloatArray:
    """(..., 3, 3) matrices [v]x of vectors v (..., 3), so that [v]x @ w is the cross product v x w."""
    matrices = np.zeros((*vectors.shape, 3))
    matrices[..., [2, 0, 1], [1, 2, 0]] = vectors
    matrices[..., [1, 2, 0], [2, 0, 1]] = -vectors
    return matrices


def nearest(matrices: FloatArray) -> FloatArray:
    """(..., 3, 3) the rotations nearest to any matrices (..., 3, 3) in the Frobenius norm (orthogonal Procrustes).

    The rotation nearest to a sum of rotations is their chordal mean (Hartley et al., "Rotation Averaging", 2013).
    """
    left, _, right = np.linalg.svd(matrices)
    left[..., 2] *= np.sign(np.linalg.det(left @ right))[..., None]
    rotation: FloatArray = left @ right
    return rotation


def _axis_times_sine(matrices: FloatArray) -> FloatArray:
    """(..., 3) the axis times the sine of the angle, from the skew part of the matrices (..., 3, 3)."""
    vectors: FloatArray = 0.5 * np.stack(
        [
            matrices[..., 2, 1] - matrices[..., 1, 2],
            matrices[..., 0, 2] - matrices[..., 2, 0],
            matrices[..., 1, 0] - matrices[..., 0, 1],
        ],
        axis=-1,
    )
    return vectors
