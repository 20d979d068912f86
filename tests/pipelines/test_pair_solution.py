"""Focal length and poses from pointmaps of a world whose truth is known."""

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry import focal, poses
from threer_blender.pipelines import pair_solution

RANDOM = np.random.default_rng(0)


def turn(vector: tuple[float, float, float]) -> np.ndarray:
    return oracle._rotation(np.array(vector))


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (33, 50)])
def test_focal_of_a_true_pointmap_is_exact(size: tuple[int, int]) -> None:
    seen = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), size, focal=71.5)
    ones = np.ones(size)
    assert focal.focal_from_points(seen.camera_points, ones, (size[1] / 2, size[0] / 2)) == pytest.approx(71.5, 1e-9)
    # Off-centre principal points are honoured, and a pointmap has no unit.
    shifted = seen.intrinsics + [[0, 0, 4], [0, 0, -3], [0, 0, 0]]
    points = oracle._rays(shifted, size) * seen.depth[..., None] * 17
    assert focal.focal_from_points(points, ones, tuple(shifted[:2, 2])) == pytest.approx(71.5, 1e-9)


def test_focal_is_a_weighted_median_not_a_mean() -> None:
    """A third of the pixels far off moves least squares far, this not at all while a true majority agrees exactly."""
    seen = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    wild = RANDOM.random(seen.depth.shape) < 1 / 3
    points = np.where(wild[..., None], seen.camera_points * (0.4, 0.4, 1), seen.camera_points)
    assert focal.focal_from_points(points, np.ones(wild.shape), (32, 24)) == pytest.approx(60.0, 1e-4)
    # Confidence says whom to believe: here the wild third outweighs the rest.
    assert focal.focal_from_points(points, np.where(wild, 100.0, 1), (32, 24)) == pytest.approx(150.0, 1e-4)


def test_focal_passes_over_what_is_no_point() -> None:
    seen = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    points = seen.camera_points.copy()
    points[:10], points[10:14], points[14:20] = np.nan, np.inf, -points[14:20]
    assert focal.focal_from_points(points, np.ones(seen.depth.shape), (32, 24)) == pytest.approx(60.0, 1e-9)
    with pytest.raises(ValueError, match="before the camera"):
        focal.focal_from_points(np.full((4, 4, 3), np.nan), np.ones((4, 4)), (2, 2))


def test_points_that_no_camera_sees_have_no_focal_length() -> None:
    seen = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    ones = np.ones(seen.depth.shape)
    for wrong, sentence in (((-1, -1, 1), "no camera sees"), ((0, 0, 1), "camera's axis")):
        with pytest.raises(ValueError, match=sentence):
            focal.focal_from_points(seen.camera_points * wrong, ones, (32, 24))


def test_procrustes_recovers_a_similarity() -> None:
    true = poses.Similarity(2.5, turn((0.3, -1.2, 0.4)), np.array([1.0, -2, 3]))
    source = RANDOM.standard_normal((200, 3)) * (1, 1, 1e-6)  # all but flat: a mirror image fits as well
    found = poses.procrustes(source, true.apply(source), np.ones(200))
    assert found.scale == pytest.approx(2.5, 1e-9)
    np.testing.assert_allclose(found.rotation, true.rotation, atol=1e-9)
    np.testing.assert_allclose(found.inverse.apply(true.apply(source)), source, atol=1e-9)
    rigid = poses.procrustes(source, true._replace(scale=1.0).apply(source), np.ones(200), with_scale=False)
    assert rigid.scale == 1
    np.testing.assert_allclose(rigid.translation, true.translation, atol=1e-9)


def test_procrustes_weighs_and_passes_over() -> None:
    true = poses.Similarity(1.5, turn((0.1, 0.2, 2.0)), np.array([0.0, 1, 2]))
    source = RANDOM.standard_normal((50, 3))
    target = true.apply(source)
    target[:20] += RANDOM.standard_normal((20, 3))
    target[20:25] = np.nan
    found = poses.procrustes(source, target, np.r_[np.zeros(20), np.ones(30)])
    np.testing.assert_allclose(found.rotation, true.rotation, atol=1e-9)
    # Weights are those of the sum of squares: a point of weight 2 counts like two points.
    twice = poses.procrustes(np.r_[source[:20], source[:1]], np.r_[target[:20], target[:1]], np.ones(21))
    weighed = poses.procrustes(source[:20], target[:20], np.r_[2, np.ones(19)])
    np.testing.assert_allclose(twice.rotation, weighed.rotation, atol=1e-12)


