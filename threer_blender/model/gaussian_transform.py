"""[S] Gaussians under a similarity: means, covariances and spherical harmonics. Numpy only."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import spherical_harmonics
from .arrays import Array, FloatArray
from .errors import UserError
from .quaternions import product_wxyz, wxyz_from_matrix
from .reconstruction import Gaussians

UNIFORM = 1e-4  # relative difference of a matrix's axes that still counts as a uniform scale


def transformed(gaussians: Gaussians, matrix: Array) -> Gaussians:
    """`gaussians` under the similarity `matrix` (4, 4), which may mirror.

    Raises UserError where the matrix flattens, shears, or scales the axes differently. Rotated spherical harmonics
    cannot express that.
    """
    orthogonal, scale = similarity(matrix)
    matrix = np.asarray(matrix, np.float64)
    sh_rotation = spherical_harmonics.rotation(orthogonal, spherical_harmonics.degree_of(gaussians.sh))
    # An ellipsoid equals its image through its centre, so a matrix that mirrors acts on it as its negative, a rotation.
    rotation = orthogonal * np.linalg.det(orthogonal).round()
    return replace(
        gaussians,
        means=(gaussians.means @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32),
        scales=(gaussians.scales * scale).astype(np.float32),
        rotations=product_wxyz(wxyz_from_matrix(rotation), gaussians.rotations).astype(np.float32),
        sh=np.einsum("jk,nkc->njc", sh_rotation.astype(np.float32), gaussians.sh, optimize=True).astype(np.float32),
    )


def mirrored(gaussians: Gaussians, signs: Array) -> Gaussians:
    """`gaussians` in a world whose axes x, y, z are multiplied by `signs` (3,), +1 or -1 each.

    The order of a Gaussian's own axes, and so of its scales, stays.
    """
    x, y, z = signs
    degree = spherical_harmonics.degree_of(gaussians.sh)
    functions = spherical_harmonics.rotation(np.diag(signs), degree).diagonal().round().astype(np.float32)
    return replace(
        gaussians,
        means=gaussians.means * np.array(signs, np.float32),
        rotations=gaussians.rotations * np.array((1, y * z, x * z, x * y), np.float32),
        sh=gaussians.sh * functions[:, None],
    )


def similarity(matrix: Array) -> tuple[FloatArray, float]:
    """The orthogonal matrix (3, 3), which may mirror, and the scale, above 0, of the similarity `matrix` (4, 4).

    Raises UserError where `matrix` is no similarity.
    """
    linear = np.asarray(matrix, np.float64)[:3, :3]
    scale = float(np.cbrt(abs(np.linalg.det(linear))))
    if not scale > 0:
        raise UserError("A flattened result cannot be written: make the object's scale larger than 0 on all axes.")
    orthogonal = linear / scale
    if np.abs(orthogonal @ orthogonal.T - np.eye(3)).max() > UNIFORM:
        raise UserError(
            "A result can only be scaled alike on all axes: make the object's scale uniform, without shear."
        )
    return orthogonal, scale
