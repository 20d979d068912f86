"""[R] DUSt3R's alignment objective on sampled pixels, by reweighted Gauss-Newton steps. numpy only.

Wang et al., CVPR 2024, section 3.4, minimise over views and pairs

    sum_e sum_v sum_i  C_evi || chi_vi - sigma_e P_e X_evi ||,      chi_vi = centre_v + depth_vi R_v ray_i(focal_v)

by gradient descent over every pixel. Here each step minimises a quadratic model of the same sum (weights C / residual)
over all unknowns at once. A depth occurs in one view only, so depths are eliminated pixel by pixel (Schur complement).
The rest, 7 unknowns per view (rotation, centre, log focal) and 7 per pair (rotation, translation, log scale), is solved
by conjugate gradients. The matrix is stored view by view, so time and memory grow with the number of views times the
pairs of each.

The objective falls when the whole world shrinks, so the mean of log sigma_e is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray
from .. import rotations
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..robust_losses import Power
from ..similarities import Similarities

FOCAL, DEPTH = 6, 7
"""Indices of the focal length and the depths among a view's eight unknowns; rotation and centre come before."""
_FIRST_DAMPING, _WORST_DAMPING = 1e-4, 1e6
_SOLVER_STEPS, _SOLVER_TOLERANCE = 60, 3e-2  # of conjugate gradients; coarse, since the quadratic is only a model
_SMOOTHING = 0.05  # of the median residual: smaller residuals get the weight of this one, so that weights stay finite
_NEAREST = 0.2  # a step reduces no depth to less than this share


@dataclass(frozen=True)
class Samples:
    """The predictions of k pairs at one view's S sampled pixels.

    `pixels` (S, 2) are x and y from the principal point, in map pixels. `pairs` (k,) are the numbers of the pairs,
    `points` (k, S, 3) their predictions in the pair's own frame, and `weights` (k, S) 0 where a pair predicts nothing.
    """

    pixels: FloatArray
    pairs: IntArray
    points: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class AlignmentState:
    """All unknowns: the N views' `rotation` (N, 3, 3) and `centre` (N, 3), world from camera, `focal` (N,) in map
    pixels, and `depth`, camera z of each view's sampled pixels, (S,) each; the E `pairs`' similarities, world from the
    pair's frame."""

    rotation: FloatArray
    centre: FloatArray
    focal: FloatArray
    depth: Sequence[FloatArray]
    pairs: Similarities

    def rays(self, view: int, pixels: FloatArray) -> FloatArray:
        """(S, 3) rays in the world through `pixels` (S, 2) from the principal point: the point is the centre plus depth
        times ray."""
        camera = np.concatenate([pixels / self.focal[view], np.ones((len(pixels), 1))], axis=1)
        rays: FloatArray = camera @ self.rotation[view].T
        return rays

    def points(self, view: int, pixels: FloatArray) -> FloatArray:
        """(S, 3) the view's own points in the world, at its `pixels` (S, 2) from the principal point."""
        points: FloatArray = self.centre[view] + self.depth[view][:, None] * self.rays(view, pixels)
        return points


def minimise(samples: Sequence[Samples], state: AlignmentState, held: BoolArray, rounds: int) -> AlignmentState:
    """A state near a local minimum of the objective, from `state`, after at most `rounds` steps, rejected ones
    included. It is never worse than `state`.

    `held` (N, 8) bool: the unknowns of each view that stay as they are. Columns 0 to 2 are the rotation, 3 to 5 the
    centre, then FOCAL and DEPTH.
    """
    options = Options(
        "global alignment",
        rounds,
        tolerance=1e-4,
        first_damping=_FIRST_DAMPING,
        least_damping=_FIRST_DAMPING,
        largest_damping=_WORST_DAMPING,
        raise_factor=10,
        lower_factor=0.1,
    )
    return levenberg_marquardt(
        state, lambda state: objective(samples, state), lambda state: _System(samples, state, held).step, options
    )[0]


def objective(samples: Sequence[Samples], state: AlignmentState) -> float:
    """The weighted sum of distances between the views' own points and the pairs' predictions, over all samples."""
    return float(
        sum(
            (sampled.weights * np.linalg.norm(_residuals(sampled, state, view), axis=-1)).sum()
            for view, sampled in enumerate(samples)
        )
    )


def _residuals(sampled: Samples, state: AlignmentState, view: int) -> FloatArray:
    """(k, S, 3) the view's own points minus the pairs' predictions."""
    residuals: FloatArray = state.points(view, sampled.pixels) - state.pairs[sampled.pairs].apply(sampled.points)
    return residuals


