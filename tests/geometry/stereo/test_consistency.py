"""Depths that another view shares are trusted; others, and islands, are not."""

import numpy as np

from threer_blender.geometry.stereo import consistency
from threer_blender.geometry.stereo.patchmatch import Sources
from threer_blender.model.arrays import Array

# The other view is one unit to the right, and the focal length is 50. A pixel p with an inverse depth rho goes to
# A p + rho b there; the nine numbers of A come first. So the pixel moves by 50 rho to the left, and back.
FORWARD = np.array([[1.0, 0, 0, 0, 1, 0, 0, 0, 1, -50, 0, 0]])
BACKWARD = np.array([[1.0, 0, 0, 0, 1, 0, 0, 0, 1, 50, 0, 0]])


def checked(depth_here: float, other: float, cost: float = 0.0) -> tuple[Array, Array]:
    """Agreeing views and confidence (30, 60) of a wall at inverse depth `depth_here`, in the other view at `other`."""
    planes, source = np.zeros((30, 60, 3), np.float32), np.zeros((1, 30, 60, 3), np.float32)
    planes[..., 0], source[..., 0] = depth_here, other
    agreeing, confidence = np.zeros((30, 60), np.uint8), np.zeros((30, 60), np.float32)
    sources = Sources(np.array([[30, 60]], np.int32), FORWARD, BACKWARD, source)
    limits = consistency.ConsistencyLimits(parallax=50.0, pixels=1.5, depth=0.015)
    costs = np.full((30, 60), cost, np.float32)
    consistency.check_consistency(0, 30, planes, costs, sources, limits, agreeing, confidence)
    return agreeing, confidence


def test_the_same_depth_is_trusted_where_both_views_see() -> None:
    agreeing, confidence = checked(0.2, 0.2)
    assert (agreeing[:, 12:] == 1).all()
    assert (agreeing[:, :8] == 0).all()  # ten pixels to the left, the other view ends
    assert confidence[:, 12:].min() > 0.9
    assert (confidence[:, :8] == 0).all()


def test_another_depth_is_not_trusted() -> None:
    agreeing, confidence = checked(0.2, 0.23)
    assert not agreeing.any()
    assert not confidence.any()


def test_weak_texture_lowers_the_confidence() -> None:
    assert checked(0.2, 0.2, cost=1.0)[1].max() < 0.5


def test_islands_smaller_than_the_least_are_removed() -> None:
    planes = np.zeros((20, 20, 3), np.float32)
    planes[..., 0] = 0.1
    planes[5:7, 5:7, 0] = 0.5
    confidence = np.ones((20, 20), np.float32)
    consistency.remove_speckles(planes, 50.0, 5, confidence)
    expected = np.ones((20, 20))
    expected[5:7, 5:7] = 0
    np.testing.assert_array_equal(confidence, expected)
