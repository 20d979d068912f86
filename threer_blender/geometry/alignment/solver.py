"""[R] DUSt3R's alignment objective on sampled pixels, by reweighted Gauss-Newton steps. numpy only.

Wang et al., CVPR 2024, section 3.4, minimise over views and pairs

    sum_e sum_v sum_i  C_evi || chi_vi - sigma_e P_e X_evi ||,      chi_vi = centre_v + depth_vi R_v ray_i(focal_v)

by gradient descent over every pixel. Here each step solves a quadratic that touches the same sum (weights C / residual)
in all unknowns at once. A depth touches one view only, so depths are eliminated pixel by pixel (Schur complement); what
remains, 7 unknowns a view (rotation, centre, log focal) and 7 a pair (rotation, translation, log scale), is solved by
conjugate gradients whose matrix is kept view by view: cost and memory grow with views times their pairs.

The objective shrinks with the world, so the mean of log sigma_e never changes.
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
_SOLVER_STEPS, _SOLVER_TOLERANCE = 60, 3e-2  # conjugate gradients per step: the quadratic itself is only a model
_SMOOTHING = 0.05  # residuals below this share of the median count as that: weights stay finite
_NEAREST = 0.2  # a step leaves at least this share of a depth


@dataclass(frozen=True)
class Samples:
    """The pairs' predictions at one view's S sampled pixels.

    `pixels` (S, 2) from the principal point, in map pixels; `pairs` (k,) the pair that each row of the rest comes
    from; `points` (k, S, 3) in the pair's frame; `weights` (k, S), 0 where a pair predicts nothing.
    """

    pixels: FloatArray
    pairs: IntArray
    points: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class AlignmentState:
    """All unknowns: views' `rotation` (N, 3, 3) and `centre` (N, 3), world from camera; `focal` (N,) in map pixels;
    `depth` of N views, (S,) each; `pairs` E similarities, world from each pair's frame."""

    rotation: FloatArray
    centre: FloatArray
    focal: FloatArray
    depth: Sequence[FloatArray]
    pairs: Similarities

    def rays(self, view: int, pixels: FloatArray) -> FloatArray:
        """(S, 3) world directions through pixels (S, 2); depth times ray from the centre is the point."""
        camera = np.concatenate([pixels / self.focal[view], np.ones((len(pixels), 1))], axis=1)
        rays: FloatArray = camera @ self.rotation[view].T
        return rays

    def points(self, view: int, pixels: FloatArray) -> FloatArray:
        """(S, 3) the view's own points in the world."""
        points: FloatArray = self.centre[view] + self.depth[view][:, None] * self.rays(view, pixels)
        return points


def minimise(samples: Sequence[Samples], state: AlignmentState, held: BoolArray, rounds: int) -> AlignmentState:
    """The state after at most `rounds` tried steps, none of which made the objective worse.

    `held` (N, 8) bool: the unknowns of each view that stay as they are, rotation 0 to 2, centre 3 to 5, FOCAL, DEPTH.
    """
    options = Options("global alignment", rounds, 1e-4, _FIRST_DAMPING, _FIRST_DAMPING, _WORST_DAMPING, 10, 0.1)
    return levenberg_marquardt(
        state, lambda state: objective(samples, state), lambda state: _System(samples, state, held).step, options
    )[0]


