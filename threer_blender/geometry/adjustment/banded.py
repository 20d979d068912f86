"""[R] The normal equations of a shot's adjustment: points eliminated, frames in a band, the lens at its border.

A point is seen in frames that are near each other, so the reduced matrix of the frames is a band. Frames are grouped
into chunks, so long that a point is seen in two neighbouring chunks at most. The matrix is then block-tridiagonal, with
a border for the lens. Gaussian elimination of one chunk after the other solves it in a time proportional to the number
of frames (Golub & Van Loan, Matrix Computations, 4.5). Elimination of the points by the Schur complement: Triggs et
al., "Bundle Adjustment - A Modern Synthesis" (2000), 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, FloatArray
from ..kernels import compiled
from .schur import point_inverse, point_steps

SMALLEST_CHUNK = 16  # frames


class Rows(NamedTuple):
    """Weighted residuals (M, 2) of M observations, and their derivatives by the unknowns of the frame, `outer`
    (M, 2, K), of the `lens` (M, 2, G), and of the point, `inner` (M, 2, 3)."""

    residuals: FloatArray
    outer: FloatArray
    lens: FloatArray
    inner: FloatArray


class Priors(NamedTuple):
    """Linear terms on the frames' unknowns x (F × K,): residual r is Σ_i `factors[r, i]` · x[`slots[r, i]`].

    Both are (R, 3).
    """

    slots: Array
    factors: FloatArray

    def residuals(self, values: FloatArray) -> FloatArray:
        """(R,) the residuals of the unknowns `values` (F × K,)."""
        terms: FloatArray = (self.factors * values[self.slots]).sum(axis=1)
        return terms

    def joined(self, other: Priors) -> Priors:
        """The terms of both."""
        return Priors(np.concatenate([self.slots, other.slots]), np.concatenate([self.factors, other.factors]))


NO_PRIORS = Priors(np.empty((0, 3), np.int64), np.empty((0, 3)))


def one_unknown_each(slots: Array, factors: FloatArray) -> Priors:
    """Terms of one unknown each: `slots` (R,) and `factors` (R,)."""
    nothing = np.zeros_like(factors)
    return Priors(np.stack([slots] * 3, axis=1), np.stack([factors, nothing, nothing], axis=1))


@dataclass(frozen=True)
class Layout:
    """The order of the unknowns: `frames` frames with `width` unknowns each, in `blocks` blocks of `chunk` frames.

    `camera` (M,) is each observation's frame, ascending within a point. `start` (P + 1,) is where each point begins.
    """

    camera: Array
    start: Array
    frames: int
    width: int
    chunk: int

    @staticmethod
    def of(camera: Array, start: Array, frames: int, width: int) -> Layout:
        """The layout with the smallest chunks, such that no point's observations span more than a chunk's length."""
        spans = camera[start[1:] - 1] - camera[start[:-1]] + 1
        return Layout(camera, start, frames, width, max(SMALLEST_CHUNK, int(spans.max(initial=0))))

    @property
    def blocks(self) -> int:
        """The number of blocks."""
        return -(-self.frames // self.chunk)


@dataclass(frozen=True)
class System:
    """A linearised problem: the observations' `rows`; the `priors` on the frames' unknowns and their residuals (R,).

    `held` (F × K,) bool are the frames' unknowns that stay as they are. `lens_prior` (G,) and `lens_gradient` (G,) are
    the diagonal and the gradient of the terms on the lens' unknowns alone.
    """

    layout: Layout
    rows: Rows
    priors: Priors
    prior_residuals: FloatArray
    held: Array
    lens_prior: FloatArray
    lens_gradient: FloatArray


class Equations(NamedTuple):
    """The normal equations as they are summed up: B blocks of n unknowns on the diagonal and to the right of it
    (B, n, n), the lens' `border` (B, n, G) and `corner` (G, G), and the gradients of frames (B × n,) and lens (G,).

    The information is the diagonal before the points are eliminated, of frames (B × n,) and lens (G,); the damping is
    proportional to it.
    """

    diagonal: FloatArray
    superdiagonal: FloatArray
    border: FloatArray
    corner: FloatArray
    gradient: FloatArray
    lens_gradient: FloatArray
    information: FloatArray
    lens_information: FloatArray


def solve(system: System, damping: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The damped Gauss-Newton steps (F × K,) of the frames' unknowns, (G,) of the lens', and (P, 3) of the points'."""
    layout, rows = system.layout, system.rows
    size, count = layout.chunk * layout.width, len(system.lens_prior)
    diagonal, superdiagonal = np.zeros((layout.blocks, size, size)), np.zeros((layout.blocks, size, size))
    border, gradient = np.zeros((layout.blocks, size, count)), np.zeros(layout.blocks * size)
    corner, lens_gradient = np.zeros((count, count)), system.lens_gradient.copy()
    information, lens_information = np.zeros(layout.blocks * size), system.lens_prior.copy()
    equations = Equations(
        diagonal, superdiagonal, border, corner, gradient, lens_gradient, information, lens_information
    )
    _add_priors(system.priors, system.prior_residuals, system.held, equations)
    inverses, point_gradients = _reduce(
        rows, layout.camera, layout.start, layout.width, layout.chunk, damping, equations
    )
    upper = np.triu(diagonal, 1)
    diagonal += upper.transpose(0, 2, 1)
    corner[np.diag_indices(count)] += system.lens_prior + damping * lens_information
    corner[np.diag_indices(count)] += np.where(lens_information > 0, 1e-12, 1.0)
    added = np.where(information > 0, 1e-12, 1.0) + damping * information  # unknowns without information stay
    diagonal[:, np.arange(size), np.arange(size)] += added.reshape(layout.blocks, size)
    padded, of_lens = _eliminated(diagonal, superdiagonal, border, corner, gradient.reshape(-1, size), lens_gradient)
    of_frames = padded[: layout.frames * layout.width]
    by_frames = of_frames.reshape(-1, layout.width)[layout.camera]
    changes = np.einsum("mrk,mk->mr", rows.outer, by_frames) + rows.lens @ of_lens
    of_points = point_steps(changes, rows.inner, layout.start, inverses, point_gradients)
    return of_frames, of_lens, of_points


