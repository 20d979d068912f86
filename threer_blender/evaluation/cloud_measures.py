"""[R] How well points agree with the true surface, as papers measure it. numpy and the k-d tree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import kd_tree
from ..model.arrays import Array, FloatArray


@dataclass(frozen=True)
class Surface:
    """Points (N, 3), and their unit normals (N, 3) where they are known."""

    points: FloatArray
    normals: FloatArray | None = None


@dataclass(frozen=True)
class CloudScores:
    """Scores of points against the true surface, in the truth's unit.

    `accuracy` is the mean distance from a solved point to the nearest true one, `completeness` the same from a true
    point to the nearest solved one; the medians are of the same distances. `far` are the shares of distances that the
    means leave out. `precision`, `recall` and `fscore` are at the distance that was asked for.
    `normal_consistency` is the mean of |n · n'| over the nearest points both ways, NaN without normals.
    """

    accuracy: float
    completeness: float
    accuracy_median: float
    completeness_median: float
    far: tuple[float, float]
    precision: float
    recall: float
    fscore: float
    normal_consistency: float

    @property
    def overall(self) -> float:
        """The mean of accuracy and completeness."""
        return (self.accuracy + self.completeness) / 2


def scores(solved: Surface, true: Surface, threshold: float, farthest: float = np.inf) -> CloudScores | None:
    """The scores of solved points, in the truth's world and unit; None where one side has no point.

    `threshold` is the F-score's distance. Distances from `farthest` on are left out of means and medians, as DTU's
    evaluation (Jensen et al. 2014) does with 20 mm.
    """
    solved, true = _finite(solved), _finite(true)
    if not len(solved.points) or not len(true.points):
        return None
    to_true, off = kd_tree.Tree(true.points).nearest(solved.points)
    to_solved, missed = kd_tree.Tree(solved.points).nearest(true.points)
    precision, recall = (float((distances < threshold).mean()) for distances in (off, missed))
    near = off[off < farthest], missed[missed < farthest]
    accuracy, completeness = (float(distances.mean()) if len(distances) else np.nan for distances in near)
    medians = [float(np.median(distances)) if len(distances) else np.nan for distances in near]
    return CloudScores(
        accuracy=accuracy,
        completeness=completeness,
        accuracy_median=medians[0],
        completeness_median=medians[1],
        far=(1 - len(near[0]) / len(off), 1 - len(near[1]) / len(missed)),
        precision=precision,
        recall=recall,
        fscore=2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0,
        normal_consistency=_normal_consistency(solved.normals, true.normals, to_true, to_solved),
    )


def _finite(surface: Surface) -> Surface:
    inside = np.isfinite(surface.points).all(axis=1)
    return Surface(surface.points[inside], None if surface.normals is None else surface.normals[inside])


def _normal_consistency(solved: FloatArray | None, true: FloatArray | None, to_true: Array, to_solved: Array) -> float:
    if solved is None or true is None:
        return np.nan
    one = np.abs((solved * true[to_true]).sum(1)).mean()
    other = np.abs((true * solved[to_solved]).sum(1)).mean()
    return float((one + other) / 2)


def thinned(surface: Surface, side: float) -> Surface:
    """One point, the mean, for each occupied cube of this `side`, counted from the least coordinates."""
    surface = _finite(surface)
    if not len(surface.points) or side <= 0:
        return surface
    cubes = np.floor((surface.points - surface.points.min(0)) / side).astype(np.int64)
    extent = cubes.max(0) + 1
    if float(np.prod(extent.astype(np.float64))) < 2**62:
        key = (cubes[:, 0] * extent[1] + cubes[:, 1]) * extent[2] + cubes[:, 2]
        _, index, counts = np.unique(key, return_inverse=True, return_counts=True)
    else:
        _, index, counts = np.unique(cubes, axis=0, return_inverse=True, return_counts=True)
    index = index.reshape(-1)
    points = _means(surface.points, index, counts)
    if surface.normals is None:
        return Surface(points)
    normals = _means(surface.normals, index, counts)
    return Surface(points, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def _means(values: FloatArray, index: Array, counts: Array) -> FloatArray:
    """(K, 3) the means of rows (N, 3) with the same `index` (N,), of which there are `counts` (K,)."""
    sums = np.stack([np.bincount(index, values[:, k], len(counts)) for k in range(3)], axis=1)
    means: FloatArray = sums / counts[:, None]
    return means
