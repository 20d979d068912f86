"""[R] Points of a solve, fitted to a scan of the same place: the closest planes, again and again, scale included.

The scan is cut into cubes, each with the plane of its points. Each point of the solve is drawn to the plane of the
cube whose middle is nearest (Chen & Medioni, "Object modelling by registration of multiple range images", 1992), with
a robust loss, since either shows things that the other does not. It begins with large cubes and ends with small ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, FloatArray
from .. import rotations
from ..kd_tree import Tree

EDGES = (12.0, 6.0, 3.0)  # of the cubes, from coarse to fine: times the accuracy of the start
LARGEST_EDGE = 0.1  # of the scan's longest side
STEPS = 15  # with each size of cubes, at most
FEWEST = 8  # points that a cube needs to have a plane; a step needs as many planes, and as many points near them
LEAST_COVERED = 0.3  # share of the scan that must lie in cubes with a plane; with less, the cubes are too small
FLAT = 0.2  # of a cube's points: smallest over middle principal deviation; below it they are on a plane
REACH = 1.5  # in edges of a cube: a point that is farther from every cube's middle is not in the scan
SAMPLE = 20_000  # up to twice as many points of the solve are fitted
NOISE = 1.5  # times the median distance: a point's standard deviation
ROBUST = 2.0  # times that: the scale of the loss
POINTS_PER_OBSERVATION = 50.0  # points that are off alike, and so count as one
SETTLED = 1e-7  # the size of a step, in radians and as a share of the points' extent, below which no other follows


@dataclass(frozen=True)
class ScanFit:
    """`matrix` (4, 4) is the similarity scan from solve. `before` and `after` are median distances to the scan's
    planes, in units of the scan, of the `share` of the points that lie near it."""

    matrix: FloatArray
    before: float
    after: float
    share: float


def fit(points: Array, scan: Array, start: FloatArray, accuracy: float) -> ScanFit | None:
    """The similarity that brings the `points` (N, 3) of a solve onto the `scan` (M, 3), from a `start` (4, 4) nearby.

    `accuracy` is about how far the start may be off, in units of the scan. The cubes' edges are EDGES times that; where
    the scan is too thin for such cubes, they are larger. None where no part of the scan near the points is flat.
    """
    stride = max(1, len(points) // SAMPLE)
    sample, cloud = np.asarray(points[::stride], np.float64), np.asarray(scan, np.float64)
    matrix, before, result, start_inverse = start.copy(), np.nan, None, np.linalg.inv(start)
    largest_edge, last_edge = LARGEST_EDGE * float(np.ptp(cloud, axis=0).max()), np.inf
    for times in EDGES:
        edge = min(times * accuracy, largest_edge)
        middles, normals, covered = _planes(cloud, edge)
        while covered < LEAST_COVERED and edge < largest_edge:
            edge = min(1.5 * edge, largest_edge)
            middles, normals, covered = _planes(cloud, edge)
        if len(middles) < FEWEST or edge >= last_edge:
            continue
        last_edge = edge
        tree = Tree(middles)
        for _ in range(STEPS):
            in_scan = sample @ matrix[:3, :3].T + matrix[:3, 3]
            nearest, distance = tree.nearest(in_scan)
            near = distance < REACH * edge
            if near.sum() < FEWEST:
                break
            normal = normals[nearest[near]]
            off = np.einsum("ni,ni->n", in_scan[near] - middles[nearest[near]], normal)
            after = float(np.median(np.abs(off)))
            before = after if np.isnan(before) else before
            result = ScanFit(matrix, before, after, float(near.mean()))
            change, size = _step(in_scan[near], normal, off, after, matrix @ start_inverse, accuracy)
            matrix = change @ matrix
            if size < SETTLED:
                break
    return result


def residuals(points: Array, scan: Array, matrices: Sequence[FloatArray], accuracy: float) -> list[float]:
    """The mean distance of points (N, 3) to the planes of a scan's small cubes, after each of the `matrices` (4, 4),
    in units of the scan. NaN where too few points lie near. `accuracy` is as in `fit`."""
    sample = np.asarray(points[:: max(1, len(points) // SAMPLE)], np.float64)
    cloud = np.asarray(scan, np.float64)
    largest_edge = LARGEST_EDGE * float(np.ptp(cloud, axis=0).max())
    edge = min(EDGES[-1] * accuracy, largest_edge)
    middles, normals, covered = _planes(cloud, edge)
    while covered < LEAST_COVERED and edge < largest_edge:
        edge = min(1.5 * edge, largest_edge)
        middles, normals, covered = _planes(cloud, edge)
    if len(middles) < FEWEST:
        return [np.nan] * len(matrices)
    tree, means = Tree(middles), []
    for matrix in matrices:
        in_scan = sample @ matrix[:3, :3].T + matrix[:3, 3]
        nearest, distance = tree.nearest(in_scan)
        near = distance < REACH * edge
        off = np.einsum("ni,ni->n", in_scan[near] - middles[nearest[near]], normals[nearest[near]])
        means.append(float(np.abs(off).mean()) if near.sum() >= FEWEST else np.nan)
    return means


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


def _step(
    points: FloatArray, normals: FloatArray, off: FloatArray, median: float, from_start: FloatArray, accuracy: float
) -> tuple[FloatArray, float]:
    """(4, 4) the small similarity that brings points (N, 3) nearer to their planes, by a Gauss-Newton step, and its
    size, in radians and as a share of the points' extent.

    `normals` (N, 3) are those of the planes, `off` (N,) the points' signed distances from these, and `median` that of
    the distances. `from_start` (4, 4) is the similarity by which earlier steps have changed the start. The start is a
    prior of this `accuracy`: without it points could shrink to nothing, or slide along a wall.
    """
    middle = points.mean(axis=0)
    local = points - middle
    extent = float(np.linalg.norm(local, axis=1).mean())
    slopes = np.column_stack(
        [np.cross(local, normals) / extent, normals, np.einsum("ni,ni->n", local, normals) / extent]
    )
    noise = max(NOISE * median, 1e-12)
    weights = 1 / (1 + (off / (ROBUST * noise)) ** 2) / (noise**2 * POINTS_PER_OBSERVATION)
    scale = float(np.cbrt(np.linalg.det(from_start[:3, :3])))
    middle_at_start = np.linalg.solve(from_start, [*middle, 1.0])[:3]
    rotation = rotations.to_vectors(from_start[None, :3, :3] / scale)[0] * extent
    # The unknowns are lengths: rotation vector times extent, translation of the middle, log scale times extent.
    so_far = np.concatenate([rotation, middle - middle_at_start, [np.log(scale) * extent]])
    information = slopes.T @ (slopes * weights[:, None]) + np.eye(7) / accuracy**2
    values = np.linalg.solve(information, -slopes.T @ (weights * off) - so_far / accuracy**2)
    scaled = np.exp(values[6] / extent) * rotations.from_vectors(values[None, :3] / extent)[0]
    change = np.eye(4)
    change[:3, :3] = scaled
    change[:3, 3] = middle + values[3:6] - scaled @ middle
    return change, float(np.abs(values).max() / extent)
