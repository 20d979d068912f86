"""[R] How well a patch of one picture matches another picture, given its plane: bilaterally weighted NCC. numpy, numba.

Schoenberger et al., "Pixelwise View Selection for Unstructured Multi-View Stereo" (ECCV 2016), equation 5. Planes,
transfers and pixels are those of `patchmatch`.
"""

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from ...model.arrays import Float32Array, FloatArray, Int32Array
from ..kernels import compiled

Real = float | np.floating[Any]
Plane = tuple[float, float, float]
"""The inverse depth rho, and its slopes rho_x and rho_y per pixel, see `patchmatch`."""
Affine = tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]
"""The place u, v of a patch's middle in another picture, and its derivatives by the pixel: ux, uy, vx, vy."""

PADDING = 8
"""Pixels of replicated border around every source picture, so that patches may reach beyond its edge."""

RADIUS = 5
"""Pixels from the middle to the side of a patch. Every _STEP-th pixel of its rows and columns is sampled."""
_STEP = 2
_OFFSETS = range(-RADIUS, RADIUS + 1, _STEP)
_DX = np.array([x for _ in _OFFSETS for x in _OFFSETS], np.float32)
_DY = np.array([y for y in _OFFSETS for _ in _OFFSETS], np.float32)
SAMPLES = len(_DX)

_NOISE_VARIANCE = (1.5 / 255) ** 2
"""Variance of a patch without texture: camera noise and JPEG, in squares of the grey value's full range."""

_COLOUR_SIGMA = 0.12
"""Root mean square over the channels, each from 0 to 1: the standard deviation of a sample's weight by its colour."""
_SPACE_SIGMA = 0.8 * RADIUS
"""Pixels: the standard deviation of a sample's weight by its distance from the middle."""
_OUT_OF_VIEW = np.float32(1.0)
"""The cost of a patch that the source does not show: that of an unrelated one."""


class Patch(NamedTuple):
    """The surroundings of a pixel: the bilateral `weights` (SAMPLES,), whose sum is 1; `centred` (SAMPLES,), the
    weights times (grey - mean); and the weighted `variance` of the grey values."""

    weights: Float32Array
    centred: Float32Array
    variance: Real


@compiled(fastmath=True)
def prepare_patch(
    grey: Float32Array, rgb: Float32Array, x: int, y: int, weights: Float32Array, centred: Float32Array
) -> Real:
    """Fills `weights` and `centred` for the Patch at pixel (x, y) of the picture `grey` (h, w) and `rgb` (h, w, 3);
    returns its variance."""
    height, width = grey.shape
    total = np.float32(0)
    mean = np.float32(0)
    for k in range(SAMPLES):
        px = x + int(_DX[k])
        py = y + int(_DY[k])
        weights[k] = 0
        if px < 0 or py < 0 or px >= width or py >= height:
            continue
        red = rgb[py, px, 0] - rgb[y, x, 0]
        green = rgb[py, px, 1] - rgb[y, x, 1]
        blue = rgb[py, px, 2] - rgb[y, x, 2]
        colour = (red * red + green * green + blue * blue) * np.float32(1 / (3 * _COLOUR_SIGMA**2))
        space = (_DX[k] ** 2 + _DY[k] ** 2) * np.float32(1 / _SPACE_SIGMA**2)
        weight = np.float32(math.exp(np.float32(-0.5) * (colour + space)))
        weights[k] = weight
        total += weight
        mean += weight * grey[py, px]
    mean /= total
    variance = np.float32(0)
    for k in range(SAMPLES):
        weights[k] /= total
        centred[k] = 0
        if weights[k] > 0:
            difference = grey[y + int(_DY[k]), x + int(_DX[k])] - mean
            centred[k] = weights[k] * difference
            variance += centred[k] * difference
    return variance


@numba.njit(inline="always")
def bilinear(pixels: Float32Array, index: int, stride: int, right: np.float32, down: np.float32) -> np.float32:
    """The value between four pixels, `right` and `down` in [0, 1) from the upper left one. That is `pixels[index]`, and
    a row of the picture has `stride` pixels."""
    # Unsigned, so that numba emits no test for negative indices and a loop becomes vector gathers.
    i = np.uint32(index)
    j = i + np.uint32(stride)
    top = pixels[i] + (pixels[i + np.uint32(1)] - pixels[i]) * right
    bottom = pixels[j] + (pixels[j + np.uint32(1)] - pixels[j]) * right
    return top + (bottom - top) * down


