"""[R] Undistortion: the picture of an ideal pinhole camera in a photo's place. Numba, Pillow."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..model import lens
from ..model.arrays import FloatArray, UInt8Array
from .kernels import compiled, in_bands


def undistorted(
    image: UInt8Array,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    distortion: lens.Distortion,
    to_intrinsics: FloatArray,
    to_size: tuple[int, int],
) -> UInt8Array:
    """(h, w, 3) sRGB picture of `to_size` (w, h) that an ideal pinhole camera with K `to_intrinsics` (3, 3) sees.

    `image` (H, W, 3) was taken with the other intrinsics (pixels of it) and `distortion`. Pixel centres are at
    (0.5, 0.5). Black where the photo shows nothing. Catmull-Rom interpolation (Keys 1981, a = -1/2), after shrinking
    the photo where its scale at the centre is finer than the result's, so that nothing aliases.
    """
    shrink = max(1.0, min(fx / to_intrinsics[0, 0], fy / to_intrinsics[1, 1]))
    height, width = image.shape[:2]
    small = max(1, round(width / shrink)), max(1, round(height / shrink))
    if small != (width, height):
        image = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0))
    scale_x, scale_y = small[0] / width, small[1] / height
    camera = np.array([fx * scale_x, fy * scale_y, cx * scale_x, cy * scale_y])
    fisheye = distortion.model == "OPENCV_FISHEYE"
    params = np.array((*distortion.params, 0.0, 0.0, 0.0, 0.0)[:4])
    farthest = min(lens.valid_radius(distortion) ** 2, 1e12)  # finite, as fastmath demands
    out = np.zeros((to_size[1], to_size[0], 3), np.uint8)
    source = np.ascontiguousarray(image)
    target = np.ascontiguousarray(to_intrinsics, np.float64)
    in_bands(_fill, 0, to_size[1], source, camera, fisheye, params, farthest, target, out)
    return out


@compiled(fastmath=True)
def _distorted(u: float, v: float, fisheye: bool, params: FloatArray) -> tuple[float, float]:
    """`lens.distort` for one point; a test holds the two together."""
    square = u * u + v * v
    if fisheye:
        radius = math.sqrt(square)
        angle = math.atan(radius)
        s = angle * angle
        distorted = angle * (1 + s * (params[0] + s * (params[1] + s * (params[2] + s * params[3]))))
        ratio = distorted / radius if radius > 1e-12 else 1.0
        return u * ratio, v * ratio
    radial = 1 + square * (params[0] + square * params[1])
    p1, p2 = params[2], params[3]
    return (
        u * radial + 2 * p1 * u * v + p2 * (square + 2 * u * u),
        v * radial + 2 * p2 * u * v + p1 * (square + 2 * v * v),
    )


@compiled(fastmath=True)
def _catmull_rom(t: float) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """Weights of the samples at -1, 0, 1, 2 for the place t in [0, 1) (Keys 1981, eq. 4 with a = -1/2)."""
    return (
        np.float32(((-0.5 * t + 1.0) * t - 0.5) * t),
        np.float32((1.5 * t - 2.5) * t * t + 1.0),
        np.float32(((-1.5 * t + 2.0) * t + 0.5) * t),
        np.float32((0.5 * t - 0.5) * t * t),
    )


@compiled(fastmath=True)
def _fill(
    first_row: int,
    last_row: int,
    image: UInt8Array,
    camera: FloatArray,
    fisheye: bool,
    params: FloatArray,
    farthest: float,
    target: FloatArray,
    out: UInt8Array,
) -> None:
    """Write the rows [first_row, last_row) of `out`."""
    height, width = image.shape[:2]
    for row in range(first_row, last_row):
        for column in range(out.shape[1]):
            v = (row + 0.5 - target[1, 2]) / target[1, 1]
            u = (column + 0.5 - target[0, 2] - target[0, 1] * v) / target[0, 0]
            if u * u + v * v >= farthest:
                continue
            u, v = _distorted(u, v, fisheye, params)
            x = u * camera[0] + camera[2]
            y = v * camera[1] + camera[3]
            if not (0 <= x <= width and 0 <= y <= height):
                continue
            # From here pixel centres are at integers.
            left, top = math.floor(x - 0.5), math.floor(y - 0.5)
            weights_x = _catmull_rom(x - 0.5 - left)
            weights_y = _catmull_rom(y - 0.5 - top)
            for channel in range(3):
                total = np.float32(0.5)
                for j in range(4):
                    sample_row = min(max(top - 1 + j, 0), height - 1)
                    line = np.float32(0)
                    for i in range(4):
                        sample_column = min(max(left - 1 + i, 0), width - 1)
                        line += weights_x[i] * np.float32(image[sample_row, sample_column, channel])
                    total += weights_y[j] * line
                out[row, column, channel] = np.uint8(min(max(total, np.float32(0)), np.float32(255)))
