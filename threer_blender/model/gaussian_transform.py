"""[S] Gaussians, moved, turned and scaled as a whole: means, covariances and spherical harmonics. Numpy only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import spherical_harmonics
from .errors import UserError
from .reconstruction import Array, FloatArray, Gaussians

UNIFORM = 1e-4  # relative difference of a matrix's axes that still counts as a uniform scale


def transformed(gaussians: Gaussians, matrix: Array) -> Gaussians:
    """`gaussians` under the similarity `matrix` (4, 4).

    Raises UserError where the matrix mirrors, shears or scales axes differently: Gaussians with spherical harmonics
    cannot follow that.
    """
    rotation, scale = similarity(matrix)
    matrix = np.asarray(matrix, np.float64)
    turn = spherical_harmonics.rotation(rotation, spherical_harmonics.degree_of(gaussians.sh))
    return replace(
        gaussians,
        means=(gaussians.means @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32),
        scales=(gaussians.scales * scale).astype(np.float32),
        rotations=quaternion_product(quaternion(rotation), gaussians.rotations).astype(np.float32),
        sh=np.einsum("jk,nkc->njc", turn.astype(np.float32), gaussians.sh, optimize=True).astype(np.float32),
    )


def similarity(matrix: Array) -> tuple[FloatArray, float]:
    """The rotation (3, 3) and the uniform scale of `matrix` (4, 4); UserError where there is none."""
    linear = np.asarray(matrix, np.float64)[:3, :3]
    scale = float(np.cbrt(np.linalg.det(linear)))
    if scale <= 0:
        raise UserError("Mirrored or flattened splats cannot be written: make the object's scale positive.")
    rotation = linear / scale
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > UNIFORM:
        raise UserError("Splats can only be scaled alike on all axes: make the object's scale uniform, without shear.")
    return rotation, scale


def quaternion(rotation: FloatArray) -> FloatArray:
    """(4,) unit quaternion wxyz of a rotation matrix (3, 3): the eigenvector of Bar-Itzhack 2000, "New method"."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    found: FloatArray = np.linalg.eigh(symmetric)[1][:, -1]
    return found


def quaternion_product(first: Array, second: Array) -> Array:
    """Quaternions wxyz (…, 4) of the rotation `first` after `second`."""
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
