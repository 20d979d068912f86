"""[R] What a bundle adjustment minimises: reprojection and depth errors with their derivatives, and the descent.

Levenberg-Marquardt (Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment - A Modern Synthesis", 2000) on
errors under Cauchy's loss, which is reweighed at every step; the points are eliminated by `schur`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np

from ...model import lens
from ...model.reconstruction import Array, Camera, FloatArray
from ..similarities import rotations
from . import schur
from .tracks import DEPTH_ERROR, Tracks

POSE = 7  # unknowns of a camera: rotation, translation, logarithm of the factor of its depths
# How far from its start each may plausibly lie (one standard deviation), far too weak to matter where the observations
# tell: logarithms of the factor of depths and of the focal length, principal point over the longer side, distortion.
FACTOR_SPREAD, FOCAL_SPREAD, CENTRE_SPREAD, DISTORTION_SPREAD = 0.5, 0.05, 0.03, 0.1
BEHIND = 50.0  # times the loss: the error of a point that its camera cannot see
STEPS = 30  # at most in one descent
FIRST_DAMPING, LEAST_DAMPING, LARGEST_DAMPING = 1e-4, 1e-9, 1e8
LENS_STEP = 1e-6  # normalised units; for the numeric derivative of the lens
CENTRE, TERMS = slice(1, 3), slice(3, None)  # of a lens' unknowns; the first is the logarithm of its focal factor


@dataclass(frozen=True)
class State:
    """Where the descent stands.

    `rotations` (N, 3, 3) and `translations` (N, 3) camera from world; `factors` (N,) logarithm of the camera's depths
    over those that the tracks name; `lenses` (G, 3 + T): logarithm of the focal length over its start, principal point
    in pixels, distortion terms; `points` (P, 3) world.
    """

    rotations: FloatArray
    translations: FloatArray
    factors: FloatArray
    lenses: FloatArray
    points: FloatArray


@dataclass(frozen=True)
class Lenses:
    """What is known of G lenses: `of` (N,) the lens of each camera; `focals` (G, 2) fx and fy at the start; `sizes`
    (G,) the longer side in pixels; `model` the COLMAP model of all; `start` (G, 3 + T) as in State; `free` (G, 3 + T)
    bool, which of their unknowns are solved for."""

    of: Array
    focals: FloatArray
    sizes: FloatArray
    model: str
    start: FloatArray
    free: Array

    def distortion(self, values: FloatArray) -> lens.Distortion:
        """The distortion of a lens whose unknowns are `values` (3 + T,)."""
        return lens.Distortion(self.model, tuple(map(float, values[TERMS])))


class Problem:
    """The errors of `tracks` as a function of a State."""

    def __init__(self, tracks: Tracks, lenses: Lenses) -> None:
        self.tracks, self.lenses = tracks, lenses
        cameras, free = len(lenses.of), np.flatnonzero(lenses.free.any(axis=0))
        own = tracks.camera[:, None] * POSE + np.arange(POSE)
        shared = cameras * POSE + lenses.of[tracks.camera][:, None] * len(free) + np.arange(len(free))
        self._columns = np.concatenate([own, shared], axis=1)
        self._unknowns = cameras * POSE + len(lenses.start) * len(free)
        self._free = free
        self._terms = len(lens.MODELS[lenses.model])
        self._start = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
        self._mine = [np.flatnonzero(lenses.of[tracks.camera] == g) for g in range(len(lenses.start))]
        self._known = np.isfinite(tracks.depth)
        self._log_depth = np.log(np.where(self._known, tracks.depth, 1.0))
        spread = np.full((len(lenses.start), lenses.start.shape[1]), DISTORTION_SPREAD)
        spread[:, 0], spread[:, CENTRE] = FOCAL_SPREAD, CENTRE_SPREAD * lenses.sizes[:, None]
        pose = np.tile([0.0] * (POSE - 1) + [1 / FACTOR_SPREAD**2], cameras)
        self._prior = np.concatenate([pose, (1 / spread[:, free] ** 2).ravel()])

    def descend(self, state: State, loss: float, check: Callable[[], None], enough: float, steps: int = STEPS) -> State:
        """The State at the bottom of the valley that `state` lies in: where a step lowers the cost by less than the
        share `enough`. `check()` between steps may raise."""
        damping = FIRST_DAMPING
        cost, linear = self.cost(state, loss), self._linear(state, loss)
        for _ in range(steps):
            check()
            trial = self._moved(state, *schur.solve(linear, self._prior, self._prior * self._off(state), damping))
            trial_cost = self.cost(trial, loss)
            if not trial_cost < cost:
                damping *= 8
                if damping > LARGEST_DAMPING:
                    break
                continue
            fall = (cost - trial_cost) / cost
            state, cost, damping = trial, trial_cost, max(damping / 5, LEAST_DAMPING)
            if fall < enough:
                break
            linear = self._linear(state, loss)
        return state

    def errors(self, state: State) -> FloatArray:
        """(M,) pixels between each observation and its projected point; infinite where the camera cannot see it."""
        _, bent, seen = self._bent(state)
        return self._distances(state, bent, seen)

    def cost(self, state: State, loss: float) -> float:
        """Half the robust sum of squares, in pixels² (a depth that is off by DEPTH_ERROR counts as one pixel)."""
        local, bent, seen = self._bent(state)
        errors = np.minimum(self._distances(state, bent, seen), BEHIND * loss)
        total = loss**2 * np.log1p((errors / loss) ** 2).sum()
        total += np.log1p(self._depth_errors(state, local[:, 2]) ** 2).sum()
        return float(0.5 * (total + (self._prior * self._off(state) ** 2).sum()))

    def _local(self, state: State) -> FloatArray:
        camera = self.tracks.camera
        turned = np.einsum("mij,mj->mi", state.rotations[camera], state.points[self.tracks.point])
        local: FloatArray = turned + state.translations[camera]
        return local

    def _bent(self, state: State) -> tuple[FloatArray, FloatArray, Array]:
        """Camera-frame points (M, 3), where the lenses put them (M, 2), normalised, and whether they are seen (M,)."""
        local = self._local(state)
        seen = local[:, 2] > 1e-9
        ideal = local[:, :2] / np.where(seen, local[:, 2], 1.0)[:, None]
        if not self._terms:
            return local, ideal, seen
        bent = np.empty_like(ideal)
        for values, mine in zip(state.lenses, self._mine, strict=True):
            distortion = self.lenses.distortion(values)
            seen[mine] &= np.linalg.norm(ideal[mine], axis=1) < lens.valid_radius(distortion)
            bent[mine] = lens.distort(distortion, ideal[mine])
        return local, bent, seen

    def _focals(self, state: State) -> FloatArray:
        """(M, 2) fx and fy of each observation."""
        focals: FloatArray = self.lenses.focals * np.exp(state.lenses[:, :1])
        return focals[self.lenses.of[self.tracks.camera]]

    def _pixels(self, state: State, bent: FloatArray) -> FloatArray:
        return bent * self._focals(state) + state.lenses[self.lenses.of[self.tracks.camera], CENTRE]

    def _distances(self, state: State, bent: FloatArray, seen: Array) -> FloatArray:
        off = self._pixels(state, bent) - self.tracks.pixels
        distance: FloatArray = np.where(seen, np.hypot(off[:, 0], off[:, 1]), np.inf)
        return distance

    def _depth_errors(self, state: State, depth: FloatArray) -> FloatArray:
        """(M,) depth errors over DEPTH_ERROR; 0 where no depth is known, or the point is behind."""
        off = np.log(np.maximum(depth, 1e-9)) - self._log_depth - state.factors[self.tracks.camera]
        errors: FloatArray = np.where(self._known & (depth > 1e-9), off / DEPTH_ERROR, 0.0)
        return errors

    def _off(self, state: State) -> FloatArray:
        """(U,) how far each unknown that has a prior is from its start; 0 for the rest."""
        pose = np.zeros((len(state.factors), POSE))
        pose[:, POSE - 1] = state.factors
        lenses = (state.lenses - self.lenses.start)[:, self._free]
        return np.concatenate([pose.ravel(), lenses.ravel()])

    def _linear(self, state: State, loss: float) -> schur.Linear:
        """Residuals and derivatives at `state`, weighed by the loss (Triggs et al., 4.3, to first order)."""
        local, bent, seen = self._bent(state)
        focals = self._focals(state)
        by_ideal, by_lens = self._derivatives(state, local, bent, focals)
        # What is held has no derivative here, and its prior holds it at its start.
        by_lens = (by_lens * self.lenses.free[self.lenses.of[self.tracks.camera], None])[:, :, self._free]
        residuals = np.zeros((len(local), 3))
        residuals[:, :2] = self._pixels(state, bent) - self.tracks.pixels
        residuals[:, 2] = self._depth_errors(state, local[:, 2])
        by_ideal *= focals[:, :, None]
        outer, inner = _weighed(
            residuals, local, seen, self._known, by_ideal, by_lens, state.rotations, self.tracks.camera, loss
        )
        return schur.Linear(residuals, self._columns, outer, inner, self._start)

    def _derivatives(
        self, state: State, local: FloatArray, bent: FloatArray, focals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Of where the lenses put points, by where they ideally are (M, 2, 2), normalised; and of the pixels by the
        lens' unknowns (M, 2, 3 + T)."""
        by_ideal = np.tile(np.eye(2), (len(local), 1, 1))
        by_lens = np.zeros((len(local), 2, state.lenses.shape[1]))
        by_lens[:, :, 0] = bent * focals
        by_lens[:, (0, 1), (1, 2)] = 1.0
        if not self._terms:
            return by_ideal, by_lens
        ideal = local[:, :2] / np.where(local[:, 2] > 1e-9, local[:, 2], 1.0)[:, None]
        straight = lens.Distortion(self.lenses.model, (0.0,) * self._terms)
        for values, mine in zip(state.lenses, self._mine, strict=True):
            distortion = self.lenses.distortion(values)
            for axis, step in enumerate(LENS_STEP * np.eye(2)):
                more, less = (lens.distort(distortion, ideal[mine] + move) for move in (step, -step))
                by_ideal[mine, :, axis] = (more - less) / (2 * LENS_STEP)
            for term, unit in enumerate(np.eye(self._terms)):  # all models are linear in their terms
                bend = lens.Distortion(self.lenses.model, tuple(unit))
                bent_by_one = lens.distort(bend, ideal[mine]) - lens.distort(straight, ideal[mine])
                by_lens[mine, :, TERMS.start + term] = bent_by_one * focals[mine]
        return by_ideal, by_lens

    def _moved(self, state: State, step: FloatArray, points: FloatArray) -> State:
        cameras = len(state.factors)
        pose = step[: cameras * POSE].reshape(cameras, POSE)
        turn = rotations(pose[:, :3])
        lenses = state.lenses.copy()
        lenses[:, self._free] += step[cameras * POSE :].reshape(len(lenses), len(self._free))
        return State(
            turn @ state.rotations,
            np.einsum("nij,nj->ni", turn, state.translations) + pose[:, 3:6],
            state.factors + pose[:, 6],
            lenses,
            state.points + points,
        )


