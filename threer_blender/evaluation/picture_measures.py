"""[R] How well a rendered picture agrees with a photo: PSNR and SSIM. numpy only."""

from __future__ import annotations

import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray

WINDOW, SIGMA = 11, 1.5  # pixels: SSIM's Gaussian window
MEANS, VARIANCES = 0.01**2, 0.03**2  # SSIM's constants for values up to 1


def _unit(picture: Array) -> FloatArray:
    """The picture as float64; whole numbers are divided by the largest of their type."""
    picture = np.asarray(picture)
    if np.issubdtype(picture.dtype, np.integer):
        return picture / float(np.iinfo(picture.dtype).max)
    return picture.astype(np.float64)


def psnr(first: Array, second: Array, mask: BoolArray | None = None) -> float:
    """The peak signal-to-noise ratio in decibels of two pictures of one shape, whose values are up to 1, or integers.

    With a `mask` (H, W), it is of the pixels within. Infinite for equal pictures.
    """
    square = (_unit(first) - _unit(second)) ** 2
    mean = float((square if mask is None else square[mask]).mean())
    return float("inf") if mean == 0 else float(-10 * np.log10(mean))


def ssim(first: Array, second: Array) -> float:
    """The mean structural similarity of two pictures (H, W) or (H, W, C) of one shape, as Wang et al. (2004) define it.

    It is of the pixels whose whole window lies inside, and the mean over the channels. Both sides must have at least
    WINDOW pixels.
    """
    a, b = (_unit(each) for each in (first, second))
    a, b = (each[..., None] if each.ndim == 2 else each for each in (a, b))
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + MEANS) * (2 * covariance + VARIANCES)
    below = (mean_a**2 + mean_b**2 + MEANS) * (variance_a + variance_b + VARIANCES)
    return float((above / below).mean())


def _blurred(picture: FloatArray) -> FloatArray:
    """(H - WINDOW + 1, W - WINDOW + 1, C) the picture under SSIM's window."""
    offset = np.arange(WINDOW) - (WINDOW - 1) / 2
    kernel = np.exp(-(offset**2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    height, width = picture.shape[0] - WINDOW + 1, picture.shape[1] - WINDOW + 1
    rows = np.zeros((height, *picture.shape[1:]))
    for weight, start in zip(kernel, range(WINDOW), strict=True):
        rows += weight * picture[start : start + height]
    blurred = np.zeros((height, width, picture.shape[2]))
    for weight, start in zip(kernel, range(WINDOW), strict=True):
        blurred += weight * rows[:, start : start + width]
    return blurred
