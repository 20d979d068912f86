"""[R] Points of a solve, fitted to a scan of the same place: the closest planes, again and again, scale included.

The scan is cut into cubes, each with the plane of its points. Each point of the solve is drawn to the plane of the
cube whose middle is nearest (Chen & Medioni, "Object modelling by registration of multiple range images", 1992), with
a robust loss, since either shows things that the other does not. The cubes shrink from step to step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, FloatArray
from .. import rotations
from ..kd_tree import Tree

CUBES = (40, 80, 160)  # along the scan's longest side, from coarse to fine
STEPS = 15  # of each size of cubes, at most
FEWEST = 8  # points of a cube that has a plane
LEAST_COVERED = 0.5  # share of the scan in cubes with a plane: smaller cubes than that are too small for it
FLAT = 0.1  # the smallest deviation of a cube's points over the middle one: below it they are on a plane
REACH = 1.5  # edges of a cube: points farther from the middle of any are not of the scan
MOST = 20_000  # points of the solve that are fitted
ROBUST = 2.0  # times the median distance: the scale of the loss
SETTLED = 1e-7  # of a step, in radians and as a share


@dataclass(frozen=True)
class ScanFit:
    """`matrix` (4, 4) is the similarity scan from solve. `before` and `after` are median distances to the scan's
    planes, of the `share` of the points that lie near it."""

    matrix: FloatArray
    before: float
    after: float
    share: float


def fit(points: Array, scan: Array, start: FloatArray) -> ScanFit | None:
    """The similarity that brings the `points` (N, 3) of a solve onto the `scan` (M, 3), from a `start` (4, 4) nearby.

    None where no part of the scan near the points is flat.
    """
    step = max(1, len(points) // MOST)
    some, cloud = np.asarray(points[::step], np.float64), np.asarray(scan, np.float64)
    matrix, before, result = start.copy(), np.nan, None
    for count in CUBES:
        edge = float(np.ptp(cloud, axis=0).max()) / count
        middles, normals, covered = _planes(cloud, edge)
        if len(middles) < FEWEST or (result is not None and covered < LEAST_COVERED):
            continue
        tree = Tree(middles)
        for _ in range(STEPS):
            moved = some @ matrix[:3, :3].T + matrix[:3, 3]
            nearest, distance = tree.nearest(moved)
            near = distance < REACH * edge
            if near.sum() < FEWEST:
                break
            normal = normals[nearest[near]]
            off = np.einsum("ni,ni->n", moved[near] - middles[nearest[near]], normal)
            after = float(np.median(np.abs(off)))
            before = after if np.isnan(before) else before
            result = ScanFit(matrix, before, after, float(near.mean()))
            change, size = _step(moved[near], normal, off, after)
            matrix = change @ matrix
            if size < SETTLED:
                break
    return result


def _planes(scan: FloatArray, edge: float) -> tuple[FloatArray, FloatArray, float]:
    """The middles (K, 3) and the normals (K, 3) of the flat parts of the scan (M, 3), one for each cube, and the share
    of the scan that they hold."""
    cell = np.floor((scan - scan.min(axis=0)) / edge).astype(np.int64)
    sides = cell.max(axis=0) + 1
    numbers = (cell[:, 0] * sides[1] + cell[:, 1]) * sides[2] + cell[:, 2]
    cubes = np.unique(numbers, return_inverse=True)[1].reshape(-1)
    count = np.bincount(cubes).astype(np.float64)
    middles = np.stack([np.bincount(cubes, scan[:, axis]) for axis in range(3)], axis=1) / count[:, None]
    off = scan - middles[cubes]
    moments = np.empty((len(count), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            moments[:, i, j] = moments[:, j, i] = np.bincount(cubes, off[:, i] * off[:, j]) / count
    values, vectors = np.linalg.eigh(moments)
    flat = (count >= FEWEST) & (values[:, 0] < FLAT**2 * values[:, 1])
    return middles[flat], vectors[flat, :, 0], float(count[flat].sum() / len(scan))


def _step(points: FloatArray, normals: FloatArray, off: FloatArray, median: float) -> tuple[FloatArray, float]:
    """(4, 4) the small similarity that brings points (N, 3) nearer to their planes, by a Gauss-Newton step, and its
    size."""
    middle = points.mean(axis=0)
    local = points - middle
    extent = float(np.linalg.norm(local, axis=1).mean())
    slopes = np.column_stack(
        [np.cross(local, normals) / extent, normals, np.einsum("ni,ni->n", local, normals) / extent]
    )
    weights = 1 / (1 + (off / max(ROBUST * median, 1e-12)) ** 2)
    normal_matrix = slopes.T @ (slopes * weights[:, None])
    normal_matrix += 1e-9 * np.trace(normal_matrix) * np.eye(7)
    values = np.linalg.solve(normal_matrix, -slopes.T @ (weights * off))
    scaled = np.exp(values[6] / extent) * rotations.from_vectors(values[None, :3] / extent)[0]
    change = np.eye(4)
    change[:3, :3] = scaled
    change[:3, 3] = middle + values[3:6] - scaled @ middle
    return change, float(np.abs(values).max() / extent)