def objective(samples: Sequence[Samples], state: AlignmentState) -> float:
    """The weighted sum of distances over the samples."""
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
    """The quadratic at one state: a symmetric matrix in parts (view by view) and its right side."""

    def __init__(self, samples: Sequence[Samples], state: AlignmentState, held: BoolArray) -> None:
        self._samples, self._state, self._held = samples, state, held
        views, pairs = len(samples), len(state.pairs)
        self._size = 7 * (views + pairs)
        self._gauge = np.zeros(self._size)
        if not held[:, DEPTH].any():  # a depth that stays holds the world's size
            self._gauge[7 * views + 6 :: 7] = 1 / np.sqrt(pairs)
        self._fixed = np.flatnonzero(held[:, :DEPTH])
        self._right = np.zeros(self._size)
        self._diagonal = np.zeros((views + pairs, 7, 7))
        self._parts = [self._part(view) for view in range(views)]

    def _part(self, view: int) -> _Part:
        """One view's share of the matrix and the right side, depths eliminated."""
        sampled, state = self._samples[view], self._state
        columns = np.concatenate([[view], len(self._samples) + sampled.pairs])
        by_view, ray, jacobian, residual, weight = _linearised(sampled, state, view)
        count, samples = sampled.weights.shape
        root = np.sqrt(weight)[..., None]
        left = (root[..., None] * jacobian).reshape(count, 3 * samples, 7)
        right = (root * residual).reshape(count, 3 * samples)
        straight = (root[..., None] * by_view).reshape(count, 3 * samples, 7)
        curvature = np.maximum(weight.sum(0) * (ray**2).sum(-1), 1e-12)  # of the objective in each depth
        if self._held[view, DEPTH]:
            curvature = np.full_like(curvature, np.inf)
        slopes = np.concatenate(
            [np.einsum("sti,st->si", by_view, ray)[None] * weight.sum(0)[:, None], _along(weight, jacobian, ray)]
        )
        depth_right = np.einsum("ks,kst,st->s", weight, residual, ray)
        diagonal = np.concatenate(
            [(straight.transpose(0, 2, 1) @ straight).sum(0)[None], left.transpose(0, 2, 1) @ left]
        )
        cross = left.transpose(0, 2, 1) @ straight
        gradient = np.concatenate([np.einsum("kti,kt->i", straight, right)[None], np.einsum("kti,kt->ki", left, right)])
        gradient -= np.einsum("ksi,s->ki", slopes, depth_right / curvature)
        scaled = (slopes / np.sqrt(curvature)[:, None]).transpose(1, 0, 2)
        np.add.at(self._right.reshape(-1, 7), columns, -gradient)
        np.add.at(self._diagonal, columns, diagonal - np.einsum("ski,skj->kij", scaled, scaled, optimize=True))
        sparse = Sparse(diagonal, cross, scaled.reshape(samples, -1))
        matrix = Dense.of(sparse) if 7 * (count + 1) <= samples else sparse
        return _Part((7 * columns[:, None] + np.arange(7)).ravel(), matrix, slopes, depth_right, curvature)

    def step(self, damping: float) -> AlignmentState:
        """The state moved to the damped quadratic's minimum."""
        state, views = self._state, len(self._samples)
        solution = self._solve(damping).reshape(-1, 7)
        by_view, by_pair = solution[:views], solution[views:]
        depths = []
        for view, part in enumerate(self._parts):
            local = solution.ravel()[part.columns].reshape(-1, 7)
            change = -(part.depth_right + np.einsum("ksi,ki->s", part.slopes, local)) / part.curvature
            depths.append(np.maximum(state.depth[view] + change, _NEAREST * state.depth[view]))
        return AlignmentState(
            rotations.from_vectors(by_view[:, :3]) @ state.rotation,
            state.centre + by_view[:, 3:6],
            state.focal * np.exp(by_view[:, 6]),
            depths,
            Similarities(
                state.pairs.scale * np.exp(by_pair[:, 6]),
                rotations.from_vectors(by_pair[:, :3]) @ state.pairs.rotation,
                state.pairs.translation + by_pair[:, 3:6],
            ),
        )

    def _solve(self, damping: float) -> FloatArray:
        """Preconditioned conjugate gradients within the moves that keep the mean log scale and known focals."""
        blocks = self._diagonal + 0.0
        index = np.arange(7)
        extra = damping * (blocks[:, index, index] + 1e-9 * blocks[:, index, index].max())
        blocks[:, index, index] += extra
        inverse = np.linalg.inv(blocks)
        solution = np.zeros(self._size)
        residual = self._projected(self._right)
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
    """A part's matrix as it arises: `diagonal` (k + 1, 7, 7), `cross` (k, 7, 7) of the view with each pair, less what
    the depths take, `depths`.T @ `depths` with (S, 7 (k + 1)). Small where there are more pairs than pixels."""

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
    """A part's matrix (7 (k + 1), 7 (k + 1)), multiplied out. Faster where there are more pixels than pairs."""

    values: FloatArray

    @classmethod
    def of(cls, sparse: Sparse) -> Dense:
        """The same matrix."""
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
    """One view's share of the matrix, over the unknowns `columns` (7 (k + 1),) of the view and its k pairs.

    To find depths again: `slopes` (k + 1, S, 7) is the objective's mixed derivative, `curvature` (S,) its second and
    `depth_right` (S,) its first derivative in depth.
    """

    columns: IntArray
    matrix: Dense | Sparse
    slopes: FloatArray
    depth_right: FloatArray
    curvature: FloatArray


def _linearised(
    sampled: Samples, state: AlignmentState, view: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Derivatives of the residuals by the view (S, 3, 7), by depth (S, 3) and by the pairs (k, S, 3, 7); the residuals
    (k, S, 3) and their weights (k, S)."""
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
    # Along the picture only: a longer focal length leaves the ray's third component, 1 along the optical axis.
    by_view[..., 6] = state.depth[view][:, None] * (state.rotation[view][:, 2] - ray)
    lever = predicted - state.pairs.translation[sampled.pairs][:, None]
    jacobian = np.zeros((*sampled.weights.shape, 3, 7))
    jacobian[..., :3] = rotations.cross_matrices(lever)
    jacobian[..., 3:6] = -np.eye(3)
    jacobian[..., 6] = -lever
    return by_view, ray, jacobian, residual, weight


def _along(weight: FloatArray, jacobian: FloatArray, ray: FloatArray) -> FloatArray:
    """(k, S, 7) weighted derivatives' part along the rays."""
    slopes: FloatArray = weight[..., None] * (jacobian.transpose(0, 1, 3, 2) @ ray[:, :, None])[..., 0]
    return slopes