@numba.njit(cache=True)
def _weighed(
    residuals: Array,
    local: Array,
    seen: Array,
    known: Array,
    by_ideal: Array,
    by_lens: Array,
    rotations: Array,
    camera: Array,
    loss: float,
) -> tuple[Array, Array]:
    """Derivatives of the residuals (M, 3) by the unknowns of camera and lens (M, 3, POSE + F) and by the points
    (M, 3, 3), weighed as Cauchy's loss weighs the residuals, which become so as well.

    `by_ideal` (M, 2, 2) and `by_lens` (M, 2, F) are of the pixels; `known` (M,) says where there is a depth.
    """
    count, lens_unknowns = len(local), by_lens.shape[2]
    outer, inner = np.zeros((count, 3, POSE + lens_unknowns)), np.zeros((count, 3, 3))
    by_local = np.zeros((3, 3))
    for m in range(count):
        if not seen[m]:
            residuals[m] = 0.0
            continue
        x, y, z = local[m]
        for r in range(2):
            by_local[r, 0], by_local[r, 1] = by_ideal[m, r, 0] / z, by_ideal[m, r, 1] / z
            by_local[r, 2] = -(by_local[r, 0] * x + by_local[r, 1] * y) / z
        by_local[2, 2] = 1 / (DEPTH_ERROR * z) if known[m] else 0.0
        in_picture = np.sqrt(1 / (1 + (residuals[m, 0] ** 2 + residuals[m, 1] ** 2) / loss**2))
        in_depth = np.sqrt(1 / (1 + residuals[m, 2] ** 2))
        turn = rotations[camera[m]]
        for r in range(3):
            weight = in_picture if r < 2 else in_depth
            residuals[m, r] *= weight
            a, b, c = weight * by_local[r, 0], weight * by_local[r, 1], weight * by_local[r, 2]
            outer[m, r, 0], outer[m, r, 1], outer[m, r, 2] = y * c - z * b, z * a - x * c, x * b - y * a  # of a turn
            outer[m, r, 3], outer[m, r, 4], outer[m, r, 5] = a, b, c
            for i in range(3):
                inner[m, r, i] = a * turn[0, i] + b * turn[1, i] + c * turn[2, i]
            if r < 2:
                for k in range(lens_unknowns):
                    outer[m, r, POSE + k] = weight * by_lens[m, r, k]
        outer[m, 2, 6] = -in_depth / DEPTH_ERROR if known[m] else 0.0
    return outer, inner


def lenses_of(cameras: Sequence[Camera], of: Array, model: str, free: Array) -> Lenses:
    """The lenses that `cameras` have: those with the same number in `of` (N,) share one, the median of theirs.

    `model` is the COLMAP model of all; `free` (G, 3 + T) bool as in Lenses.
    """
    groups = [
        [camera for camera, lens_number in zip(cameras, of, strict=True) if lens_number == g]
        for g in range(of.max() + 1)
    ]
    names = lens.MODELS[model]
    terms = [
        [dict(zip(lens.MODELS[camera.distortion.model], camera.distortion.params, strict=True)) for camera in group]
        for group in groups
    ]
    distortions = [[np.median([known.get(name, 0.0) for known in group]) for name in names] for group in terms]
    centres = [np.median([(camera.cx, camera.cy) for camera in group], axis=0) for group in groups]
    return Lenses(
        of=of,
        focals=np.array([np.median([(camera.fx, camera.fy) for camera in group], axis=0) for group in groups]),
        sizes=np.array([max(group[0].width, group[0].height) for group in groups], np.float64),
        model=model,
        start=np.array([[0.0, *centre, *bend] for centre, bend in zip(centres, distortions, strict=True)]),
        free=free,
    )
