"""The round trip of a pixel through another view, on planes whose transfer is known."""

import numpy as np
import pytest

from threer_blender.geometry.stereo import patchmatch
from threer_blender.model.arrays import Array

# A step of one unit to the right with a focal length of 50: a pixel moves by 50 times its inverse depth.
FORWARD = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 1, -50, 0, 0])
BACKWARD = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 1, 50, 0, 0])


def planes(rho: float) -> Array:
    out = np.zeros((30, 60, 3), np.float32)
    out[..., 0] = rho
    return out


def test_a_true_depth_comes_back_to_its_pixel() -> None:
    error, back, ratio = patchmatch.round_trip(40.0, 10.0, 0.2, FORWARD, BACKWARD, planes(0.2), 30, 60)
    assert error == pytest.approx(0, abs=1e-5)
    assert back == pytest.approx(0.2, rel=1e-6)
    assert ratio == pytest.approx(1, rel=1e-6)


def test_a_wrong_depth_comes_back_elsewhere() -> None:
    error, _, ratio = patchmatch.round_trip(40.0, 10.0, 0.2, FORWARD, BACKWARD, planes(0.25), 30, 60)
    assert error == pytest.approx(50 * 0.05, rel=1e-5)
    assert ratio == pytest.approx(1.25, rel=1e-5)


@pytest.mark.parametrize(("x", "rho"), [(5.0, 0.2), (40.0, 0.0)])
def test_a_pixel_that_leaves_the_view_or_meets_no_depth_is_not_visible(x: float, rho: float) -> None:
    error, _, _ = patchmatch.round_trip(x, 10.0, 0.2, FORWARD, BACKWARD, planes(rho), 30, 60)
    assert error == patchmatch.NOT_VISIBLE