def _eliminated(
    diagonal: FloatArray,
    superdiagonal: FloatArray,
    border: FloatArray,
    corner: FloatArray,
    gradient: FloatArray,
    lens_gradient: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The solution x (B × n,), y (G,) of: the matrix of all blocks times (x, y) = -(gradient, lens_gradient)."""
    blocks, size, count = border.shape
    solved: list[FloatArray] = []  # for each block: columns of the border, of the right side and of the next block
    block, side, right = diagonal[0], border[0], -gradient[0]
    corner, lens_right = corner.copy(), -lens_gradient
    for b in range(blocks):
        last = b == blocks - 1
        columns = [side, right[:, None]] if last else [side, right[:, None], superdiagonal[b]]
        solved.append(np.linalg.solve(block, np.concatenate(columns, axis=1)))
        corner -= side.T @ solved[b][:, :count]
        lens_right = lens_right - side.T @ solved[b][:, count]
        if not last:
            across = superdiagonal[b].T
            block = diagonal[b + 1] - across @ solved[b][:, count + 1 :]
            right = -gradient[b + 1] - across @ solved[b][:, count]
            side = border[b + 1] - across @ solved[b][:, :count]
    of_lens = np.linalg.solve(corner, lens_right)
    steps = np.zeros((blocks, size))
    for b in reversed(range(blocks)):
        steps[b] = solved[b][:, count] - solved[b][:, :count] @ of_lens
        if b < blocks - 1:
            steps[b] -= solved[b][:, count + 1 :] @ steps[b + 1]
    return steps.ravel(), of_lens


@compiled()
def _add(diagonal: Array, superdiagonal: Array, first: int, second: int, value: float) -> None:
    """Adds `value` to the element at row `first` and column `second` of the symmetric matrix; does nothing for elements
    left of the diagonal."""
    size = diagonal.shape[1]
    b, other = first // size, second // size
    if b == other and first <= second:
        diagonal[b, first - b * size, second - b * size] += value
    elif other == b + 1:
        superdiagonal[b, first - b * size, second - other * size] += value


@compiled()
def _add_priors(priors: Priors, residuals: Array, held: Array, equations: Equations) -> None:
    """Adds the priors' terms on the unknowns that are not `held`."""
    slots, factors = priors
    diagonal, superdiagonal, _, _, gradient, _, information, _ = equations
    for r in range(len(slots)):
        for i in range(3):
            first = slots[r, i]
            if held[first]:
                continue
            gradient[first] += factors[r, i] * residuals[r]
            information[first] += factors[r, i] ** 2
            for j in range(3):
                if not held[slots[r, j]]:
                    _add(diagonal, superdiagonal, first, slots[r, j], factors[r, i] * factors[r, j])


@compiled(fastmath=True)
def _reduce(
    rows: Rows, camera: Array, start: Array, width: int, chunk: int, damping: float, equations: Equations
) -> tuple[Array, Array]:
    """Adds the observations to the equations, with their points eliminated. Of the blocks on the diagonal, it fills the
    upper half only. `mixed` holds the products of a point with its frames' unknowns, `solved` these times the inverse.
    `point_inverse` fills the point's gradient, too.

    Returns the inverses of the points' damped blocks (P, 3, 3), and the points' gradients (P, 3).
    """
    points, lens_width, longest = len(start) - 1, rows.lens.shape[2], 1
    inverses, gradients = np.zeros((points, 3, 3)), np.zeros((points, 3))
    for point in range(points):
        longest = max(longest, start[point + 1] - start[point])
    mixed, solved = np.zeros((3, longest * width)), np.zeros((3, longest * width))
    ends = np.zeros(longest + 1, np.int64)
    for point in range(points):
        first, count = start[point], start[point + 1] - start[point]
        inverse = point_inverse(rows.residuals, rows.inner, first, count, damping, gradients[point])
        inverses[point] = inverse
        lens_mixed = _eliminate_from_lens(rows, first, count, inverse, gradients[point], equations)
        for a in range(count):
            m = first + a
            base, b = camera[m] * width, camera[m] // chunk
            inside = base - b * chunk * width
            for k in range(width):
                n = a * width + k
                for i in range(3):
                    mixed[i, n] = rows.outer[m, 0, k] * rows.inner[m, 0, i] + rows.outer[m, 1, k] * rows.inner[m, 1, i]
                for i in range(3):
                    solved[i, n] = 0.0
                    for j in range(3):
                        solved[i, n] += mixed[j, n] * inverse[j, i]
                    equations.gradient[base + k] -= solved[i, n] * gradients[point, i]
                for g in range(lens_width):
                    for i in range(3):
                        equations.border[b, inside + k, g] -= solved[i, n] * lens_mixed[g, i]
            _add_observation(rows, m, base, b, inside, equations)
        _subtract_products(camera[first : first + count], width, chunk, mixed, solved, ends, equations)
    return inverses, gradients


@compiled(fastmath=True)
def _eliminate_from_lens(
    rows: Rows, first: int, count: int, inverse: Array, gradient: Array, equations: Equations
) -> Array:
    """Eliminates a point, of which there are `count` observations from `first` on, from the lens' corner and gradient.

    `inverse` (3, 3) is that of the point's damped block, `gradient` (3,) the point's. Returns the products (G, 3) of
    lens and point.
    """
    lens_width = rows.lens.shape[2]
    mixed, solved = np.zeros((lens_width, 3)), np.zeros((lens_width, 3))
    for m in range(first, first + count):
        for r in range(2):
            for i in range(3):
                for g in range(lens_width):
                    mixed[g, i] += rows.lens[m, r, g] * rows.inner[m, r, i]
    for g in range(lens_width):
        for i in range(3):
            for j in range(3):
                solved[g, i] += mixed[g, j] * inverse[j, i]
        for i in range(3):
            equations.lens_gradient[g] -= solved[g, i] * gradient[i]
        for h in range(lens_width):
            for i in range(3):
                equations.corner[g, h] -= solved[g, i] * mixed[h, i]
    return mixed


@compiled(fastmath=True)
def _add_observation(rows: Rows, m: int, base: int, b: int, inside: int, equations: Equations) -> None:
    """Adds observation m's products of frame and lens. The frame's first unknown is `base`, or `inside` in block b."""
    residuals, outer, by_lens, _ = rows
    diagonal, _, border, corner, gradient, lens_gradient, information, lens_information = equations
    width, lens_width = outer.shape[2], by_lens.shape[2]
    for r in range(2):
        for k in range(width):
            gradient[base + k] += outer[m, r, k] * residuals[m, r]
            information[base + k] += outer[m, r, k] ** 2
            for other in range(k, width):
                diagonal[b, inside + k, inside + other] += outer[m, r, k] * outer[m, r, other]
            for g in range(lens_width):
                border[b, inside + k, g] += outer[m, r, k] * by_lens[m, r, g]
        for g in range(lens_width):
            lens_gradient[g] += by_lens[m, r, g] * residuals[m, r]
            lens_information[g] += by_lens[m, r, g] ** 2
            for h in range(lens_width):
                corner[g, h] += by_lens[m, r, g] * by_lens[m, r, h]


@compiled(fastmath=True)
def _subtract_products(
    camera: Array, width: int, chunk: int, mixed: Array, solved: Array, ends: Array, equations: Equations
) -> None:
    """Subtracts the products of all pairs of a point's observations, in the frames `camera` (A,), from the blocks.

    `ends` gets, for each observation, the end of the run of consecutive frames in one block to which it belongs: along
    a run, the unknowns are consecutive as well.
    """
    count, size = len(camera), chunk * width
    for a in range(count - 1, -1, -1):
        goes_on = a + 1 < count and camera[a + 1] == camera[a] + 1 and camera[a + 1] // chunk == camera[a] // chunk
        ends[a] = ends[a + 1] if goes_on else a + 1
    for a in range(count):
        b = camera[a] // chunk
        row = camera[a] * width - b * size
        for k in range(width):
            n = a * width + k
            x, y, z = solved[0, n], solved[1, n], solved[2, n]
            c = a
            while c < count:
                d = camera[c] // chunk
                target = equations.diagonal[b, row + k] if d == b else equations.superdiagonal[b, row + k]
                offset = (camera[c] - c) * width - d * size
                for other in range(n if c == a else c * width, ends[c] * width):
                    value = x * mixed[0, other] + y * mixed[1, other] + z * mixed[2, other]
                    target[offset + other] -= value
                c = ends[c]
