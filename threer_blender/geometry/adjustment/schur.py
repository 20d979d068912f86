"""[R] The damped normal equations of a bundle adjustment, its points eliminated (Schur complement), in numba.

Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment - A Modern Synthesis" (2000), 6.1. The reduced system is
stored densely: cameras that share a lens leave little of it empty, and 300 cameras make only 2100 unknowns.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, FloatArray
from ..kernels import compiled


class Linear(NamedTuple):
    """Weighted `residuals` (M, R) of M observations, with their derivatives.

    `outer` (M, R, K) are the derivatives by the reduced unknowns (cameras and lenses) with the numbers `columns` (M, K)
    int64, `inner` (M, R, 3) those by the observation's point. `start` (P + 1,) int64 is where each point's observations
    begin.
    """

    residuals: FloatArray
    columns: Array
    outer: FloatArray
    inner: FloatArray
    start: Array


def solve(linear: Linear, prior: FloatArray, gradient: FloatArray, damping: float) -> tuple[FloatArray, FloatArray]:
    """The damped Gauss-Newton steps of the reduced unknowns (U,) and of the points (P, 3).

    `prior` (U,) and `gradient` (U,) are the diagonal of the normal matrix, and the gradient, of the terms on reduced
    unknowns alone. Raises numpy.linalg.LinAlgError where the system is singular.
    """
    matrix, reduced_gradient, inverses, point_gradient = _reduce(linear, len(prior), damping)
    diagonal = prior * (1 + damping) + 1e-12
    matrix[np.diag_indices_from(matrix)] += diagonal
    step = np.linalg.solve(matrix, -(reduced_gradient + gradient))
    changes = np.einsum("mrk,mk->mr", linear.outer, step[linear.columns])
    return step, point_steps(changes, linear.inner, linear.start, inverses, point_gradient)


@compiled()
def inverted(block: Array) -> Array:
    """The inverse of a positive definite matrix (3, 3), by its Cholesky factor; numba's own inverse needs SciPy.

    Pivots that rounding has made too small are raised to the least that double precision resolves.
    """
    a = np.sqrt(block[0, 0])
    b, c = block[1, 0] / a, block[2, 0] / a
    d = np.sqrt(max(block[1, 1] - b * b, 1e-15 * block[1, 1]))
    e = (block[2, 1] - c * b) / d
    f = np.sqrt(max(block[2, 2] - c * c - e * e, 1e-15 * block[2, 2]))
    half = np.zeros((3, 3))  # the inverse of the factor, whose elements are a to f, row by row
    half[0, 0], half[1, 1], half[2, 2] = 1 / a, 1 / d, 1 / f
    half[1, 0] = -b * half[0, 0] / d
    half[2, 1] = -e * half[1, 1] / f
    half[2, 0] = -(c * half[0, 0] + e * half[1, 0]) / f
    inverse = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            for k in range(3):
                inverse[i, j] += half[k, i] * half[k, j]
    return inverse


@compiled()
def point_inverse(residuals: Array, inner: Array, first: int, count: int, damping: float, gradient: Array) -> Array:
    """The inverse of a point's damped block (3, 3) of the normal matrix, from its `count` observations from `first` on.

    `residuals` (M, R) and `inner` (M, R, 3) are as in Linear. The point's `gradient` (3,), 0 before, is filled.
    """
    block = np.zeros((3, 3))
    for m in range(first, first + count):
        for r in range(residuals.shape[1]):
            for i in range(3):
                gradient[i] += inner[m, r, i] * residuals[m, r]
                for j in range(3):
                    block[i, j] += inner[m, r, i] * inner[m, r, j]
    for i in range(3):
        block[i, i] += damping * block[i, i] + 1e-12
    return inverted(block)


@compiled()
def _reduce(linear: Linear, unknowns: int, damping: float) -> tuple[Array, Array, Array, Array]:
    """The reduced matrix (U, U) and gradient (U,), the inverses of the points' damped blocks (P, 3, 3), and the points'
    gradients (P, 3)."""
    residuals, columns, outer, inner, start = linear
    points, rows, width = len(start) - 1, residuals.shape[1], columns.shape[1]
    matrix, reduced_gradient, diagonal = np.zeros((unknowns, unknowns)), np.zeros(unknowns), np.zeros(unknowns)
    inverses, gradients = np.zeros((points, 3, 3)), np.zeros((points, 3))
    longest = 0
    for point in range(points):
        longest = max(longest, start[point + 1] - start[point])
    # The products of a point's observations by reduced unknown and by point, and these times the point's inverse.
    mixed, solved = np.zeros((longest, width, 3)), np.zeros((longest, width, 3))
    for point in range(points):
        first, count = start[point], start[point + 1] - start[point]
        gradient = gradients[point]
        inverse = point_inverse(residuals, inner, first, count, damping, gradient)
        inverses[point] = inverse
        for a in range(count):
            m = first + a
            for k in range(width):
                for i in range(3):
                    total = 0.0
                    for r in range(rows):
                        total += outer[m, r, k] * inner[m, r, i]
                    mixed[a, k, i] = total
                for i in range(3):
                    solved[a, k, i] = (
                        mixed[a, k, 0] * inverse[0, i] + mixed[a, k, 1] * inverse[1, i] + mixed[a, k, 2] * inverse[2, i]
                    )
            for k in range(width):
                column = columns[m, k]
                for i in range(3):
                    reduced_gradient[column] -= solved[a, k, i] * gradient[i]
                for r in range(rows):
                    reduced_gradient[column] += outer[m, r, k] * residuals[m, r]
                    diagonal[column] += outer[m, r, k] ** 2
                for other in range(width):
                    total = 0.0
                    for r in range(rows):
                        total += outer[m, r, k] * outer[m, r, other]
                    matrix[column, columns[m, other]] += 0.5 * total
        for a in range(count):
            for b in range(a, count):
                share = 0.5 if a == b else 1.0
                for k in range(width):
                    row = columns[first + a, k]
                    for other in range(width):
                        matrix[row, columns[first + b, other]] -= share * (
                            solved[a, k, 0] * mixed[b, other, 0]
                            + solved[a, k, 1] * mixed[b, other, 1]
                            + solved[a, k, 2] * mixed[b, other, 2]
                        )
    matrix = matrix + matrix.T  # each block was added on one side, those on the diagonal by half
    for unknown in range(unknowns):
        matrix[unknown, unknown] += damping * diagonal[unknown]
    return matrix, reduced_gradient, inverses, gradients


@compiled()
def point_steps(changes: Array, inner: Array, start: Array, inverses: Array, gradients: Array) -> Array:
    """(P, 3) the steps of the points, by back-substitution: the steps of all other unknowns change the residuals by
    `changes` (M, R).

    `inner` and `start` are as in Linear; `inverses` (P, 3, 3) are those of the points' damped blocks, `gradients`
    (P, 3) the points' gradients.
    """
    steps = np.zeros_like(gradients)
    for point in range(len(start) - 1):
        gradient = gradients[point].copy()  # after the steps of all other unknowns
        for m in range(start[point], start[point + 1]):
            for r in range(changes.shape[1]):
                for i in range(3):
                    gradient[i] += inner[m, r, i] * changes[m, r]
        for i in range(3):
            for j in range(3):
                steps[point, i] -= inverses[point, i, j] * gradient[j]
    return steps
