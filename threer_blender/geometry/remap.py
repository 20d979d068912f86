"""[R] Undistortion: the picture of an ideal pinhole camera in a photo's place. Numba, Pillow."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ..model import lens
from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera
from .kernels import compiled, in_bands

NOWHERE = -1e9  # a coordinate outside every photo
# Lens models that the kernel `_distorted` computes; the others are computed by numpy.
COMPILED = ("PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE")


def undistorted(
    image: Array,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    distortion: lens.Distortion,
    to_intrinsics: FloatArray,
    to_size: tuple[int, int],
) -> Array:
    """(h, w, 3) picture of `to_size` (w, h) that an ideal pinhole camera with K `to_intrinsics` (3, 3) sees.

    `image` (H, W, 3) was taken with focal lengths `fx`, `fy` and principal point `cx`, `cy`, in its pixels, and with
    `distortion`. It is uint8 or float32, and the result has the same type. Pixel centres are at (0.5, 0.5). The result
    is black where the photo shows nothing.

    The interpolation is Catmull-Rom's (Keys 1981, a = -1/2). A photo that is finer than the result at the centre is
    shrunk first, so that nothing aliases; raises ValueError where such a photo is float32.
    """
    shrink = max(1.0, min(fx / to_intrinsics[0, 0], fy / to_intrinsics[1, 1]))
    height, width = image.shape[:2]
    small = max(1, round(width / shrink)), max(1, round(height / shrink))
    if small != (width, height):
        if image.dtype != np.uint8:
            raise ValueError("pictures of floats are not shrunk")
        image = np.asarray(Image.fromarray(image).resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0))
    scale_x, scale_y = small[0] / width, small[1] / height
    camera = np.array([fx * scale_x, fy * scale_y, cx * scale_x, cy * scale_y])
    out = np.zeros((to_size[1], to_size[0], 3), image.dtype)
    source = np.ascontiguousarray(image)
    target = np.ascontiguousarray(to_intrinsics, np.float64)

    def fill(first_row: int, last_row: int) -> None:
        rows = np.zeros(out[first_row:last_row].shape, np.float32)
        _sample(source, _places(camera, distortion, target, first_row, rows.shape[:2]), rows)
        out[first_row:last_row] = rows if out.dtype == np.float32 else (rows + 0.5).clip(0, 255)

    in_bands(fill, 0, to_size[1])
    return out


def ideal_picture_of(picture: Array, camera: Camera, to_intrinsics: FloatArray, to_size: tuple[int, int]) -> Array:
    """As `undistorted`, for the photo of `camera`. `picture` (H, W, 3) is that photo or a copy of another size."""
    x, y = picture.shape[1] / camera.width, picture.shape[0] / camera.height
    lens_in_pixels = (camera.fx * x, camera.fy * y, camera.cx * x, camera.cy * y)
    return undistorted(picture, *lens_in_pixels, camera.distortion, to_intrinsics, to_size)


def sampled(image: Array, places: FloatArray) -> Array:
    """(h, w, 3) uint8: `image` (H, W, 3) uint8 at the pixels `places` (h, w, 2), x and y, interpolated as in
    `undistorted`. Black outside the image."""
    out = np.zeros((*places.shape[:2], 3), np.uint8)
    source = np.ascontiguousarray(image)

    def fill(first_row: int, last_row: int) -> None:
        rows = np.zeros(out[first_row:last_row].shape, np.float32)
        _sample(source, np.ascontiguousarray(places[first_row:last_row]), rows)
        out[first_row:last_row] = (rows + 0.5).clip(0, 255)

    in_bands(fill, 0, len(out))
    return out


def _places(
    camera: FloatArray, distortion: lens.Distortion, target: FloatArray, top: int, shape: tuple[int, ...]
) -> FloatArray:
    """(h, w, 2) the photo pixels that the result's rows from `top` on show; NOWHERE beyond the lens model's validity.

    `camera` (4,) is fx, fy, cx, cy of the photo, `target` (3, 3) the result's K, `shape` (h, w).
    """
    farthest_square = min(lens.valid_radius(distortion) ** 2, 1e12)  # finite, as fastmath demands
    places = np.empty((*shape, 2))
    if distortion.model in COMPILED:
        params = np.array((*distortion.params, 0.0, 0.0, 0.0, 0.0)[:4])
        _compiled_places(camera, distortion.model == "OPENCV_FISHEYE", params, farthest_square, target, top, places)
        return places
    x, y = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(top, top + shape[0]) + 0.5)
    v = (y - target[1, 2]) / target[1, 1]
    u = (x - target[0, 2] - target[0, 1] * v) / target[0, 0]
    ideal = np.stack([u, v], axis=-1)
    inside = (ideal**2).sum(axis=-1, keepdims=True) < farthest_square
    places[:] = lens.distort(distortion, np.where(inside, ideal, np.nan)) * camera[:2] + camera[2:]
    return np.where(np.isnan(places), NOWHERE, places)


@compiled(fastmath=True)
def _distorted(u: float, v: float, fisheye: bool, params: FloatArray) -> tuple[float, float]:
    """`lens.distort` for one point; a test checks that the two agree."""
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
def _compiled_places(
    camera: FloatArray,
    fisheye: bool,
    params: FloatArray,
    farthest_square: float,
    target: FloatArray,
    top: int,
    places: FloatArray,
) -> None:
    """Fill `places` (h, w, 2) as `_places` says."""
    for row in range(places.shape[0]):
        for column in range(places.shape[1]):
            v = (top + row + 0.5 - target[1, 2]) / target[1, 1]
            u = (column + 0.5 - target[0, 2] - target[0, 1] * v) / target[0, 0]
            places[row, column, 0] = places[row, column, 1] = NOWHERE
            if u * u + v * v < farthest_square:
                u, v = _distorted(u, v, fisheye, params)
                places[row, column, 0] = u * camera[0] + camera[2]
                places[row, column, 1] = v * camera[1] + camera[3]


@compiled(fastmath=True)
def _sample(image: Array, places: FloatArray, out: Array) -> None:
    """Fill `out` (h, w, 3) float32 with what `image` shows at `places` (h, w, 2)."""
    height, width = image.shape[:2]
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = places[row, column]
            if not (0 <= x <= width and 0 <= y <= height):
                continue
            # From here pixel centres are at integers.
            left, top = math.floor(x - 0.5), math.floor(y - 0.5)
            weights_x = _catmull_rom(x - 0.5 - left)
            weights_y = _catmull_rom(y - 0.5 - top)
            for channel in range(3):
                total = np.float32(0)
                for j in range(4):
                    sample_row = min(max(top - 1 + j, 0), height - 1)
                    line = np.float32(0)
                    for i in range(4):
                        sample_column = min(max(left - 1 + i, 0), width - 1)
                        line += weights_x[i] * np.float32(image[sample_row, sample_column, channel])
                    total += weights_y[j] * line
                out[row, column, channel] = total
