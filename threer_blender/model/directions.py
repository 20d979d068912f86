"""[S] Directions: axes of cameras and worlds, the median of many, and up for cameras that are held level. numpy."""

from __future__ import annotations

import numpy as np

from .arrays import FloatArray

# Our camera axes (x right, y down, z forward) from OpenGL's and Blender's (x right, y up, z backward); its own inverse.
OPENCV_FROM_OPENGL = np.diag((1.0, -1.0, -1.0, 1.0))
UP_IS_MINUS_Y = (0.0, -1.0, 0.0)  # up in a world whose y points down, as in most files of splats
MEAN_UP_WEIGHT = 0.02  # of the cameras' mean up, against level horizons; it matters where all cameras look one way


def geometric_median(vectors: FloatArray) -> FloatArray:
    """The unit vector (3,) along the geometric median of the unit vectors (N, 3), by Weiszfeld's iteration."""
    median: FloatArray = vectors.mean(axis=0)
    for _ in range(50):
        weights = 1 / np.maximum(np.linalg.norm(vectors - median, axis=1), 1e-6)
        median = weights @ vectors / weights.sum()
    length = np.linalg.norm(median)
    return median / length if length > 1e-6 else vectors[0]


def level_up(tilt: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The unit vector up (3,), and the eigenvalues (3,), rising, that measure how certain it is.

    Up is nearly perpendicular to the x axes of all cameras: a camera that is held level has a horizontal x axis,
    however steeply it looks up or down (Brown and Lowe 2007, "Automatic panoramic image stitching using invariant
    features", section 5). `tilt` (3, 3) is the mean of x xᵀ over the unit x axes. Where the cameras hardly rotate, the
    x axes do not determine the pitch. There the unit vector `mean` (3,), the mean of the cameras' up, decides. It also
    decides between the two opposite directions.
    """
    values, vectors = np.linalg.eigh(tilt + MEAN_UP_WEIGHT * (np.eye(3) - np.outer(mean, mean)))
    up: FloatArray = vectors[:, 0]
    return (up if up @ mean > 0 else -up), values


def to_up(up: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) the smallest rotation that takes the unit vector `up` (3,) to the unit vector `target` (3,)."""
    half = up + target
    length = half @ half
    if length < 1e-12:  # they are opposite: a half turn about any axis perpendicular to both
        axis = np.eye(3)[np.abs(target).argmin()]
        axis = axis - (axis @ target) * target
        half_turn: FloatArray = 2 * np.outer(axis, axis) / (axis @ axis) - np.eye(3)
        return half_turn
    rotation: FloatArray = np.eye(3) - 2 * np.outer(half, half) / length + 2 * np.outer(target, up)
    return rotation
