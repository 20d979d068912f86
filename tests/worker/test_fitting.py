"""Points of one result come onto those of another, and say so where they show nothing alike."""

from pathlib import Path

import numpy as np

from tests.geometry.clouds.test_scan_registration import similarity, surfaces
from threer_blender.files import point_file
from threer_blender.jobs.messages import FitPoints
from threer_blender.model.arrays import Array
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import fitting


def fitted(folder: Path, points: Array, targets: Array) -> Array:
    point_file.write(points, folder / "points")
    point_file.write(targets, folder / "targets")
    request = FitPoints(str(folder / "points"), str(folder / "targets"), str(folder / "fit"), 0.06)
    fitting.run(request, MessageReport(lambda _message: None))
    return np.array(point_file.read(folder / "fit", 1), np.float64)


def test_a_rough_join_becomes_exact(tmp_path: Path) -> None:
    true = similarity(0.01, 1.01, (0.03, -0.02, 0.04))
    points = surfaces(4000, 5)
    away = (points - true[:3, 3]) @ np.linalg.inv(true[:3, :3]).T
    away[3] = np.nan
    numbers = fitted(tmp_path, away, surfaces(6000, 6))
    there = away @ numbers[:12].reshape(3, 4)[:, :3].T + numbers[:12].reshape(3, 4)[:, 3]
    assert np.nanmedian(np.linalg.norm(there - points, axis=1)) < 0.004
    before, after, share = numbers[16:]
    assert after < 0.3 * before
    assert share > 0.9


def test_points_without_a_common_surface(tmp_path: Path) -> None:
    assert np.isnan(fitted(tmp_path, surfaces(500, 1) + 1000, surfaces(500, 2))).all()
    assert np.isnan(fitted(tmp_path, surfaces(500, 1), np.empty((0, 3)))).all()
