"""[S] Rotation matrices and unit quaternions. Each name says their order: wxyz (splats) or xyzw (networks). Numpy.

`matrix_elements` uses only +, - and *, so that one formula serves numpy and torch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, FloatArray


def matrix_elements(w: Any, x: Any, y: Any, z: Any) -> list[Any]:
    """The nine elements, row by row, of the rotation matrix of the unit quaternion w + xi + yj + zk.

    The four are numbers, or arrays or tensors of one shape, and so are the nine.
    """
    return [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip


def matrices_from_wxyz(quaternions: Array) -> Array:
    """(..., 3, 3) rotation matrices of unit quaternions wxyz (..., 4)."""
    elements: Array = np.stack(matrix_elements(*np.moveaxis(quaternions, -1, 0)), axis=-1)
    return elements.reshape(*quaternions.shape[:-1], 3, 3)


def wxyz_from_matrix(rotation: FloatArray) -> FloatArray:
    """(4,) unit quaternion wxyz of a rotation matrix (3, 3).

    It is the eigenvector of Bar-Itzhack 2000, "New method for extracting the quaternion from a rotation matrix".
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    quaternion: FloatArray = np.linalg.eigh(symmetric)[1][:, -1]
    return quaternion


def product_wxyz(first: Array, second: Array) -> Array:
    """Quaternions wxyz (..., 4) of the rotations that apply `second` (..., 4), then `first` (..., 4)."""
    w1, x1, y1, z1 = np.moveaxis(first, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(second, -1, 0)
    return np.stack(
        [
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        ],
        axis=-1,
    )
