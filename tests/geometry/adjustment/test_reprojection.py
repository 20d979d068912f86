"""The steps of a bundle adjustment go down its cost, with every kind of unknown free."""

import numpy as np
import pytest

from threer_blender.geometry import rotations
from threer_blender.geometry.adjustment.reprojection import AdjustmentState, Problem, lenses_of
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.levenberg_marquardt import Options
from threer_blender.geometry.robust_losses import Cauchy
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

RANDOM = np.random.default_rng(0)
TRUE = Distortion("RADIAL", (-0.1, 0.03))


def problem() -> tuple[Problem, AdjustmentState]:
    """A problem of five cameras with one lens that observe sixty points exactly, and its true state."""
    cameras = []
    for x in np.linspace(-1, 1, 5):
        pose = np.eye(4)
        pose[:3, :3] = rotations.from_vectors(np.array([0.0, -0.15 * x, 0.05 * x]))
        pose[0, 3] = x
        cameras.append(Camera("a", 640, 480, 500.0, 500.0, 322.0, 238.0, pose, TRUE))
    points = RANDOM.uniform(-1, 1, (60, 3)) + (0, 0, 5)
    point, camera = np.repeat(np.arange(60), 5), np.tile(np.arange(5), 60)
    pixels = np.stack([camera.project(points) for camera in cameras], axis=1).reshape(-1, 2)
    tracks = Tracks(point, camera, pixels, depth=np.full(300, np.nan))
    lenses = lenses_of(cameras, np.zeros(5, int), "RADIAL", np.ones((1, 5), bool))
    from_world = np.array([camera.camera_from_world for camera in cameras])
    return Problem(tracks, lenses), AdjustmentState(
        from_world[:, :3, :3], from_world[:, :3, 3], np.zeros(5), lenses.start, points
    )


def test_the_true_state_costs_nothing() -> None:
    adjustment, truth = problem()
    assert adjustment.errors(truth).max() < 1e-6
    assert adjustment.cost(truth, Cauchy(1.0)) < 1e-9


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_a_descent_comes_back_to_the_true_pixels(scale: float) -> None:
    adjustment, truth = problem()
    off = AdjustmentState(
        rotations.from_vectors(0.01 * RANDOM.standard_normal((5, 3))) @ truth.rotations,
        truth.translations + 0.02 * RANDOM.standard_normal((5, 3)),
        truth.log_factors,
        truth.lenses + (0.02, 2.0, -2.0, 0.02, -0.01),
        truth.points + 0.03 * RANDOM.standard_normal((60, 3)),
    )
    assert np.median(adjustment.errors(off)) > 3
    options = Options("test", trials=60, tolerance=1e-12)
    actual = adjustment.descend(off, Cauchy(scale), options, lambda: None)
    assert adjustment.errors(actual).max() < 0.05


def test_points_behind_a_camera_have_no_pixel() -> None:
    adjustment, truth = problem()
    behind = AdjustmentState(
        truth.rotations, truth.translations, truth.log_factors, truth.lenses, truth.points - (0, 0, 20)
    )
    assert np.isinf(adjustment.errors(behind)).all()
    assert np.isfinite(adjustment.cost(behind, Cauchy(1.0)))
