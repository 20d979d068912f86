"""[R] The objective of a bundle adjustment: reprojection and depth errors with their derivatives, and the descent.

Levenberg-Marquardt (Triggs, McLauchlan, Hartley & Fitzgibbon, "Bundle Adjustment - A Modern Synthesis", 2000) on
errors under Cauchy's loss, reweighted at every step. `schur` eliminates the points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import Check
from ...model.reconstruction import Camera
from .. import rotations
from ..kernels import compiled
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..robust_losses import Cauchy
from . import schur
from .tracks import DEPTH_ERROR, Tracks

POSE = 7  # unknowns of a camera: rotation, translation, logarithm of the factor of its depths
# Priors: the standard deviations of the unknowns from their start, far too weak to matter where observations decide.
FACTOR_SPREAD = 0.5  # of the logarithm of the factor of depths
FOCAL_SPREAD = 0.05  # of the logarithm of the focal length
CENTRE_SPREAD = 0.03  # of the principal point, over the longer side
DISTORTION_SPREAD = 0.1  # of a distortion term
LARGEST_ERROR = 50.0  # times the loss's scale: larger errors, and points behind their camera, cost as much as this one
DEPTH_LOSS = Cauchy(1.0)  # of depth errors over DEPTH_ERROR
# Of a lens' unknowns, the first of which is the logarithm of the focal length's factor.
CENTRE, TERMS = slice(1, 3), slice(3, None)


@dataclass(frozen=True)
class AdjustmentState:
    """The unknowns of the descent.

    `rotations` (N, 3, 3) and `translations` (N, 3) are camera from world. `log_factors` (N,) are the logarithms of each
    camera's solved depths over the depths in the tracks. `lenses` (G, 3 + T) are the logarithm of the focal length over
    its start, the principal point in pixels, and T distortion terms. `points` (P, 3) are in the world.
    """

    rotations: FloatArray
    translations: FloatArray
    log_factors: FloatArray
    lenses: FloatArray
    points: FloatArray


@dataclass(frozen=True)
class Lenses:
    """G lenses of N cameras.

    `of` (N,) is the number of each camera's lens; `focals` (G, 2) are fx and fy at the start, `sizes` (G,) the
    picture's longer side, all in pixels; `model` is the COLMAP model of all. `start` (G, 3 + T) are the unknowns at the
    start, as in AdjustmentState, and `free` (G, 3 + T) bool says which of them are solved for.
    """

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
    """The reprojection and depth errors of `tracks` as a function of an AdjustmentState, and their descent."""

    def __init__(self, tracks: Tracks, lenses: Lenses) -> None:
        self.tracks, self.lenses = tracks, lenses
        cameras, free = len(lenses.of), np.flatnonzero(lenses.free.any(axis=0))
        of_camera = tracks.camera[:, None] * POSE + np.arange(POSE)
        of_lens = cameras * POSE + lenses.of[tracks.camera][:, None] * len(free) + np.arange(len(free))
        self._columns = np.concatenate([of_camera, of_lens], axis=1)
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

    def descend(self, start: AdjustmentState, loss: Cauchy, options: Options, check: Check) -> AdjustmentState:
        """A local minimum of the cost, from `start`. `loss` is that of the reprojection errors in pixels. `check()` is
        called between steps and may raise."""

        def linearise(state: AdjustmentState) -> Callable[[float], AdjustmentState]:
            linear, prior_gradient = self._linear(state, loss), self._prior * self._from_start(state)
            return lambda damping: self._stepped(state, *schur.solve(linear, self._prior, prior_gradient, damping))

        return levenberg_marquardt(start, lambda state: self.cost(state, loss), linearise, options, check)[0]

    def errors(self, state: AdjustmentState) -> FloatArray:
        """(M,) reprojection errors in pixels; infinite where the camera cannot see the point."""
        _, distorted, visible = self._distorted(state)
        return self._distances(state, distorted, visible)

    def cost(self, state: AdjustmentState, loss: Cauchy) -> float:
        """The sum of the robust losses and half the squares of the priors, in pixels². A depth that is off by
        DEPTH_ERROR costs as much as an error of one pixel."""
        local, distorted, visible = self._distorted(state)
        errors = np.minimum(self._distances(state, distorted, visible), LARGEST_ERROR * loss.scale)
        total = loss.cost(errors).sum() + DEPTH_LOSS.cost(self._depth_errors(state, local[:, 2])).sum()
        return float(total + 0.5 * (self._prior * self._from_start(state) ** 2).sum())

    def _local(self, state: AdjustmentState) -> FloatArray:
        """(M, 3) each observation's point in the frame of its camera."""
        camera = self.tracks.camera
        rotated = np.einsum("mij,mj->mi", state.rotations[camera], state.points[self.tracks.point])
        local: FloatArray = rotated + state.translations[camera]
        return local

    def _distorted(self, state: AdjustmentState) -> tuple[FloatArray, FloatArray, Array]:
        """The points in their cameras' frames (M, 3), their distorted normalised coordinates (M, 2), and whether they
        are visible (M,)."""
        local = self._local(state)
        visible = local[:, 2] > 1e-9
        ideal = local[:, :2] / np.where(visible, local[:, 2], 1.0)[:, None]
        if not self._terms:
            return local, ideal, visible
        distorted = np.empty_like(ideal)
        for values, mine in zip(state.lenses, self._mine, strict=True):
            distortion = self.lenses.distortion(values)
            visible[mine] &= np.linalg.norm(ideal[mine], axis=1) < lens.valid_radius(distortion)
            distorted[mine] = lens.distort(distortion, ideal[mine])
        return local, distorted, visible

    def _focals(self, state: AdjustmentState) -> FloatArray:
        """(M, 2) fx and fy of each observation."""
        focals: FloatArray = self.lenses.focals * np.exp(state.lenses[:, :1])
        return focals[self.lenses.of[self.tracks.camera]]

    def _pixels(self, state: AdjustmentState, distorted: FloatArray) -> FloatArray:
        """(M, 2) pixels of the `distorted` normalised coordinates (M, 2)."""
        return distorted * self._focals(state) + state.lenses[self.lenses.of[self.tracks.camera], CENTRE]

    def _distances(self, state: AdjustmentState, distorted: FloatArray, visible: Array) -> FloatArray:
        """(M,) reprojection errors in pixels; infinite where the point is not `visible`."""
        off = self._pixels(state, distorted) - self.tracks.pixels
        distance: FloatArray = np.where(visible, np.hypot(off[:, 0], off[:, 1]), np.inf)
        return distance

    def _depth_errors(self, state: AdjustmentState, depth: FloatArray) -> FloatArray:
        """(M,) relative depth errors over DEPTH_ERROR; 0 where no depth is known, or the point is behind the camera."""
        off = np.log(np.maximum(depth, 1e-9)) - self._log_depth - state.log_factors[self.tracks.camera]
        errors: FloatArray = np.where(self._known & (depth > 1e-9), off / DEPTH_ERROR, 0.0)
        return errors

    def _from_start(self, state: AdjustmentState) -> FloatArray:
        """(U,) how far each reduced unknown is from its start; 0 for rotations and translations, without a prior."""
        pose = np.zeros((len(state.log_factors), POSE))
        pose[:, POSE - 1] = state.log_factors
        lenses = (state.lenses - self.lenses.start)[:, self._free]
        return np.concatenate([pose.ravel(), lenses.ravel()])

    def _linear(self, state: AdjustmentState, loss: Cauchy) -> schur.Linear:
        """Residuals and derivatives at `state`, weighted by the loss (Triggs et al., 4.3, to first order)."""
        local, distorted, visible = self._distorted(state)
        focals = self._focals(state)
        by_ideal, by_lens = self._derivatives(state, local, distorted, focals)
        # A held unknown has no derivative here, and its prior holds it at its start.
        by_lens = (by_lens * self.lenses.free[self.lenses.of[self.tracks.camera], None])[:, :, self._free]
        residuals = np.zeros((len(local), 3))
        residuals[:, :2] = self._pixels(state, distorted) - self.tracks.pixels
        residuals[:, 2] = self._depth_errors(state, local[:, 2])
        by_ideal *= focals[:, :, None]
        weights = loss.weight(np.hypot(residuals[:, 0], residuals[:, 1])), DEPTH_LOSS.weight(residuals[:, 2])
        roots = np.sqrt(np.stack(weights, axis=1))
        observations = Observations(local, visible, self._known, by_ideal, by_lens)
        by_camera, by_point = _weighted_derivatives(residuals, roots, observations, state.rotations, self.tracks.camera)
        return schur.Linear(residuals, self._columns, by_camera, by_point, self._start)

    def _derivatives(
        self, state: AdjustmentState, local: FloatArray, distorted: FloatArray, focals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Derivatives of the distorted by the undistorted normalised coordinates (M, 2, 2), and of the pixels by the
        lens' unknowns (M, 2, 3 + T)."""
        by_ideal = np.tile(np.eye(2), (len(local), 1, 1))
        by_lens = np.zeros((len(local), 2, state.lenses.shape[1]))
        by_lens[:, :, 0] = distorted * focals
        by_lens[:, (0, 1), (1, 2)] = 1.0
        if not self._terms:
            return by_ideal, by_lens
        ideal = local[:, :2] / np.where(local[:, 2] > 1e-9, local[:, 2], 1.0)[:, None]
        for values, mine in zip(state.lenses, self._mine, strict=True):
            distortion = self.lenses.distortion(values)
            by_ideal[mine] = lens.jacobian(partial(lens.distort, distortion), ideal[mine])
            by_terms = lens.jacobian_by_terms(distortion, ideal[mine])
            by_lens[mine, :, TERMS] = by_terms * focals[mine, :, None]
        return by_ideal, by_lens

    def _stepped(self, state: AdjustmentState, step: FloatArray, points: FloatArray) -> AdjustmentState:
        """The state after the `step` (U,) of the reduced unknowns and that of the `points` (P, 3)."""
        cameras = len(state.log_factors)
        pose = step[: cameras * POSE].reshape(cameras, POSE)
        rotation = rotations.from_vectors(pose[:, :3])
        lenses = state.lenses.copy()
        lenses[:, self._free] += step[cameras * POSE :].reshape(len(lenses), len(self._free))
        return AdjustmentState(
            rotation @ state.rotations,
            np.einsum("nij,nj->ni", rotation, state.translations) + pose[:, 3:6],
            state.log_factors + pose[:, 6],
            lenses,
            state.points + points,
        )


class Observations(NamedTuple):
    """M observations where they are linearised: the points in their cameras' frames, `local` (M, 3); whether they are
    `visible` and have a `known` depth, (M,) bool; the pixels' derivatives by the undistorted normalised coordinates
    (M, 2, 2), and by the F free unknowns of the lens (M, 2, F)."""

    local: Array
    visible: Array
    known: Array
    by_ideal: Array
    by_lens: Array


@compiled()
def _weighted_derivatives(
    residuals: Array, roots: Array, observations: Observations, rotations: Array, camera: Array
) -> tuple[Array, Array]:
    """Derivatives of the residuals by the unknowns of camera and lens (M, 3, POSE + F) and by the points (M, 3, 3),
    each times the square root of its weight; `roots` (M, 2) are those of the pixels and of the depth.

    The `residuals` (M, 3) are multiplied by the roots in place.
    """
    local, visible, known, by_ideal, by_lens = observations
    count, lens_unknowns = len(local), by_lens.shape[2]
    by_camera, by_point = np.zeros((count, 3, POSE + lens_unknowns)), np.zeros((count, 3, 3))
    by_local = np.zeros((3, 3))
    for m in range(count):
        if not visible[m]:
            residuals[m] = 0.0
            continue
        x, y, z = local[m]
        for r in range(2):
            by_local[r, 0], by_local[r, 1] = by_ideal[m, r, 0] / z, by_ideal[m, r, 1] / z
            by_local[r, 2] = -(by_local[r, 0] * x + by_local[r, 1] * y) / z
        by_local[2, 2] = 1 / (DEPTH_ERROR * z) if known[m] else 0.0
        in_picture, in_depth = roots[m]
        rotation = rotations[camera[m]]
        for r in range(3):
            weight = in_picture if r < 2 else in_depth
            residuals[m, r] *= weight
            a, b, c = weight * by_local[r, 0], weight * by_local[r, 1], weight * by_local[r, 2]
            # (a, b, c) is the residual's derivative by the point in the camera's frame: by the translation, too.
            by_camera[m, r, 0], by_camera[m, r, 1], by_camera[m, r, 2] = y * c - z * b, z * a - x * c, x * b - y * a
            by_camera[m, r, 3], by_camera[m, r, 4], by_camera[m, r, 5] = a, b, c
            for i in range(3):
                by_point[m, r, i] = a * rotation[0, i] + b * rotation[1, i] + c * rotation[2, i]
            if r < 2:
                for k in range(lens_unknowns):
                    by_camera[m, r, POSE + k] = weight * by_lens[m, r, k]
        by_camera[m, 2, 6] = -in_depth / DEPTH_ERROR if known[m] else 0.0
    return by_camera, by_point


def lenses_of(cameras: Sequence[Camera], of: Array, model: str, free: Array) -> Lenses:
    """The lenses of `cameras`. Cameras with the same number in `of` (N,) share one, the median of theirs.

    `model` is the COLMAP model of all lenses; `free` (G, 3 + T) bool is as in Lenses.
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
    distortions = [[np.median([by_name.get(name, 0.0) for by_name in group]) for name in names] for group in terms]
    centres = [np.median([(camera.cx, camera.cy) for camera in group], axis=0) for group in groups]
    return Lenses(
        of=of,
        focals=np.array([np.median([(camera.fx, camera.fy) for camera in group], axis=0) for group in groups]),
        sizes=np.array([max(group[0].width, group[0].height) for group in groups], np.float64),
        model=model,
        start=np.array([[0.0, *centre, *distortion] for centre, distortion in zip(centres, distortions, strict=True)]),
        free=free,
    )
