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
from numpy.typing import NDArray

from ..similarities import Similarities, crossing, rotations

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

FOCAL, DEPTH = 6, 7
"""Which of a view's eight unknowns are its focal length and its depths; rotation and centre come before."""
_FIRST_DAMPING, _WORST_DAMPING = 1e-4, 1e6  # of the step, by the diagonal
_SOLVER_STEPS, _SOLVER_TOLERANCE = 60, 3e-2  # conjugate gradients per step: the quadratic itself is only a model
_SMOOTHING = 0.05  # residuals below this share of the median count as that: weights stay finite
_NEAREST = 0.2  # a step leaves at least this share of a depth


@dataclass(frozen=True)
class Samples:
    """What the pairs say of one view's S sampled pixels.

    `pixels` (S, 2) from the principal point, in map pixels; `pairs` (k,) the pair that each row of the rest comes
    from; `points` (k, S, 3) in the pair's frame; `weights` (k, S), 0 where nothing is said.
    """

    pixels: Float
    pairs: Int
    points: Float
    weights: Float


@dataclass(frozen=True)
class State:
    """All unknowns: views' `rotation` (N, 3, 3) and `centre` (N, 3), world from camera; `focal` (N,) in map pixels;
    `depth` of N views, (S,) each; `pairs` E similarities, world from each pair's frame."""

    rotation: Float
    centre: Float
    focal: Float
    depth: Sequence[Float]
    pairs: Similarities

    def rays(self, view: int, pixels: Float) -> Float:
        """(S, 3) world directions through pixels (S, 2); depth times ray from the centre is the point."""
        camera = np.concatenate([pixels / self.focal[view], np.ones((len(pixels), 1))], axis=1)
        found: Float = camera @ self.rotation[view].T
        return found

    def points(self, view: int, pixels: Float) -> Float:
        """(S, 3) the view's own points in the world."""
        found: Float = self.centre[view] + self.depth[view][:, None] * self.rays(view, pixels)
        return found


def minimise(samples: Sequence[Samples], state: State, held: Bool, rounds: int) -> State:
    """The state after at most `rounds` steps, none of which made the objective worse.

    `held` (N, 8) says which of each view's unknowns stay as they are: rotation 0 to 2, centre 3 to 5, FOCAL, DEPTH.
    """
    value = objective(samples, state)
    damping = _FIRST_DAMPING
    for _ in range(rounds):
        system = _System(samples, state, held)
        while damping < _WORST_DAMPING:
            moved = system.step(damping)
            reached = objective(samples, moved)
            if reached < value:
                break
            damping *= 10
        else:
            break
        done = value - reached < 1e-4 * value
        state, value, damping = moved, reached, max(damping / 10, _FIRST_DAMPING)
        if done:
            break
    return state


def objective(samples: Sequence[Samples], state: State) -> float:
    """The weighted sum of distances over the samples."""
    return float(
        sum(
            (seen.weights * np.linalg.norm(_residuals(seen, state, view), axis=-1)).sum()
            for view, seen in enumerate(samples)
        )
    )


def _residuals(seen: Samples, state: State, view: int) -> Float:
    """(k, S, 3) the view's own points minus what the pairs say."""
    found: Float = state.points(view, seen.pixels) - state.pairs[seen.pairs].apply(seen.points)
    return found


