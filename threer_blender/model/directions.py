"""[S] Directions: the middle of many, and up by cameras that are held level. numpy."""

from __future__ import annotations

import numpy as np

from .arrays import FloatArray

MEAN_UP_WEIGHT = 0.02  # how much the mean up counts against level horizons; matters where all cameras look one way


def geometric_median(vectors: FloatArray) -> FloatArray:
    """Unit vector nearest to most of the unit vectors (N, 3), by Weiszfeld's iteration."""
    median: FloatArray = vectors.mean(axis=0)
    for _ in range(50):
        weights = 1 / np.maximum(np.linalg.norm(vectors - median, axis=1), 1e-6)
        median = weights @ vectors / weights.sum()
    length = np.linalg.norm(median)
    return median / length if length > 1e-6 else vectors[0]


def level_up(tilt: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Up (3,) on the side of the unit vector `mean` up, and the eigenvalues (3,) that say how sure it is.

    A level horizon makes each camera's x axis horizontal, however steeply it looks up or down (Brown and Lowe 2007,
    "Automatic panoramic image stitching using invariant features", section 5). `tilt` (3, 3) is the mean of the x axes'
    squares. Where the cameras hardly turn, that leaves the pitch open, and `mean` decides.
    """
    values, vectors = np.linalg.eigh(tilt + MEAN_UP_WEIGHT * (np.eye(3) - np.outer(mean, mean)))
    up: FloatArray = vectors[:, 0]
    return (up if up @ mean > 0 else -up), values
