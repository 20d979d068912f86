"""[R] Measures how far points are from their nearest neighbours, or from the points of another result."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import bounded, point_file
from ..geometry.kd_tree import Tree
from ..jobs.messages import Finished, MeasurePoints
from ..model.arrays import Array, IntArray
from ..model.engine import Stage
from ..model.errors import UserError
from ..runtime.report import MessageReport

SORTING = Stage("sorting", "Sorting the points", 0.3)
MEASURING = Stage("measuring", "Measuring distances", 0.7)
PART = 1 << 19  # points between two reports
MOST_NEIGHBOURS = 256
CELLS = 200  # along the longest side of the box in which most points are
SAMPLE = 10_000


def run(request: MeasurePoints, report: MessageReport) -> Finished:
    """Writes the distances. Raises UserError where there is nothing to measure, and what `report` raises."""
    report.plan([SORTING, MEASURING])
    points = _read(request.points)
    among = not request.targets
    targets = points if among else _read(request.targets)
    if not 1 <= request.neighbours <= MOST_NEIGHBOURS:
        raise UserError(f"{request.neighbours} neighbours are out of range; ask for 1 to {MOST_NEIGHBOURS}.")
    near = _in_order(points)
    targets = points[near] if among else targets[_in_order(targets)]
    if not len(targets) or len(targets) <= request.neighbours * among:
        raise UserError("There are too few points to measure distances between.")
    tree = Tree(targets)
    report(SORTING, 1, 1)
    distances = np.full(len(points), np.inf, np.float32)
    # A point is no neighbour of itself: it is one more, at distance 0.
    count, factor = (request.neighbours + 1, 1 + 1 / request.neighbours) if among else (request.neighbours, 1.0)
    for start in range(0, len(near), PART):
        report(MEASURING, start, len(near))
        part = near[start : start + PART]
        distances[part] = tree.mean_distance(points[part], count) * factor
    point_file.write(distances, Path(request.output))
    return Finished(f"The distances of {len(points):,} points are measured.")


def _in_order(points: Array) -> IntArray:
    """The indices of the finite ones of the points (N, 3), so that near ones follow each other.

    The processor's cache then holds what the next search needs, which is several times as fast.
    """
    finite = np.flatnonzero(np.isfinite(points).all(axis=1))
    chosen = points[finite]
    if not len(chosen):
        return finite
    low, high = np.percentile(chosen[:: max(1, len(chosen) // SAMPLE)], (1, 99), axis=0)
    scale = CELLS / max(float((high - low).max()), 1e-30)
    cells = ((chosen - low.astype(np.float32)) * np.float32(scale)).clip(0, CELLS).astype(np.int64)
    order: IntArray = finite[np.argsort((cells[:, 0] * (CELLS + 1) + cells[:, 1]) * (CELLS + 1) + cells[:, 2])]
    return order


def _read(path: str) -> Array:
    """(N, 3) the points of a file. Raises UserError where it is damaged."""
    with bounded.as_refusal("The file of points"):
        return point_file.read(Path(path), 3)
