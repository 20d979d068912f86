"""[R] A solve in survey coordinates: the similarity that brings triangulated points onto surveyed ones, robustly.

Three points determine a similarity (Umeyama 1991). One is fitted to every three points, and the one with which the
others agree best decides which points contradict the rest.
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

LEAST = 3  # points that must be triangulated, and agree with the similarity
LEAST_ANGLE = 1.0  # degrees, of the widest angle between two rays to a point; below it, the point is not triangulated
LARGEST_ERROR = 0.01  # of the photo's longer side: above this reprojection error, two rays do not meet
COLLINEAR = 0.02  # second singular value over the first: below it, points are on a line and do not tell the rotation
TOLERANCE = 0.02  # of the points' extent: largest residual of a point that agrees with a similarity
OUTLIER = 4.0  # times the median residual of the agreeing points: larger residuals do not agree with the final fit
LEAST_SCATTER = 1e-3  # of the extent: smaller residuals agree in any case
MOST_SUBSETS = 3000  # triples of points that are fitted, and pairs of photos that a point is triangulated from, at most
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
class PointMarks:
    """The `cameras` in whose photos one survey point is marked, and the `pixels` (K, 2) of the marks in these
    photos."""

    cameras: Sequence[Camera]
    pixels: FloatArray


@dataclass(frozen=True)
class SurveyFit:
    """`matrix` (4, 4) is the similarity from the solve's world to the survey. `agrees` (N,) says which points it was
    fitted to.

    `residuals` (N,) are distances in survey units, and `triangulated` (N, 3) the points in survey coordinates, both NaN
    where a point could not be triangulated.
    """

    matrix: FloatArray
    agrees: BoolArray
    residuals: FloatArray
    triangulated: FloatArray


def offset(surveyed: FloatArray) -> FloatArray:
    """(3,) the round numbers to subtract from the coordinates (N, 3), so that they lie near the origin; 0 on the axes
    on which they do already."""
    middle = np.median(surveyed, axis=0)
    return np.where(np.abs(middle) > FARTHEST, np.round(middle / ROUND) * ROUND, 0.0)


def fit(surveyed: FloatArray, marks: Sequence[PointMarks]) -> SurveyFit:
    """The similarity from the solve's world to the survey, by the `surveyed` points (N, 3) and the `marks` of each.

    Raises UserError where fewer than three points can be triangulated, they lie on a line, or contradict each other.
    """
    solved = np.array([_triangulated(each) for each in marks]).reshape(-1, 3)
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


def _triangulated(marks: PointMarks) -> FloatArray:
    """(3,) the point, from the two rays with the widest angle, refined by all; NaN where no two rays meet well."""
    nowhere = np.full(3, np.nan)
    best, widest = nowhere, np.radians(LEAST_ANGLE)
    pairs = islice(combinations(range(len(marks.cameras)), 2), MOST_SUBSETS)
    for first, second in pairs:
        cameras = marks.cameras[first], marks.cameras[second]
        pixels = marks.pixels[first, None], marks.pixels[second, None]
        points, errors, angles = triangulate(*pixels, *cameras)
        if angles[0] > widest and errors[0] < LARGEST_ERROR * max(cameras[0].width, cameras[0].height):
            best, widest = points[0], float(angles[0])
    if len(marks.cameras) < 3 or not np.isfinite(best).all():
        return best
    return _refined(best, marks)


def _refined(point: FloatArray, marks: PointMarks) -> FloatArray:
    """The point (3,) that fits all of its marks: Gauss-Newton on the pixels, with numerical derivatives."""
    step = 1e-6 * max(1e-6, float(np.linalg.norm(point - marks.cameras[0].world_from_camera[:3, 3])))

    def off(place: FloatArray) -> FloatArray:
        projected = np.array([camera.project(place) for camera in marks.cameras])
        return np.nan_to_num((projected - marks.pixels).ravel())

    for _ in range(5):
        here = off(point)
        slope = np.stack([(off(point + step * axis) - here) / step for axis in np.eye(3)], axis=1)
        point = point - np.linalg.lstsq(slope, here, rcond=None)[0]
    return point


def _is_on_a_line(points: FloatArray) -> bool:
    """Whether the points (N, 3) are nearly collinear."""
    values = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(values[1] < COLLINEAR * values[0])


def _similarity(source: FloatArray, target: FloatArray) -> similarities.Similarities:
    return similarities.fit(source[None], target[None], np.ones((1, len(source))))


def _agreeing(source: FloatArray, target: FloatArray) -> BoolArray:
    """(N,) bool: the points that agree with the best triple's similarity, refined by fits to those that agree.

    Raises UserError where all triples lie on a line, or no more than a triple itself agrees.
    """
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
    """Triples of indices below `count`: all, or MOST_SUBSETS random ones. They are the same each time."""
    if count * (count - 1) * (count - 2) / 6 <= MOST_SUBSETS:
        return [list(each) for each in combinations(range(count), 3)]
    random = np.random.default_rng(0)
    return [random.choice(count, 3, replace=False).tolist() for _ in range(MOST_SUBSETS)]
