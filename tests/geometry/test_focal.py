"""The focal length of pointmaps of a world whose truth is known."""

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry import focal

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (33, 50)])
def test_focal_of_a_true_pointmap_is_exact(size: tuple[int, int]) -> None:
    view = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), size, focal=71.5)
    ones = np.ones(size)
    assert focal.focal_from_points(view.camera_points, ones, (size[1] / 2, size[0] / 2)) == pytest.approx(71.5, 1e-9)
    # Off-centre principal points are honoured, and a pointmap has no unit.
    shifted = view.intrinsics + [[0, 0, 4], [0, 0, -3], [0, 0, 0]]
    points = oracle.pixel_rays(shifted, size) * view.depth[..., None] * 17
    assert focal.focal_from_points(points, ones, tuple(shifted[:2, 2])) == pytest.approx(71.5, 1e-9)


def test_focal_is_a_weighted_median_not_a_mean() -> None:
    """A third of the pixels, far off, would move least squares far. It does not move this focal length, with which the
    other two thirds agree exactly."""
    view = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    wild = RANDOM.random(view.depth.shape) < 1 / 3
    points = np.where(wild[..., None], view.camera_points * (0.4, 0.4, 1), view.camera_points)
    assert focal.focal_from_points(points, np.ones(wild.shape), (32, 24)) == pytest.approx(60.0, 1e-4)
    # Pixels are weighted by confidence: here the wild third outweighs the rest.
    assert focal.focal_from_points(points, np.where(wild, 100.0, 1), (32, 24)) == pytest.approx(150.0, 1e-4)


def test_focal_passes_over_what_is_no_point() -> None:
    view = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    points = view.camera_points.copy()
    points[:10], points[10:14], points[14:20] = np.nan, np.inf, -points[14:20]
    assert focal.focal_from_points(points, np.ones(view.depth.shape), (32, 24)) == pytest.approx(60.0, 1e-9)
    with pytest.raises(ValueError, match="before the camera"):
        focal.focal_from_points(np.full((4, 4, 3), np.nan), np.ones((4, 4)), (2, 2))


def test_points_that_no_camera_sees_have_no_focal_length() -> None:
    view = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), focal=60.0)
    ones = np.ones(view.depth.shape)
    for wrong, sentence in (((-1, -1, 1), "no camera sees"), ((0, 0, 1), "camera's axis")):
        with pytest.raises(ValueError, match=sentence):
            focal.focal_from_points(view.camera_points * wrong, ones, (32, 24))
