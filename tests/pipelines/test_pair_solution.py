"""The relative pose of a pair of photos, in a world whose truth is known."""

import numpy as np

from tests import oracle
from threer_blender.model.reconstruction import PhotoFromMap
from threer_blender.networks.inputs import Input
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


def test_masked_pixels_are_believed_nowhere_and_matched_with_nothing() -> None:
    mask = np.zeros((48, 64), np.bool_)
    mask[:, :20] = True
    views = oracle.orbit(2, degrees=30)
    image, scale = np.zeros((48, 64, 3), np.uint8), PhotoFromMap(1, 1, 0, 0)
    inputs = [Input(image, scale, mask), Input(image, scale)]
    answers = oracle.Oracle(views)
    for first, second in ((0, 1), (1, 0)):
        before = answers.predict(first, second)
        after = pair_solution.without_masked(before, inputs)
        of_masked = after.confidence_first if first == 0 else after.confidence_second
        of_other = after.confidence_second if first == 0 else after.confidence_first
        assert (of_masked[:, :20] == 0).all()
        assert (of_masked[:, 20:] > 1).all()
        assert (of_other > 1).all()
        matches = pair_solution.matches_without_masked(answers.matches(first, second, stride=2), inputs)
        masked, other = (matches.pixels_first, matches.pixels_second)[:: 1 if first == 0 else -1]
        assert len(masked) > 20
        assert masked[:, 0].min() >= 20
        assert other[:, 0].min() < 20
