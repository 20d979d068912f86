"""Photos of checkerboards that a lens takes, rendered with exact truth. [S]"""

from typing import Any

import numpy as np

from threer_blender.geometry import rotations
from threer_blender.model import lens
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion

WIDTH, HEIGHT, FOCAL = 480, 320, 430.0
CENTRE = (243.0, 157.0)
BARREL = Distortion("RADIAL", (-0.22, 0.04))
POSES = (
    ((0.0, 0.0, 0.1), (0.2, -0.1, 9.0)),
    ((0.5, 0.1, 0.0), (-0.5, 0.3, 9.5)),
    ((-0.4, 0.3, 0.2), (0.6, 0.4, 9.0)),
    ((0.1, -0.6, -0.1), (0.3, 0.0, 10.0)),
)


def pose(rotation_vector: Any, translation: Any) -> Array:
    """(3, 4) camera_from_board of a rotation vector in radians and a translation in squares of the board."""
    return np.column_stack([rotations.from_vectors(np.array([rotation_vector]))[0], translation])


def project(camera_from_board: Array, plane: Array, distortion: Distortion = BARREL) -> Array:
    """(N, 2) pixels of points (N, 2) on the board."""
    local = plane @ camera_from_board[:, :2].T + camera_from_board[:, 3]
    return lens.distort(distortion, local[:, :2] / local[:, 2:]) * FOCAL + CENTRE


def photo(
    camera_from_board: Array,
    distortion: Distortion = BARREL,
    columns: int = 10,
    rows: int = 8,
    nested: bool = False,
    scale: int = 1,
) -> Array:
    """(H, W, 3) uint8 picture of a board of `columns` × `rows` squares, each 1 unit wide, with grey around it.

    Where `nested`, the middle four squares hold a finer board of 1/6 a unit. `scale` enlarges the picture.
    """
    y, x = np.mgrid[: HEIGHT * scale, : WIDTH * scale] + 0.5
    plane = lens.undistort(distortion, (np.stack([x, y], axis=-1) / scale - CENTRE) / FOCAL)
    rays = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
    board = rays @ np.linalg.inv(camera_from_board[:, [0, 1, 3]]).T
    board = board[..., :2] / board[..., 2:]
    white = _squares(board)
    if nested:
        white = np.where((np.abs(board) < 1).all(axis=-1), _squares(6 * board), white)
    inside = (np.abs(board[..., 0]) < columns / 2) & (np.abs(board[..., 1]) < rows / 2)
    grey = 20 + 200 * np.where(inside, white, 0.5) + 1.5 * np.random.default_rng(0).standard_normal(white.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _squares(board: Array) -> Array:
    """(H, W) the share of white in each pixel, where `board` (H, W, 2) is the pixel's place on the board in squares.

    The edge between two squares is a pixel wide.
    """
    waves = []
    for axis in (0, 1):
        along = board[..., axis]
        width = np.hypot(*np.gradient(along))
        nearest = np.round(along)
        waves.append((1 - 2 * (nearest % 2)) * 2 * ((along - nearest) / width).clip(-0.5, 0.5))
    white: Array = 0.5 - 0.5 * waves[0] * waves[1]
    return white
