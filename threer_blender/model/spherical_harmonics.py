"""[S] Real spherical harmonics up to degree 3, as 3D Gaussian splats use them: the basis, and its rotation.

Order and signs are those of Kerbl et al. 2023, "3D Gaussian Splatting for Real-Time Radiance Field Rendering". The
colour of a Gaussian in the unit direction d from the camera to the Gaussian is ½ + Σ sh[k] · basis[k](d), clipped at 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, FloatArray

C0 = 0.28209479177387814  # the basis function of degree 0, which is constant
MAX_DEGREE = 3
# Degree -> number of coefficients of a channel.
COEFFICIENTS = tuple((degree + 1) ** 2 for degree in range(MAX_DEGREE + 1))


def basis(x: Any, y: Any, z: Any, degree: int) -> list[Any]:
    """The values of the (degree + 1)² basis functions at the unit direction (x, y, z), the constant first.

    Only +, - and * are used, so x, y and z may be numbers, arrays, or sockets of a node tree.
    """
    values = [C0]
    if degree >= 1:
        values += [y * -0.4886025119029199, z * 0.4886025119029199, x * -0.4886025119029199]
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        values += [
            x * y * 1.0925484305920792,
            y * z * -1.0925484305920792,
            (zz * 2.0 - xx - yy) * 0.31539156525252005,
            x * z * -1.0925484305920792,
            (xx - yy) * 0.5462742152960396,
        ]
    if degree >= 3:
        across = zz * 4.0 - xx - yy
        values += [
            y * (xx * 3.0 - yy) * -0.5900435899266435,
            x * y * z * 2.890611442640554,
            y * across * -0.4570457994644658,
            z * (zz * 2.0 - xx * 3.0 - yy * 3.0) * 0.3731763325901154,
            x * across * -0.4570457994644658,
            z * (xx - yy) * 1.445305721320277,
            x * (xx - yy * 3.0) * -0.5900435899266435,
        ]
    return values


def degree_of(sh: Array) -> int:
    """The degree of the coefficients `sh` (N, K, 3), where K = (degree + 1)²."""
    return int(np.sqrt(sh.shape[1])) - 1


def rotation(matrix: FloatArray, degree: int) -> FloatArray:
    """(K, K), block-diagonal: takes the coefficients of a function to those of the same function, rotated.

    `matrix` (3, 3) is orthogonal, and may mirror. The rotated function at d is the function at matrixᵀ d. A rotation
    mixes only functions of one degree. So each degree's block is a least-squares fit to the values of its functions in
    more directions than there are functions.
    """
    directions = _directions()
    before, after = _values(directions @ matrix, degree), _values(directions, degree)
    coefficients = np.zeros((after.shape[1],) * 2)
    for level in range(degree + 1):
        block = slice(level**2, (level + 1) ** 2)
        coefficients[block, block] = np.linalg.lstsq(after[:, block], before[:, block], rcond=None)[0]
    return coefficients


def _values(directions: FloatArray, degree: int) -> FloatArray:
    """(M, K) the values of the basis functions in `directions` (M, 3)."""
    x, y, z = directions.T
    return np.stack([np.broadcast_to(f, len(directions)) for f in basis(x, y, z, degree)], axis=-1)


def _directions() -> FloatArray:
    """(32, 3) unit vectors spread over the sphere (a Fibonacci lattice)."""
    count = 32
    z = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (1 + np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=-1)
