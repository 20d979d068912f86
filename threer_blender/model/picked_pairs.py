"""[S] The similarity that brings picked points of one result onto the same points of another. Numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arrays import FloatArray
from .errors import UserError
from .similarity import Similarity, procrustes, umeyama

LEAST = 3  # pairs
ON_A_LINE = 0.05  # of the picks' extent along their line: picks that are no wider across it lie on a line
FLAT = 0.1  # of the extent: picks that are no thicker lie in a plane, and fit a mirror image as well
MOST_RESIDUAL = 0.2  # of the picks' extent: above it the picks are not the same points
ONE_SIDE = 0.8  # of the cameras stand on one side of the picks' plane
FEW = f"Pick at least {LEAST} pairs: a point of the first result, then the same point of the second."
COLLINEAR = "The picked points lie on one line: pick three or more that span a triangle."
MIRRORED = "The picked pairs are mirrored: pick the same points, in the same order, in both results."


class PickedFit(NamedTuple):
    """`target_from_source`, and the residual: root mean square over the pairs, as a share of their extent."""

    target_from_source: Similarity
    residual: float


def fit(source: FloatArray, target: FloatArray, source_eyes: FloatArray, target_eyes: FloatArray) -> PickedFit:
    """The similarity from the picks `source` (N, 3) onto `target` in least squares, N ≥ 3.

    `source_eyes` and `target_eyes` (M, 3) are centres of cameras of the two results: where the picks are in a plane,
    they tell whether it is seen from the same side. Raises UserError where the picks are too few, lie on a line, are
    mirrored, or are not the same points.
    """
    if len(source) < LEAST or len(source) != len(target):
        raise UserError(FEW)
    extents = [np.linalg.svd(points - points.mean(0), compute_uv=False) for points in (source, target)]
    if any(extent[1] <= ON_A_LINE * extent[0] for extent in extents):
        raise UserError(COLLINEAR)
    fitted = procrustes(source, target, np.ones(len(source)))
    spread = float(np.sqrt(((target - target.mean(0)) ** 2).sum(1).mean()))
    residual = float(np.sqrt(((fitted.apply(source) - target) ** 2).sum(1).mean())) / spread
    is_flat = any(extent[2] <= FLAT * extent[0] for extent in extents)
    if is_flat and _side(source, source_eyes) * _side(target, target_eyes) * _orientation(fitted, source, target) < 0:
        raise UserError(MIRRORED)
    if residual <= MOST_RESIDUAL:
        return PickedFit(fitted, residual)
    mirrored = umeyama(source[None] * (1, 1, -1), target[None], np.ones((1, len(source))))
    reflected = Similarity(float(mirrored.scale[0]), mirrored.rotation[0], mirrored.translation[0])
    if not is_flat and np.abs(reflected.apply(source * (1, 1, -1)) - target).max() < MOST_RESIDUAL * spread:
        raise UserError(MIRRORED)
    raise UserError(
        f"The picked pairs do not fit each other: {residual:.0%} of their extent is left. Pick the same points in both "
        "results."
    )


def _normal(points: FloatArray) -> FloatArray:
    """(3,) a unit normal of the plane through points, one of the two."""
    normal: FloatArray = np.linalg.svd(points - points.mean(0))[2][2]
    return normal


def _side(points: FloatArray, eyes: FloatArray) -> float:
    """1 or -1, the side of the points' plane on which most cameras stand; 0 where they stand on both sides."""
    if not len(eyes):
        return 0.0
    share = float(np.mean((eyes - points.mean(0)) @ _normal(points) > 0))
    return 1.0 if share >= ONE_SIDE else -1.0 if share <= 1 - ONE_SIDE else 0.0


def _orientation(fitted: Similarity, source: FloatArray, target: FloatArray) -> float:
    """1 where the similarity brings the normal of the picks' plane onto that of the other plane, -1 onto its back."""
    return float(np.sign((fitted.rotation @ _normal(source)) @ _normal(target)))