class _System:
    """The quadratic at one state: a symmetric matrix in parts (view by view) and its right side."""

    def __init__(self, samples: Sequence[Samples], state: State, held: Bool) -> None:
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
        """What one view's residuals add, depths eliminated."""
        seen, state = self._samples[view], self._state
        columns = np.concatenate([[view], len(self._samples) + seen.pairs])
        own, ray, jacobian, residual, weight = _linearised(seen, state, view)
        count, samples = seen.weights.shape
        root = np.sqrt(weight)[..., None]
        left = (root[..., None] * jacobian).reshape(count, 3 * samples, 7)
        right = (root * residual).reshape(count, 3 * samples)
        straight = (root[..., None] * own).reshape(count, 3 * samples, 7)
        curvature = np.maximum(weight.sum(0) * (ray**2).sum(-1), 1e-12)  # of the objective in each depth
        if self._held[view, DEPTH]:
            curvature = np.full_like(curvature, np.inf)
        slopes = np.concatenate(
            [np.einsum("sti,st->si", own, ray)[None] * weight.sum(0)[:, None], _along(weight, jacobian, ray)]
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

    def step(self, damping: float) -> State:
        """The state moved to the damped quadratic's minimum."""
        state, views = self._state, len(self._samples)
        move = self._solve(damping).reshape(-1, 7)
        own, pairs = move[:views], move[views:]
        depths = []
        for view, part in enumerate(self._parts):
            local = move.ravel()[part.columns].reshape(-1, 7)
            change = -(part.depth_right + np.einsum("ksi,ki->s", part.slopes, local)) / part.curvature
            depths.append(np.maximum(state.depth[view] + change, _NEAREST * state.depth[view]))
        return State(
            rotations(own[:, :3]) @ state.rotation,
            state.centre + own[:, 3:6],
            state.focal * np.exp(own[:, 6]),
            depths,
            Similarities(
                state.pairs.scale * np.exp(pairs[:, 6]),
                rotations(pairs[:, :3]) @ state.pairs.rotation,
                state.pairs.translation + pairs[:, 3:6],
            ),
        )

    def _solve(self, damping: float) -> Float:
        """Preconditioned conjugate gradients within the moves that keep the mean log scale and known focals."""
        blocks = self._diagonal + 0.0
        index = np.arange(7)
        extra = damping * (blocks[:, index, index] + 1e-9 * blocks[:, index, index].max())
        blocks[:, index, index] += extra
        inverse = np.linalg.inv(blocks)
        move = np.zeros(self._size)
        left = self._allowed(self._right)
        ahead = guess = self._allowed((inverse @ left.reshape(-1, 7, 1)).ravel())
        size = first = left @ guess
        for _ in range(_SOLVER_STEPS):
            bent = extra.ravel() * ahead
            for part in self._parts:
                bent[part.columns] += part.matrix @ ahead[part.columns]
            bent = self._allowed(bent)
            length = size / (ahead @ bent)
            move += length * ahead
            left = left - length * bent
            guess = self._allowed((inverse @ left.reshape(-1, 7, 1)).ravel())
            before, size = size, left @ guess
            if size < _SOLVER_TOLERANCE**2 * first:
                break
            ahead = guess + size / before * ahead
        return move

    def _allowed(self, move: Float) -> Float:
        move = move - self._gauge * (self._gauge @ move)
        move[self._fixed] = 0
        return move


@dataclass(frozen=True)
class Sparse:
    """A part's matrix as it arises: `diagonal` (k + 1, 7, 7), `cross` (k, 7, 7) of the view with each pair, less what
    the depths take, `depths`.T @ `depths` with (S, 7 (k + 1)). Small where there are more pairs than pixels."""

    diagonal: Float
    cross: Float
    depths: Float

    def __matmul__(self, move: Float) -> Float:
        local = move.reshape(-1, 7)
        bent = np.einsum("kij,kj->ki", self.diagonal, local)
        bent[0] += np.einsum("kij,ki->j", self.cross, local[1:])
        bent[1:] += self.cross @ local[0]
        found: Float = bent.ravel() - (self.depths @ move) @ self.depths
        return found


@dataclass(frozen=True)
class Dense:
    """A part's matrix (7 (k + 1), 7 (k + 1)), multiplied out. Faster where there are more pixels than pairs."""

    values: Float

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

    def __matmul__(self, move: Float) -> Float:
        found: Float = self.values @ move
        return found


@dataclass(frozen=True)
class _Part:
    """One view's share of the matrix, over the unknowns `columns` (7 (k + 1),) of the view and its k pairs.

    To find depths again: `slopes` (k + 1, S, 7) is the objective's mixed derivative, `curvature` (S,) its second and
    `depth_right` (S,) its first derivative in depth.
    """

    columns: Int
    matrix: Dense | Sparse
    slopes: Float
    depth_right: Float
    curvature: Float


def _linearised(seen: Samples, state: State, view: int) -> tuple[Float, Float, Float, Float, Float]:
    """Derivatives of the residuals by the view (S, 3, 7), by depth (S, 3) and by the pairs (k, S, 3, 7); the residuals
    (k, S, 3) and their weights (k, S)."""
    ray = state.rays(view, seen.pixels)
    arm = state.depth[view][:, None] * ray
    said = state.pairs[seen.pairs].apply(seen.points)
    residual = state.centre[view] + arm - said
    distance = np.linalg.norm(residual, axis=-1)
    counted = seen.weights > 0
    typical = float(np.median(distance[counted])) if counted.any() else 1.0
    weight = seen.weights / np.maximum(distance, _SMOOTHING * typical + 1e-300)
    own = np.zeros((len(ray), 3, 7))
    own[..., :3] = -crossing(arm)
    own[..., 3:6] = np.eye(3)
    # Along the picture only: a longer focal length leaves the ray's third component, 1 along the optical axis.
    own[..., 6] = state.depth[view][:, None] * (state.rotation[view][:, 2] - ray)
    lever = said - state.pairs.translation[seen.pairs][:, None]
    jacobian = np.zeros((*seen.weights.shape, 3, 7))
    jacobian[..., :3] = crossing(lever)
    jacobian[..., 3:6] = -np.eye(3)
    jacobian[..., 6] = -lever
    return own, ray, jacobian, residual, weight


def _along(weight: Float, jacobian: Float, ray: Float) -> Float:
    """(k, S, 7) weighted derivatives' part along the rays."""
    found: Float = weight[..., None] * (jacobian.transpose(0, 1, 3, 2) @ ray[:, :, None])[..., 0]
    return found
