"""Distances of points to their neighbours, as the worker measures them: those that a search through all finds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threer_blender.files import point_file
from threer_blender.jobs.messages import MeasurePoints
from threer_blender.model.errors import UserError
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import measuring


def measured(folder: Path, points: Any, targets: Any = None, neighbours: int = 1) -> Any:
    point_file.write(points, folder / "points")
    if targets is not None:
        point_file.write(targets, folder / "targets")
    points_file, distances_file, targets_file = (str(folder / name) for name in ("points", "distances", "targets"))
    request = MeasurePoints(points_file, distances_file, "" if targets is None else targets_file, neighbours)
    measuring.run(request, MessageReport(lambda _message: None))
    return point_file.read(folder / "distances", 1)


def test_distances_among_points(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    points[7] = np.nan
    actual = measured(tmp_path, points, neighbours=4)
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    np.fill_diagonal(distances, np.nan)
    expected = np.sort(distances, axis=1)[:, :4].mean(axis=1)  # numpy sorts NaN to the end
    assert np.isinf(actual[7])
    assert np.allclose(np.delete(actual, 7), np.delete(expected, 7), atol=1e-6)


def test_distances_to_other_points(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    points, targets = rng.normal(size=(300, 3)).astype(np.float32), rng.normal(size=(100, 3)).astype(np.float32)
    expected = np.linalg.norm(points[:, None] - targets, axis=-1).min(axis=1)
    assert np.allclose(measured(tmp_path, points, targets), expected, atol=1e-6)


def test_too_few_and_damaged_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too few"):
        measured(tmp_path, np.zeros((3, 3), np.float32), neighbours=3)
    with pytest.raises(UserError, match="too few"):
        measured(tmp_path, np.zeros((3, 3), np.float32), np.full((2, 3), np.nan))
    (tmp_path / "points").write_bytes(b"1234567")
    with pytest.raises(UserError, match="cut off"):
        measuring.run(
            MeasurePoints(str(tmp_path / "points"), str(tmp_path / "out")), MessageReport(lambda _message: None)
        )
