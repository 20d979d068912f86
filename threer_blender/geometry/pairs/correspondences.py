"""[R] Pixels of two photos that show the same point, by their pointmaps alone. numpy and numba."""

from __future__ import annotations

import numpy as np

from ...model.arrays import Array
from ..kd_tree import Tree
from .pairs import Matches, PairPrediction


def mutual_nearest(first: Array, second: Array) -> Array:
    """(K, 2) indices i, j of the points in `first` (N, 3) and `second` (M, 3) that are each other's nearest neighbours
    (DUSt3R, section 3.3). Points that are not finite are no neighbours.
    """
    usable_first, usable_second = (np.flatnonzero(np.isfinite(side).all(axis=1)) for side in (first, second))
    if not (len(usable_first) and len(usable_second)):
        return np.empty((0, 2), np.int64)
    first, second = first[usable_first], second[usable_second]
    of_first, _ = Tree(second).nearest(first)
    of_second, _ = Tree(first).nearest(second)
    mutual = np.flatnonzero(of_second[of_first] == np.arange(len(first)))
    return np.stack([usable_first[mutual], usable_second[of_first[mutual]]], axis=1)


def from_pointmaps(prediction: PairPrediction) -> Matches:
    """The matches of a pair: the mutually nearest points of its two pointmaps, both in the first camera's frame.

    A match's confidence is the geometric mean of its two points'. Photos that do not overlap have matches too, of low
    confidence.
    """
    pairs = mutual_nearest(prediction.points_first.reshape(-1, 3), prediction.points_second.reshape(-1, 3))
    confidence_first, confidence_second = prediction.confidence_first, prediction.confidence_second
    return Matches(
        prediction.first,
        prediction.second,
        map_pixels(pairs[:, 0], confidence_first.shape[1]),
        map_pixels(pairs[:, 1], confidence_second.shape[1]),
        np.sqrt(confidence_first.ravel()[pairs[:, 0]] * confidence_second.ravel()[pairs[:, 1]]),
    )


def map_pixels(indices: Array, width: int) -> Array:
    """(N, 2) x, y of the pixels with these `indices`, numbered along the rows of a map of this `width`, the centre of
    the top-left one being (0.5, 0.5)."""
    return np.stack([indices % width, indices // width], axis=1) + 0.5