class _System:
    """The quadratic model at one state: a symmetric matrix in parts, one per view, and the gradient."""

    def __init__(self, samples: Sequence[Samples], state: AlignmentState, held: BoolArray) -> None:
        self._samples, self._state, self._held = samples, state, held
        views, pairs = len(samples), len(state.pairs)
        self._size = 7 * (views + pairs)
        self._gauge = np.zeros(self._size)
        if not held[:, DEPTH].any():  # a depth that stays holds the world's size
            self._gauge[7 * views + 6 :: 7] = 1 / np.sqrt(pairs)
        self._fixed = np.flatnonzero(held[:, :DEPTH])
        self._gradient = np.zeros(self._size)
        self._diagonal = np.zeros((views + pairs, 7, 7))
        self._parts = [self._part(view) for view in range(views)]

    def _part(self, view: int) -> _Part:
        """One view's part of the matrix, with its depths eliminated. Its shares of the gradient and of the diagonal
        blocks are added to those of the whole."""
        sampled, state = self._samples[view], self._state
        columns = np.concatenate([[view], len(self._samples) + sampled.pairs])
        by_view, ray, by_pair, residual, weight = _linearised(sampled, state, view)
        count, samples = sampled.weights.shape
        root = np.sqrt(weight)[..., None]
        pair_rows = (root[..., None] * by_pair).reshape(count, 3 * samples, 7)
        residual_rows = (root * residual).reshape(count, 3 * samples)
        view_rows = (root[..., None] * by_view).reshape(count, 3 * samples, 7)
        curvature = np.maximum(weight.sum(0) * (ray**2).sum(-1), 1e-12)  # of the objective in each depth
        if self._held[view, DEPTH]:
            curvature = np.full_like(curvature, np.inf)
        slopes = np.concatenate(
            [np.einsum("sti,st->si", by_view, ray)[None] * weight.sum(0)[:, None], _along(weight, by_pair, ray)]
        )
        depth_gradient = np.einsum("ks,kst,st->s", weight, residual, ray)
        diagonal = np.concatenate(
            [(view_rows.transpose(0, 2, 1) @ view_rows).sum(0)[None], pair_rows.transpose(0, 2, 1) @ pair_rows]
        )
        cross = pair_rows.transpose(0, 2, 1) @ view_rows
        gradient = np.concatenate(
            [np.einsum("kti,kt->i", view_rows, residual_rows)[None], np.einsum("kti,kt->ki", pair_rows, residual_rows)]
        )
        gradient -= np.einsum("ksi,s->ki", slopes, depth_gradient / curvature)
        scaled = (slopes / np.sqrt(curvature)[:, None]).transpose(1, 0, 2)
        np.add.at(self._gradient.reshape(-1, 7), columns, gradient)
        np.add.at(self._diagonal, columns, diagonal - np.einsum("ski,skj->kij", scaled, scaled, optimize=True))
        sparse = Sparse(diagonal, cross, scaled.reshape(samples, -1))
        matrix = Dense.of(sparse) if 7 * (count + 1) <= samples else sparse
        return _Part((7 * columns[:, None] + np.arange(7)).ravel(), matrix, slopes, depth_gradient, curvature)

    def step(self, damping: float) -> AlignmentState:
        """The state at the minimum of the damped quadratic."""
        state, views = self._state, len(self._samples)
        solution = self._solve(damping).reshape(-1, 7)
        view_step, pair_step = solution[:views], solution[views:]
        depths = []
        for view, part in enumerate(self._parts):
            local = solution.ravel()[part.columns].reshape(-1, 7)
            change = -(part.depth_gradient + np.einsum("ksi,ki->s", part.slopes, local)) / part.curvature
            depths.append(np.maximum(state.depth[view] + change, _NEAREST * state.depth[view]))
        return AlignmentState(
            rotations.from_vectors(view_step[:, :3]) @ state.rotation,
            state.centre + view_step[:, 3:6],
            state.focal * np.exp(view_step[:, 6]),
            depths,
            Similarities(
                state.pairs.scale * np.exp(pair_step[:, 6]),
                rotations.from_vectors(pair_step[:, :3]) @ state.pairs.rotation,
                state.pairs.translation + pair_step[:, 3:6],
            ),
        )

    def _solve(self, damping: float) -> FloatArray:
        """(7 (N + E),) the step of all unknowns but depths, by preconditioned conjugate gradients. It keeps the mean
        log scale of the pairs and the held unknowns."""
        blocks = self._diagonal + 0.0
        index = np.arange(7)
        extra = damping * (blocks[:, index, index] + 1e-9 * blocks[:, index, index].max())
        blocks[:, index, index] += extra
        inverse = np.linalg.inv(blocks)
        solution = np.zeros(self._size)
        residual = self._projected(-self._gradient)
        direction = preconditioned = self._projected((inverse @ residual.reshape(-1, 7, 1)).ravel())
        square = first_square = residual @ preconditioned
        for _ in range(_SOLVER_STEPS):
            product = extra.ravel() * direction
            for part in self._parts:
                product[part.columns] += part.matrix @ direction[part.columns]
            product = self._projected(product)
            length = square / (direction @ product)
            solution += length * direction
            residual = residual - length * product
            preconditioned = self._projected((inverse @ residual.reshape(-1, 7, 1)).ravel())
            before, square = square, residual @ preconditioned
            if square < _SOLVER_TOLERANCE**2 * first_square:
                break
            direction = preconditioned + square / before * direction
        return solution

    def _projected(self, step: FloatArray) -> FloatArray:
        """The step without the directions that are not solved for: the gauge, and the held unknowns."""
        step = step - self._gauge * (self._gauge @ step)
        step[self._fixed] = 0
        return step


