"""Cameras from points and pixels, in a world whose truth is known."""

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry import poses
from threer_blender.geometry.pairs.pairs import PairPrediction
from threer_blender.model.arrays import Array
from threer_blender.model.similarity import procrustes

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def pair() -> tuple[list[oracle.View], oracle.Oracle]:
    views = oracle.orbit(2, degrees=30)
    return views, oracle.Oracle(views)


def second_from_first(views: list[oracle.View]) -> Array:
    return np.linalg.inv(views[1].world_from_camera) @ views[0].world_from_camera


def pnp_of(views: list[oracle.View], prediction: PairPrediction) -> poses.Pose | None:
    height, width = views[1].depth.shape
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    return poses.pnp(
        prediction.points_second.reshape(-1, 3), pixels.reshape(-1, 2), views[1].intrinsics, (width, height), error=1.0
    )


def test_relative_pose_by_pnp(pair: tuple[list[oracle.View], oracle.Oracle]) -> None:
    views, answers = pair
    prediction = answers.predict(0, 1)
    actual = pnp_of(views, prediction)
    true = second_from_first(views)
    assert actual is not None
    assert actual.inliers.all()
    np.testing.assert_allclose(actual.camera_from_world[:3, :3], true[:3, :3], atol=1e-5)
    unit = np.linalg.norm(prediction.points_first[0, 0]) / np.linalg.norm(views[0].camera_points[0, 0])
    np.testing.assert_allclose(actual.camera_from_world[:3, 3] / unit, true[:3, 3], atol=1e-4)


def test_pnp_of_nothing_is_none() -> None:
    intrinsics = np.diag([50.0, 50, 1])
    assert poses.pnp(np.full((9, 3), np.nan), np.zeros((9, 2)), intrinsics, (64, 48)) is None
    noise = RANDOM.standard_normal((5, 3))
    assert poses.pnp(noise, 40 * RANDOM.random((5, 2)), intrinsics, (64, 48), error=1e-6) is None


def test_pnp_bears_what_procrustes_does_not() -> None:
    views = oracle.orbit(2, degrees=30)
    answers = oracle.Oracle(views, oracle.Errors(outliers=0.4))
    prediction = answers.predict(0, 1)
    actual = pnp_of(views, prediction)
    true = second_from_first(views)
    assert actual is not None

    def off(rotation: Array) -> float:
        return float(np.degrees(np.arccos(np.clip((np.trace(rotation.T @ true[:3, :3]) - 1) / 2, -1, 1))))

    backward = answers.predict(1, 0)
    weights = prediction.confidence_first * backward.confidence_second
    points = prediction.points_first.reshape(-1, 3), backward.points_second.reshape(-1, 3)
    similarity = procrustes(*points, weights.ravel())
    # The oracle moves outliers along their own camera's rays. The second photo's still project to their pixels.
    assert off(actual.camera_from_world[:3, :3]) < 0.02
    assert off(similarity.rotation) > 10 * off(actual.camera_from_world[:3, :3])
    again = pnp_of(views, prediction)
    assert again is not None
    np.testing.assert_array_equal(again.camera_from_world, actual.camera_from_world)
