"""Views from what networks predict, and the robust similarity between two predictions."""

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry import view_prediction
from threer_blender.geometry.view_prediction import robust_similarity
from threer_blender.model.similarity import Similarity


def test_robust_similarity_ignores_a_third_of_outliers() -> None:
    random = np.random.default_rng(0)
    source = random.standard_normal((3000, 3)) + (0, 0, 5)
    truth = Similarity(1.7, oracle.look_at((0, 0, 0), (1, 0.3, 0.5))[:3, :3], np.array([3.0, -1, 2]))
    target = truth.apply(source) + 0.002 * random.standard_normal(source.shape)
    target[::3] += random.standard_normal((1000, 3))
    actual, _ = robust_similarity(source, target, np.ones(3000), source[:, 2])
    assert actual.scale == pytest.approx(1.7, rel=1e-3)
    assert np.abs(actual.rotation - truth.rotation).max() < 1e-3


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_two_pointmaps_make_a_camera_with_its_depth(scale: float) -> None:
    """The shared frame is another than the camera's, and in another unit."""
    truth = oracle.view(oracle.look_at((0.5, -0.3, -3), (0, 0.5, 0)), focal=60.0)
    ones = np.ones(truth.depth.shape)
    actual = view_prediction.from_pointmaps(truth.camera_points, ones, scale * truth.points, ones)
    assert actual.intrinsics[0, 0] == pytest.approx(60.0, 1e-6)
    np.testing.assert_allclose(actual.depth, scale * truth.depth, rtol=1e-3)
    np.testing.assert_allclose(actual.world_from_camera[:3, :3], truth.world_from_camera[:3, :3], atol=1e-3)
    np.testing.assert_allclose(actual.world_from_camera[:3, 3], scale * truth.world_from_camera[:3, 3], atol=1e-2)
    rows, columns = np.array([3, 20]), np.array([5, 40])
    np.testing.assert_allclose(actual.points(rows, columns), scale * truth.points[rows, columns], atol=0.02)


def test_a_transformed_view_has_transformed_points() -> None:
    truth = oracle.view(oracle.look_at((0.5, -0.3, -3), (0, 0.5, 0)), focal=60.0)
    pose = np.linalg.inv(truth.world_from_camera)[:3]
    view = view_prediction.from_camera(truth.depth, np.ones(truth.depth.shape), truth.intrinsics, pose)
    similarity = Similarity(1.7, oracle.look_at((0, 0, 0), (1, 0.3, 0.5))[:3, :3], np.array([3.0, -1, 2]))
    rows, columns = np.array([3, 20, 33]), np.array([5, 40, 11])
    expected = similarity.apply(view.points(rows, columns))
    np.testing.assert_allclose(view.transformed(similarity).points(rows, columns), expected, atol=1e-5)


def test_a_pointmap_in_the_shared_frame_and_a_focal_length_make_a_camera() -> None:
    truth = oracle.view(oracle.look_at((0.5, -0.3, -3), (0, 0.5, 0)), focal=60.0)
    points, confidence = truth.points.copy(), np.ones(truth.depth.shape)
    points[:5, :5], confidence[20:, 40:] = np.nan, 0
    actual = view_prediction.from_shared_points(points, confidence, 60.0)
    assert actual is not None
    np.testing.assert_allclose(actual.world_from_camera, truth.world_from_camera, atol=1e-3)
    usable = actual.confidence > 0
    assert not usable[:5, :5].any()
    assert not usable[20:, 40:].any()
    np.testing.assert_allclose(actual.depth[usable], truth.depth[usable], rtol=1e-3)
    assert view_prediction.from_shared_points(points, 0 * confidence, 60.0) is None


def test_another_focal_length_moves_the_camera_and_not_the_points() -> None:
    """The view has a focal length that is 3 % too long, and depths that are as much too large, as seen from too far."""
    truth = oracle.view(oracle.look_at((0.5, -0.3, -3), (0, 0.5, 0)), (96, 128), focal=120.0)
    wrong = view_prediction.from_shared_points(truth.points, np.ones(truth.depth.shape), 1.03 * 120)
    assert wrong is not None
    off = np.linalg.norm(wrong.world_from_camera[:3, 3] - truth.world_from_camera[:3, 3])
    mended = view_prediction.with_focal(wrong, 120.0)
    assert np.linalg.norm(mended.world_from_camera[:3, 3] - truth.world_from_camera[:3, 3]) < 0.3 * off
    assert mended.intrinsics[0, 0] == 120.0