@dataclass(frozen=True)
class Sparse:
    """A part's matrix in factors: its `diagonal` blocks (k + 1, 7, 7), the blocks `cross` (k, 7, 7) of each pair with
    the view, minus `depths`.T @ `depths`, (S, 7 (k + 1)), for the eliminated depths. It takes less memory than Dense
    where there are more unknowns than pixels."""

    diagonal: FloatArray
    cross: FloatArray
    depths: FloatArray

    def __matmul__(self, vector: FloatArray) -> FloatArray:
        local = vector.reshape(-1, 7)
        blocks = np.einsum("kij,kj->ki", self.diagonal, local)
        blocks[0] += np.einsum("kij,ki->j", self.cross, local[1:])
        blocks[1:] += self.cross @ local[0]
        product: FloatArray = blocks.ravel() - (self.depths @ vector) @ self.depths
        return product


@dataclass(frozen=True)
class Dense:
    """A part's matrix `values` (7 (k + 1), 7 (k + 1)), multiplied out: faster where there are more pixels than
    unknowns."""

    values: FloatArray

    @classmethod
    def of(cls, sparse: Sparse) -> Dense:
        """The same matrix as `sparse`."""
        values = -sparse.depths.T @ sparse.depths
        blocks = values.reshape(len(sparse.diagonal), 7, -1, 7)
        every = np.arange(len(sparse.diagonal))
        blocks[every, :, every] += sparse.diagonal
        blocks[1:, :, 0] += sparse.cross
        blocks[0, :, 1:] += sparse.cross.transpose(2, 0, 1)
        return cls(values)

    def __matmul__(self, vector: FloatArray) -> FloatArray:
        product: FloatArray = self.values @ vector
        return product


@dataclass(frozen=True)
class _Part:
    """One view's part of the matrix, over the unknowns numbered `columns` (7 (k + 1),) of the view and its k pairs.

    The steps of the depths follow from the derivatives of the objective: `depth_gradient` (S,) is the first in depth,
    `curvature` (S,) the second in depth, and `slopes` (k + 1, S, 7) the mixed one in depth and the other unknowns.
    """

    columns: IntArray
    matrix: Dense | Sparse
    slopes: FloatArray
    depth_gradient: FloatArray
    curvature: FloatArray


def _linearised(
    sampled: Samples, state: AlignmentState, view: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """The derivatives of the residuals by the view (S, 3, 7), by depth (S, 3), which are the rays, and by the pairs
    (k, S, 3, 7); the residuals (k, S, 3); and their weights in least squares (k, S)."""
    ray = state.rays(view, sampled.pixels)
    arm = state.depth[view][:, None] * ray
    predicted = state.pairs[sampled.pairs].apply(sampled.points)
    residual = state.centre[view] + arm - predicted
    distance = np.linalg.norm(residual, axis=-1)
    counted = sampled.weights > 0
    typical = float(np.median(distance[counted])) if counted.any() else 1.0
    weight = sampled.weights * Power(1, _SMOOTHING * typical + 1e-300).weight(distance)
    by_view = np.zeros((len(ray), 3, 7))
    by_view[..., :3] = -rotations.cross_matrices(arm)
    by_view[..., 3:6] = np.eye(3)
    # A longer focal length changes the ray within the picture only; its component along the optical axis stays 1.
    by_view[..., 6] = state.depth[view][:, None] * (state.rotation[view][:, 2] - ray)
    lever = predicted - state.pairs.translation[sampled.pairs][:, None]
    by_pair = np.zeros((*sampled.weights.shape, 3, 7))
    by_pair[..., :3] = rotations.cross_matrices(lever)
    by_pair[..., 3:6] = -np.eye(3)
    by_pair[..., 6] = -lever
    return by_view, ray, by_pair, residual, weight


def _along(weight: FloatArray, by_pair: FloatArray, ray: FloatArray) -> FloatArray:
    """(k, S, 7) the component of the weighted derivatives `by_pair` (k, S, 3, 7) along the rays (S, 3)."""
    slopes: FloatArray = weight[..., None] * (by_pair.transpose(0, 1, 3, 2) @ ray[:, :, None])[..., 0]
    return slopes
