"""The relative pose of a pair of photos, in a world whose truth is known."""

import numpy as np

from tests import oracle
from threer_blender.pipelines import pair_solution


def test_relative_pose_by_procrustes() -> None:
    views = oracle.orbit(2, degrees=30)
    answers = oracle.Oracle(views)
    forward, backward = answers.predict(0, 1), answers.predict(1, 0)
    actual = pair_solution.relative_pose(forward, backward)
    true = np.linalg.inv(views[1].world_from_camera) @ views[0].world_from_camera
    np.testing.assert_allclose(actual.rotation, true[:3, :3], atol=1e-6)
    unit = np.linalg.norm(backward.points_first[0, 0]) / np.linalg.norm(views[1].camera_points[0, 0])
    np.testing.assert_allclose(actual.translation / unit, true[:3, 3], atol=1e-5)
