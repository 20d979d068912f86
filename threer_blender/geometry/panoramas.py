"""[R] Panoramas cut into six pinhole views, the sides of a cube: their directions, pixels and pictures. numpy.

A panorama of width W has W / 2π pixels per radian along its horizon. Views with that focal length are as sharp.
"""

from __future__ import annotations

import numpy as np

from ..model import lens
from ..model.arrays import Array, FloatArray, IntArray
from .remap import sampled

# panorama_from_view of the view to the right: a quarter turn about the vertical axis.
_RIGHT = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
# panorama_from_view of the view up; its inverse is that of the view down.
_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
# (6, 3, 3) rotations panorama_from_view: ahead, right, behind, left, up, down.
VIEWS: FloatArray = np.stack([*(np.linalg.matrix_power(_RIGHT, quarters) for quarters in range(4)), _UP, _UP.T])
HALF_VIEW = np.radians(50.0)  # half the field of view: more than a cube's 45, so that no detail at an edge is cut
SEAM = 2  # columns repeated beyond the left and right edge, as many as the interpolation needs


def focal(width: int) -> float:
    """Pixels per radian in a panorama of this width."""
    return width / (2 * np.pi)


def view_picture(width: int) -> tuple[FloatArray, tuple[int, int]]:
    """K (3, 3) and size (width, height) of the views of a panorama of this width."""
    side = max(8, round(2 * focal(width) * np.tan(HALF_VIEW)))
    intrinsics = np.array([[focal(width), 0.0, side / 2], [0.0, focal(width), side / 2], [0.0, 0.0, 1.0]])
    return intrinsics, (side, side)


def width_for(side: int) -> int:
    """The width of a panorama whose views are `side` pixels wide."""
    return round(np.pi * side / np.tan(HALF_VIEW))


def cut(picture: Array, view: int) -> Array:
    """(h, w, 3) uint8: one of the VIEWS, by its number, of a panorama (H, W, 3) uint8."""
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
    """(N,) the number of the view whose axis is nearest to each of the directions (N, 3), in the panorama's frame."""
    nearest: IntArray = (np.asarray(directions) @ VIEWS[:, :, 2].T).argmax(axis=1)
    return nearest


def from_view(view: int, pixels: Array, width: int, height: int) -> FloatArray:
    """(N, 2) the pixels of a panorama of this size that show the same as the `pixels` (N, 2) of a view."""
    intrinsics, _ = view_picture(width)
    plane = (np.asarray(pixels, np.float64) - intrinsics[:2, 2]) / intrinsics[0, 0]
    rays = np.concatenate([plane, np.ones_like(plane[:, :1])], axis=1) @ VIEWS[view].T
    angles = lens.panorama_angles(rays)
    in_panorama: FloatArray = angles * (focal(width), height / np.pi) + (width / 2, height / 2)
    return in_panorama