@compiled(fastmath=True)
def _patch_cost(pixels: Float32Array, start: int, stride: int, affine: Affine, patch: Patch) -> Real:
    """1 - NCC, limited to [0, 1], between `patch` and the patch `affine` of the picture that begins at `pixels[start]`,
    with `stride` pixels in a row. There is no branch in its loop."""
    weights, centred, variance = patch
    u, v, ux, uy, vx, vy = affine
    mean = np.float32(0)
    square = np.float32(0)
    covariance = np.float32(0)
    first = np.int32(start)
    row = np.int32(stride)
    for k in range(SAMPLES):
        su = u + ux * _DX[k] + uy * _DY[k]
        sv = v + vx * _DX[k] + vy * _DY[k]
        iu = np.int32(su)
        iv = np.int32(sv)
        fu = su - np.float32(iu)
        fv = sv - np.float32(iv)
        value = bilinear(pixels, first + iv * row + iu, row, fu, fv)
        weighted = weights[k] * value
        mean += weighted
        square += weighted * value
        covariance += centred[k] * value
    other = max(square - mean * mean, np.float32(0))
    noise = np.float32(_NOISE_VARIANCE)
    correlation = covariance / math.sqrt((np.float32(variance) + noise) * (other + noise))
    return min(max(np.float32(1) - correlation, np.float32(0)), np.float32(1))


@compiled(fastmath=True)
def source_cost(
    pixels: Float32Array, start: int, stride: int, size: Int32Array, matrix: FloatArray, base: FloatArray, plane: Plane,
    patch: Patch,
) -> Real:  # fmt: skip
    """The cost of `plane` at a pixel in the source picture that begins at `pixels[start]`: from 0 (equal) to 1
    (unrelated, or not in view).

    `size` is the source's height and width, `matrix` (12,) the transfer to it, see `patchmatch`, and `base` (3,) is A p
    for the pixel p. The plane's homography is taken to first order around the pixel; within five pixels, the error of
    that is below 0.02 px.
    """
    rho, rho_x, rho_y = plane
    z = base[2] + rho * matrix[11]
    if z <= 1e-9:
        return _OUT_OF_VIEW
    px = (base[0] + rho * matrix[9]) / z
    py = (base[1] + rho * matrix[10]) / z
    height, width = size[0], size[1]
    if not (px >= 0 and py >= 0 and px <= width - 1 and py <= height - 1):
        return _OUT_OF_VIEW
    zx = matrix[6] + rho_x * matrix[11]
    zy = matrix[7] + rho_y * matrix[11]
    ux = (matrix[0] + rho_x * matrix[9] - px * zx) / z
    uy = (matrix[1] + rho_y * matrix[9] - px * zy) / z
    vx = (matrix[3] + rho_x * matrix[10] - py * zx) / z
    vy = (matrix[4] + rho_y * matrix[10] - py * zy) / z
    px += PADDING
    py += PADDING
    reach_x = RADIUS * (abs(ux) + abs(uy))
    reach_y = RADIUS * (abs(vx) + abs(vy))
    if px < reach_x or py < reach_y:
        return _OUT_OF_VIEW
    if px + reach_x >= width + 2 * PADDING - 1 or py + reach_y >= height + 2 * PADDING - 1:
        return _OUT_OF_VIEW
    affine = (np.float32(px), np.float32(py), np.float32(ux), np.float32(uy), np.float32(vx), np.float32(vy))
    return _patch_cost(pixels, start, stride, affine, patch)


@compiled(fastmath=True)
def colour_similarity(rgb: Float32Array, x: int, y: int, qx: int, qy: int) -> float:
    """How alike the colours of the pixels (x, y) and (qx, qy) of `rgb` (h, w, 3) are, from 0 to 1 for equal ones."""
    red = rgb[qy, qx, 0] - rgb[y, x, 0]
    green = rgb[qy, qx, 1] - rgb[y, x, 1]
    blue = rgb[qy, qx, 2] - rgb[y, x, 2]
    return math.exp(-0.5 * (red * red + green * green + blue * blue) * np.float32(1 / (3 * _COLOUR_SIGMA**2)))
