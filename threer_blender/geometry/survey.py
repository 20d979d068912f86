"""[R] A solve in survey coordinates: the similarity that brings triangulated points onto surveyed ones, robustly.

Three points tell a similarity (Umeyama 1991); it is fitted to every three of them, and the one with which most others
agree decides which points contradict the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Camera
from . import similarities
from .triangulation import triangulate

LEAST = 3  # points
LEAST_ANGLE = 1.0  # degrees between the two rays that see a point farthest apart
LARGEST_ERROR = 0.01  # of the longer side: where the rays to a point do not meet
COLLINEAR = 0.02  # the second singular value over the first: points nearer to a line than that tell no rotation
TOLERANCE = 0.02  # of the points' extent: how far a point may be off with any three, before the fit tells the scatter
OUTLIER = 4.0  # times the median residual
LEAST_SCATTER = 1e-3  # of the extent: smaller residuals contradict nothing
MOST_SUBSETS = 3000
FARTHEST = 10_000.0  # units from the origin, beyond which single precision loses millimetres
ROUND = 1000.0  # units to which the origin is then moved

FEW = (
    "{count} of the survey points can be used, and three are the fewest: each must be marked in two or more solved "
    "photos that were taken from different places."
)
ON_A_LINE = "The survey points lie on a line, so that nothing tells the rotation about it: mark one beside it, too."
NO_THREE = (
    "The survey points contradict each other: no three of them fit the solve with any other; check their names, the "
    "order of the coordinates, and the pixels."
)


@dataclass(frozen=True)
class Sightings:
    """Where `cameras` see a point: `pixels` (K, 2) of each camera."""

    cameras: Sequence[Camera]
    pixels: FloatArray


@dataclass(frozen=True)
class SurveyFit:
    """`matrix` (4, 4) survey from solve; `agrees` (N,) which points it was fitted to; `residuals` (N,) distances in
    survey units, NaN where a point is not triangulated; `triangulated` (N, 3) in survey coordinates."""

    matrix: FloatArray
    agrees: BoolArray
    residuals: FloatArray
    triangulated: FloatArray


def offset(surveyed: FloatArray) -> FloatArray:
    """(3,) what is taken from the coordinates (N, 3): nothing, or round numbers where they lie far from the origin."""
    middle = np.median(surveyed, axis=0)
    return np.where(np.abs(middle) > FARTHEST, np.round(middle / ROUND) * ROUND, 0.0)


def fit(surveyed: FloatArray, sightings: Sequence[Sightings]) -> SurveyFit:
    """The similarity from the solve's world to the surveyed points (N, 3).

    Raises UserError where fewer than three points can be used, they lie on a line, or contradict each other.
    """
    solved = np.array([_triangulated(each) for each in sightings]).reshape(-1, 3)
    usable = np.isfinite(solved).all(axis=1)
    if usable.sum() < LEAST:
        raise UserError(FEW.format(count=int(usable.sum()) or "None"))
    source, target = solved[usable], surveyed[usable]
    if _is_on_a_line(target):
        raise UserError(ON_A_LINE)
    inliers = _agreeing(source, target)
    similarity = _similarity(source[inliers], target[inliers])
    residuals = np.full(len(surveyed), np.nan)
    residuals[usable] = np.linalg.norm(similarity.apply(source[None])[0] - target, axis=1)
    agrees = np.zeros(len(surveyed), np.bool_)
    agrees[np.flatnonzero(usable)[inliers]] = True
    matrix = np.eye(4)
    matrix[:3, :3] = similarity.scale[0] * similarity.rotation[0]
    matrix[:3, 3] = similarity.translation[0]
    return SurveyFit(matrix, agrees, residuals, solved @ matrix[:3, :3].T + matrix[:3, 3])


def _triangulated(sightings: Sightings) -> FloatArray:
    """(3,) where the rays to a point meet; NaN where there are too few, or they do not."""
    nowhere = np.full(3, np.nan)
    best, widest = nowhere, np.radians(LEAST_ANGLE)
    pairs = islice(combinations(range(len(sightings.cameras)), 2), MOST_SUBSETS)
    for first, second in pairs:
        cameras = sightings.cameras[first], sightings.cameras[second]
        pixels = sightings.pixels[first, None], sightings.pixels[second, None]
        points, errors, angles = triangulate(*pixels, *cameras)
        if angles[0] > widest and errors[0] < LARGEST_ERROR * max(cameras[0].width, cameras[0].height):
            best, widest = points[0], float(angles[0])
    if len(sightings.cameras) < 3 or not np.isfinite(best).all():
        return best
    return _refined(best, sightings)


def _refined(point: FloatArray, sightings: Sightings) -> FloatArray:
    """The point by all of its sightings: Gauss-Newton on the pixels, numerically."""
    step = 1e-6 * max(1e-6, float(np.linalg.norm(point - sightings.cameras[0].world_from_camera[:3, 3])))

    def off(place: FloatArray) -> FloatArray:
        projected = np.array([camera.project(place) for camera in sightings.cameras])
        return np.nan_to_num((projected - sightings.pixels).ravel())

    for _ in range(5):
        here = off(point)
        slope = np.stack([(off(point + step * axis) - here) / step for axis in np.eye(3)], axis=1)
        point = point - np.linalg.lstsq(slope, here, rcond=None)[0]
    return point


def _is_on_a_line(points: FloatArray) -> bool:
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(values[1] < COLLINEAR * values[0])


def _similarity(source: FloatArray, target: FloatArray) -> similarities.Similarities:
    return similarities.fit(source[None], target[None], np.ones((1, len(source))))


def _agreeing(source: FloatArray, target: FloatArray) -> BoolArray:
    """(N,) the points that agree with the three that most agree with."""
    extent = float(np.linalg.norm(np.ptp(target, axis=0)))
    best: tuple[float, Array] | None = None
    for three in _triples(len(source)):
        if _is_on_a_line(target[three]):
            continue
        residual = np.linalg.norm(_similarity(source[three], target[three]).apply(source[None])[0] - target, axis=1)
        cost = float(np.minimum(residual / (TOLERANCE * extent), 1).sum())
        if best is None or cost < best[0]:
            best = cost, residual < TOLERANCE * extent
    if best is None:
        raise UserError(ON_A_LINE)
    inliers: BoolArray = best[1]
    if inliers.sum() < LEAST or (len(source) > LEAST and inliers.sum() == LEAST):
        raise UserError(NO_THREE)
    for _ in range(5):
        residual = np.linalg.norm(_similarity(source[inliers], target[inliers]).apply(source[None])[0] - target, axis=1)
        scatter = max(LEAST_SCATTER * extent, OUTLIER * float(np.median(residual[inliers])))
        agreeing = residual < min(scatter, TOLERANCE * extent)
        if agreeing.sum() < LEAST or (agreeing == inliers).all():
            break
        inliers = agreeing
    return inliers


def _triples(count: int) -> list[list[int]]:
    """All of them, or as many at random as MOST_SUBSETS."""
    if count * (count - 1) * (count - 2) / 6 <= MOST_SUBSETS:
        return [list(each) for each in combinations(range(count), 3)]
    random = np.random.default_rng(0)
    return [random.choice(count, 3, replace=False).tolist() for _ in range(MOST_SUBSETS)]
