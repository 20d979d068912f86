"""The judge of camera tracking is judged: what it measures is what was done to the truth."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.benchmarks._shot_scores import scores, true_cameras
from threer_blender.geometry import rotations
from threer_blender.model.reconstruction import Camera


def truth(kind: str, frames: int = 24) -> dict[str, Any]:
    """A shot whose camera turns, and moves unless it is nodal, before points three metres away."""
    random = np.random.default_rng(3)
    records = []
    for number in range(1, frames + 1):
        pose = np.eye(4)
        pose[:3, :3] = rotations.from_vectors(np.array([0.02 * np.sin(number), 0.01 * number, 0.0]))
        if kind == "free":
            pose[:3, 3] = np.array([0.05 * number, 0.1 * np.sin(0.5 * number), 0.02 * number])
        local = random.uniform((-0.5, -0.3, 1), (0.5, 0.3, 1), (20, 3)) * random.uniform(2, 4, (20, 1))
        points = local @ pose[:3, :3].T + pose[:3, 3]
        record = {"number": number, "world_from_camera": pose.tolist(), "fx": 500.0, "fy": 500.0, "cx": 320.0}
        records.append({**record, "cy": 180.0, "median_depth": 3.0, "points": points.tolist()})
    lens = {"model": "RADIAL", "params": [-0.1, 0.0]}
    return {"kind": kind, "width": 640, "height": 360, "distortion": lens, "frames": records}


def elsewhere(camera: Camera, rotation: Any = None) -> Camera:
    """The camera in another world, three times as large; `rotation` (3, 3) turns it in its own axes before."""
    matrix = rotations.from_vectors(np.array([0.3, -0.2, 0.9]))
    pose = camera.world_from_camera.copy()
    pose[:3, :3] = matrix @ pose[:3, :3] @ (np.eye(3) if rotation is None else rotation)
    pose[:3, 3] = 3 * matrix @ pose[:3, 3] + (1, -2, 5)
    return replace(camera, world_from_camera=pose)


@pytest.mark.parametrize("kind", ["free", "nodal"])
def test_the_truth_in_another_world_has_no_error(kind: str) -> None:
    right = truth(kind)
    measured = scores({n: elsewhere(camera) for n, camera in true_cameras(right).items()}, right)
    assert max(measured.rotation, measured.focal, *measured.slip, measured.jitter) < 1e-6
    assert measured.offset == 0
    assert (measured.ate if kind == "free" else measured.travel) < 1e-6


def test_errors_that_were_put_in_are_measured() -> None:
    right = truth("free")
    random = np.random.default_rng(5)
    shaken = {
        n: elsewhere(camera, rotations.from_vectors(random.normal(0, 1e-3, 3)))
        for n, camera in true_cameras(right).items()
    }
    measured = scores(shaken, right)
    assert measured.rotation == pytest.approx(np.degrees(1e-3 * np.sqrt(3)), rel=0.25)
    assert measured.jitter == pytest.approx(0.5 * np.sqrt(2) * np.sqrt(1.5), rel=0.35)  # 500 px · 1e-3, on 2 axes
    longer = {n: replace(elsewhere(camera), fx=505.0, fy=505.0) for n, camera in true_cameras(right).items()}
    assert scores(longer, right).focal == pytest.approx(1.0)


def test_a_solve_that_lags_is_noticed() -> None:
    right = truth("free")
    late = {n + 1: elsewhere(camera) for n, camera in true_cameras(right).items()}
    assert scores(late, right).offset == 1


def test_a_plate_solved_at_another_size_has_the_same_focal_length() -> None:
    """An anamorphic plate may be solved as it is shown, twice as wide."""
    right = truth("free")
    wide = {n: replace(elsewhere(camera), width=1280, fx=1000.0, cx=640.0) for n, camera in true_cameras(right).items()}
    measured = scores(wide, right)
    assert measured.focal < 1e-9
    assert measured.slip[0] < 1e-6