@pytest.mark.parametrize("source", [np.zeros((5, 3)), np.outer(np.arange(5), (1, 2, 3)), np.eye(3)[:2]])
def test_procrustes_says_where_nothing_fixes_a_rotation(source: np.ndarray) -> None:
    with pytest.raises(ValueError, match="align"):
        poses.procrustes(source, source, np.ones(len(source)))


@pytest.fixture(scope="module")
def pair() -> tuple[list[oracle.View], oracle.Oracle]:
    views = oracle.orbit(2, degrees=30)
    return views, oracle.Oracle(views)


def second_from_first(views: list[oracle.View]) -> np.ndarray:
    return np.linalg.inv(views[1].world_from_camera) @ views[0].world_from_camera


def test_relative_pose_by_procrustes(pair: tuple[list[oracle.View], oracle.Oracle]) -> None:
    views, answers = pair
    forward, backward = answers.predict(0, 1), answers.predict(1, 0)
    found = pair_solution.relative_pose(forward, backward)
    true = second_from_first(views)
    np.testing.assert_allclose(found.rotation, true[:3, :3], atol=1e-6)
    unit = np.linalg.norm(backward.points_first[0, 0]) / np.linalg.norm(views[1].camera_points[0, 0])
    np.testing.assert_allclose(found.translation / unit, true[:3, 3], atol=1e-5)


def pnp_of(views: list[oracle.View], prediction: object) -> poses.Pose | None:
    height, width = views[1].depth.shape
    pixels = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    return poses.pnp(
        prediction.points_second.reshape(-1, 3), pixels.reshape(-1, 2), views[1].intrinsics, (width, height), error=1.0
    )


def test_relative_pose_by_pnp(pair: tuple[list[oracle.View], oracle.Oracle]) -> None:
    views, answers = pair
    prediction = answers.predict(0, 1)
    found = pnp_of(views, prediction)
    true = second_from_first(views)
    assert found is not None
    assert found.inliers.all()
    np.testing.assert_allclose(found.camera_from_world[:3, :3], true[:3, :3], atol=1e-5)
    unit = np.linalg.norm(prediction.points_first[0, 0]) / np.linalg.norm(views[0].camera_points[0, 0])
    np.testing.assert_allclose(found.camera_from_world[:3, 3] / unit, true[:3, 3], atol=1e-4)


def test_pnp_bears_what_procrustes_does_not() -> None:
    views = oracle.orbit(2, degrees=30)
    answers = oracle.Oracle(views, oracle.Errors(outliers=0.4))
    prediction = answers.predict(0, 1)
    found = pnp_of(views, prediction)
    true = second_from_first(views)
    assert found is not None

    def off(rotation: np.ndarray) -> float:
        return float(np.degrees(np.arccos(np.clip((np.trace(rotation.T @ true[:3, :3]) - 1) / 2, -1, 1))))

    procrustes = pair_solution.relative_pose(prediction, answers.predict(1, 0))
    # Outliers of the oracle lie on their pixels' rays of the first camera, so only the second photo's mislead.
    assert off(found.camera_from_world[:3, :3]) < 0.02
    assert off(procrustes.rotation) > 10 * off(found.camera_from_world[:3, :3])
    np.testing.assert_array_equal(pnp_of(views, prediction).camera_from_world, found.camera_from_world)


def test_pnp_of_nothing_is_none() -> None:
    intrinsics = np.diag([50.0, 50, 1])
    assert poses.pnp(np.full((9, 3), np.nan), np.zeros((9, 2)), intrinsics, (64, 48)) is None
    noise = RANDOM.standard_normal((5, 3))
    assert poses.pnp(noise, 40 * RANDOM.random((5, 2)), intrinsics, (64, 48), error=1e-6) is None
