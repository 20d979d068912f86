"""A patch costs nothing in a picture of the same surface, and much in one of another."""

import numpy as np
import pytest

from threer_blender.geometry.stereo import patches
from threer_blender.model.arrays import Array

HEIGHT, WIDTH, X, Y = 40, 60, 35, 20
# Forward from the first picture's pixels to those of a camera one unit to the right, with a focal length of 50: a 3x3
# matrix, then the translation. A pixel moves to the left by 50 times its inverse depth.
FORWARD = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 1, -50, 0, 0])


def picture(shift: float) -> Array:
    """(HEIGHT, WIDTH) a texture of waves, moved to the left by so many pixels."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    x = x + shift
    waves = np.sin(0.9 * x + 0.3 * y) + np.sin(0.4 * x - 0.7 * y) + np.sin(0.13 * x * y / 20)
    return (0.5 + waves / 8).astype(np.float32)


def cost(source: Array, plane: patches.Plane, x: int = X) -> float:
    """The cost in `source` of the patch around pixel (x, Y) of the picture that is not shifted.

    `plane` is the inverse depth at that pixel, and its change per pixel to the right and down.
    """
    grey = picture(0)
    weights, centred = (np.empty(patches.SAMPLES, np.float32) for _ in range(2))
    variance = patches.prepare_patch(grey, np.stack([grey] * 3, axis=-1), x, Y, weights, centred)
    padded = np.pad(source, patches.PADDING, mode="edge")
    base = FORWARD[:9].reshape(3, 3) @ (x, Y, 1.0)
    patch = patches.Patch(weights, centred, variance)
    size = np.array(source.shape, np.int32)
    return float(patches.source_cost(padded.ravel(), 0, padded.shape[1], size, FORWARD, base, plane, patch))


def test_the_true_depth_costs_nothing() -> None:
    assert cost(picture(10), (0.2, 0.0, 0.0)) == pytest.approx(0, abs=1e-2)  # the cost grants every picture some noise


def test_wrong_depths_and_slopes_cost_more() -> None:
    assert cost(picture(10), (0.25, 0.0, 0.0)) > 0.2
    assert cost(picture(10), (0.2, 0.01, 0.0)) > 0.02


def test_another_texture_costs_almost_all() -> None:
    noise = np.random.default_rng(0).random((HEIGHT, WIDTH), np.float32)
    assert cost(noise, (0.2, 0.0, 0.0)) > 0.6


def test_what_leaves_the_view_costs_all() -> None:
    assert cost(picture(10), (0.2, 0.0, 0.0), x=4) == 1
