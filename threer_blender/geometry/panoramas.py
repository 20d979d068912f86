"""[R] Panoramas cut into pinhole views of one centre: where each looks, and which is the best for a direction. numpy.

A panorama (W, H) has W / 2π pixels a radian everywhere along its horizon, which is the focal length of views as sharp.
"""

from __future__ import annotations

import numpy as np

from ..model import lens
from ..model.arrays import Array, FloatArray, IntArray
from .remap import sampled

# (6, 3, 3) the sides of a cube, each as panorama_from_view: ahead, right, behind, left, up, down.
_QUARTER = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
VIEWS: FloatArray = np.stack([*(np.linalg.matrix_power(_QUARTER, quarters) for quarters in range(4)), _UP, _UP.T])
HALF_VIEW = np.radians(50.0)  # beyond the cube's 45: what lies at the edge of one view is whole in it
SEAM = 2  # columns that a sample takes on each side


def focal(width: int) -> float:
    """Pixels of a radian in a panorama of this width."""
    return width / (2 * np.pi)


def view_picture(width: int) -> tuple[FloatArray, tuple[int, int]]:
    """K (3, 3) and size of the views of a panorama of this width."""
    side = max(8, round(2 * focal(width) * np.tan(HALF_VIEW)))
    intrinsics = np.array([[focal(width), 0.0, side / 2], [0.0, focal(width), side / 2], [0.0, 0.0, 1.0]])
    return intrinsics, (side, side)


def width_for(side: int) -> int:
    """The width of a panorama whose views are `side` pixels wide."""
    return round(np.pi * side / np.tan(HALF_VIEW))


def cut(picture: Array, view: int) -> Array:
    """(h, w, 3) uint8, the picture of a view of a panorama (H, W, 3) uint8."""
    return view_of(picture, VIEWS[view], *view_picture(picture.shape[1]))


def view_of(picture: Array, rotation: FloatArray, intrinsics: FloatArray, size: tuple[int, int]) -> Array:
    """(h, w, 3) uint8 of `size` (w, h): what a pinhole camera with K `intrinsics` sees of a panorama (H, W, 3) uint8.

    `rotation` is panorama_from_camera.
    """
    height, width = picture.shape[:2]
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(intrinsics).T @ rotation.T
    places = lens.panorama_angles(rays) * (focal(width), height / np.pi) + (width / 2 + SEAM, height / 2)
    around = np.concatenate([picture[:, -SEAM:], picture, picture[:, :SEAM]], axis=1)
    return sampled(around, places)


def nearest_view(directions: Array) -> IntArray:
    """(N,) the view whose axis is nearest to each of the directions (N, 3)."""
    nearest: IntArray = (np.asarray(directions) @ VIEWS[:, :, 2].T).argmax(axis=1)
    return nearest


def from_view(view: int, pixels: Array, width: int, height: int) -> FloatArray:
    """(N, 2) pixels of a view (N, 2) as pixels of its panorama of this size."""
    intrinsics, _ = view_picture(width)
    plane = (np.asarray(pixels, np.float64) - intrinsics[:2, 2]) / intrinsics[0, 0]
    rays = np.concatenate([plane, np.ones_like(plane[:, :1])], axis=1) @ VIEWS[view].T
    angles = lens.panorama_angles(rays)
    in_panorama: FloatArray = angles * (focal(width), height / np.pi) + (width / 2, height / 2)
    return in_panorama
