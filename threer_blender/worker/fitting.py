"""[R] Fits the points of one result to those of another one of the same place, which they nearly lie on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files import bounded, point_file
from ..geometry.clouds import scan_registration
from ..jobs.messages import Finished, FitPoints
from ..model.arrays import Array
from ..model.engine import Stage
from ..runtime.report import MessageReport

FITTING = Stage("fitting", "Fitting the points", 1.0)
ROUNDS = 4


def run(request: FitPoints, report: MessageReport) -> Finished:
    """Writes the fit. Raises UserError where a file is damaged, and what `report` raises."""
    report.plan([FITTING])
    points, targets = _read(request.points), _read(request.targets)
    numbers = np.full(19, np.nan)
    start, before = np.eye(4), np.nan
    for done in range(ROUNDS if len(points) and len(targets) else 0):  # each may go as far from the last as `accuracy`
        report(FITTING, done, ROUNDS)
        try:
            fit = scan_registration.fit(points, targets, start, request.accuracy)
        except np.linalg.LinAlgError:  # points that shrink to nothing fit nothing
            break
        if fit is None:
            break
        off = scan_registration.residuals(points, targets, (start, fit.matrix), request.accuracy)
        before = off[0] if np.isnan(before) else before
        if done and not off[1] < off[0]:
            break
        numbers, start = np.array([*fit.matrix.ravel(), before, off[1], fit.share]), fit.matrix
    point_file.write(numbers, Path(request.output))
    return Finished("The points are fitted.")


def _read(path: str) -> Array:
    """(N, 3) the finite points of a file."""
    with bounded.as_refusal("The file of points"):
        points = point_file.read(Path(path), 3)
    finite: Array = points[np.isfinite(points).all(axis=1)]
    return finite
