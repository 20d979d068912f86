"""A result placed by roughly picked points comes onto the scan they were picked in; other scans are not used."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.geometry.clouds.test_scan_registration import surfaces
from tests.worker.test_surveying import NAMES, POINTS, SOLVE_FROM_SURVEY, lists, solve, true
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, PointCloud, Reconstruction
from threer_blender.worker import surveying


@pytest.fixture
def true_cameras() -> dict[str, Camera]:
    return {camera.photo: camera for camera in true(NAMES)}


def dense(cameras: list[Camera]) -> Reconstruction:
    """The solve with a cloud of the room's surfaces, 1 cm of noise on them."""
    surveyed = surfaces(700, 4)
    surveyed = surveyed + 0.01 * np.random.default_rng(6).standard_normal(surveyed.shape)
    positions = (surveyed @ SOLVE_FROM_SURVEY[:3, :3].T + SOLVE_FROM_SURVEY[:3, 3]).astype(np.float32)
    count = len(positions)
    cloud = PointCloud(
        positions,
        np.zeros_like(positions),
        np.zeros((count, 3), np.uint8),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    return replace(solve(cameras), cloud=cloud)


def ply(points: Array, file: Path) -> str:
    """Writes the points (N, 3) as a PLY file. Returns its path."""
    rows = "".join(f"{x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in points)
    head = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n"
    file.write_text(f"{head}property float x\nproperty float y\nproperty float z\nend_header\n{rows}")
    return str(file)


def largest_error(result: Reconstruction, true_cameras: dict[str, Camera]) -> float:
    """The largest distance in metres of a camera from its true position."""
    true_centres = [camera.world_from_camera[:3, 3] for camera in true_cameras.values()]
    centres = [camera.world_from_camera[:3, 3] for camera in result.cameras]
    return float(np.linalg.norm(np.subtract(centres, true_centres), axis=1).max())


def test_rough_picks_and_a_scan_place_the_solve(true_cameras: dict[str, Camera], tmp_path: Path) -> None:
    options = lists(tmp_path, true_cameras, POINTS, noise=1.5)
    result = dense(list(true_cameras.values()))
    rough = largest_error(surveying.applied(result, options), true_cameras)
    fitted = surveying.applied(result, {**options, "scan": ply(surfaces(6000, 2), tmp_path / "room.ply")})
    assert largest_error(fitted, true_cameras) < min(0.012, 0.5 * rough)
    assert fitted.notes[1].startswith("The solve is fitted to the scan 'room.ply'")
    assert "by the survey points alone" in fitted.notes[1]


def test_a_scan_of_another_place_is_not_used(true_cameras: dict[str, Camera], tmp_path: Path) -> None:
    options = lists(tmp_path, true_cameras, POINTS)
    scan = ply(surfaces(3000, 2) + 50, tmp_path / "far.ply")
    result = surveying.applied(dense(list(true_cameras.values())), {**options, "scan": scan})
    assert largest_error(result, true_cameras) < 1e-3
    assert "does not lie near the scan 'far.ply'" in result.notes[1]


def test_a_scan_without_picked_points_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="three or more points that you pick both in it and in the photos"):
        surveying.check({"scan": str(tmp_path / "room.ply")}, [])
