"""[R] The cost that the adjustment of a shot minimises: reprojection errors of homogeneous points, and priors.

Points are homogeneous unit vectors (Hartley & Zisserman, 2nd edition, A6.9). So points at infinity, and all points of a
nodal camera, are directions (x, y, z, 0) and need no special case. One problem serves all kinds of motion: unknowns
that a kind does not have (translation, zoom) are left out. The descent is Levenberg-Marquardt under
Cauchy's loss, reweighted at every step; `banded` has the linear algebra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import Check, unchecked
from .. import rotations
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..robust_losses import Cauchy
from . import banded, shot_projection
from .shot_projection import Observations, World
from .tracks import Tracks

POSE = 13  # unknowns of a frame: rotation, centre, logarithm of its focal length over the lens', speed during read-out
ROTATION, CENTRE, ZOOM, SPEED = slice(0, 3), slice(3, 6), 6, slice(7, 13)
LENS_CENTRE, TERMS = slice(1, 3), slice(3, None)  # of a lens' unknowns; the first is the log focal factor
NEAREST = 1e-9  # camera z of a unit vector, below which it counts as behind the camera
LARGEST_ERROR = 50.0  # times the loss's scale: larger errors, and points behind their camera, cost as much as this one
TRIALS = 30  # of a descent, at most
TOLERANCE = 1e-6  # relative fall of the cost in the step that ends a descent
LEAST_DAMPING = 1e-10
SPEED_SPREAD = 2e-3  # standard deviation of a frame's speed from `ReadOut.speeds`, in radians and units per frame
NO_SPEEDS = np.zeros((0, 6))
NOISE = 1e-4  # of the plate's longer side: standard deviation of a tracked point, a tenth of a pixel in 960


@dataclass(frozen=True)
class ShotState:
    """The unknowns of F frames, one lens and P points.

    `rotations` (F, 3, 3) are camera from world, `centres` (F, 3) the cameras' places in the world, `log_zooms` (F,) the
    logarithms of each frame's focal length over the lens'. `lens` (3 + T,) are the logarithm of the focal length over
    its start, the principal point in pixels, and T distortion terms. `points` (P, 4) are homogeneous unit vectors in
    the world.

    `speeds` (F, 6) are the camera's while a rolling shutter reads the frame: the rotation vector in radians per frame,
    and the translation in units per frame, by which points move in the camera's frame. They are empty without one.
    """

    rotations: FloatArray
    centres: FloatArray
    log_zooms: FloatArray
    lens: FloatArray
    points: FloatArray
    speeds: FloatArray = field(default_factory=lambda: NO_SPEEDS)


@dataclass(frozen=True)
class ShotLens:
    """The lens of a shot at the start: `focal` (2,) fx and fy, and the picture's `size` (width, height), in pixels.

    `model` is its COLMAP model. `start` (3 + T,) are its unknowns, as `ShotState.lens`; `spread` (3 + T,) the standard
    deviations of their priors, 0 for an unknown that is held.
    """

    focal: FloatArray
    size: tuple[int, int]
    model: str
    start: FloatArray
    spread: FloatArray

    def distortion(self, values: FloatArray) -> lens.Distortion:
        """The distortion of a lens whose unknowns are `values` (3 + T,)."""
        return lens.Distortion(self.model, tuple(map(float, values[TERMS])))


@dataclass(frozen=True)
class Anchors:
    """Poses that another source gives for some `frames` (K,): `rotations` (K, 3, 3) camera from world, `centres`
    (K, 3).

    `rotation_spread` in radians and `centre_spread` in units of the world are their standard deviations.
    """

    frames: Array
    rotations: FloatArray
    centres: FloatArray
    rotation_spread: float
    centre_spread: float

    def priors(self) -> tuple[banded.Priors, FloatArray]:
        """Terms on the rotation vectors from the anchors' rotations and on the centres, and the values (R,) that they
        should have."""
        spreads = np.repeat([self.rotation_spread, self.centre_spread], 3)
        slots = (self.frames[:, None] * POSE + np.arange(ZOOM)).ravel()
        factors = np.tile(1 / spreads, len(self.frames))
        targets = np.concatenate([np.zeros_like(self.centres), self.centres / self.centre_spread], axis=1)
        return banded.one_unknown_each(slots, factors), targets.ravel()


@dataclass(frozen=True)
class ReadOut:
    """A rolling shutter: the `share` of a frame's time that passes from its first row to its last, and the expected
    `speeds` (F, 6) of the frames, as `ShotState.speeds`, around which the solved ones may spread."""

    share: float
    speeds: FloatArray

    def delays(self, rows: FloatArray, height: int) -> FloatArray:
        """(M,) the times, in frames, between the read-out of the picture's middle row and of `rows` (M,), in pixels of
        a picture of this `height`."""
        delays: FloatArray = (rows / height - 0.5) * self.share
        return delays

    def priors(self, translates: bool) -> tuple[banded.Priors, FloatArray]:
        """Terms on the speeds, and the values (R,) that they should have. Without translation, only those of
        rotations."""
        axes = np.arange(6 if translates else 3)
        slots = (np.arange(len(self.speeds))[:, None] * POSE + SPEED.start + axes).ravel()
        priors = banded.one_unknown_each(slots, np.full(len(slots), 1 / SPEED_SPREAD))
        return priors, (self.speeds[:, axes] / SPEED_SPREAD).ravel()


@dataclass(frozen=True, kw_only=True)
class Freedom:
    """The unknowns of a frame besides its rotation: with `translates` its centre, and the points' depths; with `zooms`
    its focal length.

    `priors` are linear terms on the frames' unknowns. `anchors` fix the world; without them, one frame's pose does.
    With a `read_out`, the camera moves while a frame is read, and an observation belongs to the moment of its row.
    """

    translates: bool
    zooms: bool
    priors: banded.Priors = banded.NO_PRIORS
    anchors: Anchors | None = None
    read_out: ReadOut | None = None


class ShotProblem:
    """The reprojection errors of `tracks`, and the priors, as a function of a ShotState.

    The tracks' `camera` is an index of frames. `noise` is the standard deviation of a tracked point in pixels; where it
    is 0, it follows from NOISE. The smaller it is, the less the priors weigh against the observations.
    """

    def __init__(self, tracks: Tracks, frames: int, shot_lens: ShotLens, freedom: Freedom, noise: float = 0.0) -> None:
        self.tracks, self.lens, self.freedom, self.frames = tracks, shot_lens, freedom, frames
        self._weights = np.ones(len(tracks.point)) if tracks.weight is None else tracks.weight
        self._start = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
        self._terms = len(lens.MODELS[shot_lens.model])
        read_out, translates = freedom.read_out, freedom.translates
        rolls = read_out is not None
        free = [True, translates, freedom.zooms, rolls, rolls and translates]  # rotation, centre, zoom, both speeds
        self._free = np.flatnonzero(np.repeat(free, [3, 3, 1, 3, 3]))
        self._delays = np.zeros(0) if read_out is None else read_out.delays(tracks.pixels[:, 1], shot_lens.size[1])
        self._held = np.zeros((frames, len(self._free)), np.bool_)
        fixed = int(np.bincount(tracks.camera, minlength=frames).argmax())  # this frame's camera fixes the world
        self._held[fixed] = (self._free < ZOOM) & (freedom.anchors is None)
        self._layout = banded.Layout.of(tracks.camera, self._start, frames, len(self._free))
        priors, self._targets = freedom.priors, np.zeros(len(freedom.priors.slots))
        others = [] if freedom.anchors is None else [freedom.anchors.priors()]
        others += [] if read_out is None else [read_out.priors(translates)]
        for other, targets in others:
            priors, self._targets = priors.joined(other), np.concatenate([self._targets, targets])
        # Priors number all POSE unknowns of a frame; the solver has only the free ones.
        column = np.searchsorted(self._free, priors.slots % POSE)
        slots = priors.slots // POSE * len(self._free) + column
        # The cost is in pixels², and priors are in standard deviations: a deviation costs as much as the noise.
        self.noise = noise = noise or NOISE * max(shot_lens.size)
        self._priors, self._targets = banded.Priors(slots, noise * priors.factors), noise * self._targets
        lens_free = shot_lens.spread > 0
        self._lens_held = ~lens_free
        self._lens_prior = np.where(lens_free, (noise / np.where(lens_free, shot_lens.spread, 1.0)) ** 2, 0.0)

    # ------------------------------------------------------------------------------------------- descent
    def descend(self, state: ShotState, loss_scale: float, check: Check = unchecked, trials: int = TRIALS) -> ShotState:
        """A local minimum of `cost`, from `state`. `check()` is called between steps and may raise."""
        options = Options("shot", trials, tolerance=TOLERANCE, least_damping=LEAST_DAMPING)

        def linearise(state: ShotState) -> Callable[[float], ShotState]:
            system = self.linear(state, loss_scale)
            return lambda damping: self._stepped(state, *banded.solve(system, damping))

        return levenberg_marquardt(state, lambda state: self.cost(state, loss_scale), linearise, options, check)[0]

    def errors(self, state: ShotState) -> FloatArray:
        """(M,) reprojection errors in pixels; infinite where the camera cannot see the point."""
        _, distorted, visible = self._distorted(state)
        off = self._pixels(state, distorted) - self.tracks.pixels
        distance: FloatArray = np.where(visible, np.hypot(off[:, 0], off[:, 1]), np.inf)
        return distance

    def cost(self, state: ShotState, loss_scale: float) -> float:
        """The sum of the robust losses and half the squares of the priors, in pixels². `loss_scale` is Cauchy's, in
        pixels."""
        errors = np.minimum(self.errors(state), LARGEST_ERROR * loss_scale)
        priors = (self._prior_residuals(state) ** 2).sum()
        priors += (self._lens_prior * (state.lens - self.lens.start) ** 2).sum()
        return float((self._weights * Cauchy(loss_scale).cost(errors)).sum() + 0.5 * priors)

    def linear(self, state: ShotState, loss_scale: float) -> banded.System:
        """The problem linearised at `state`, with the weights of the loss."""
        local, distorted, visible = self._distorted(state)
        focals = self._focals(state)
        by_ideal, by_lens = self._derivatives(state, local, distorted, focals)
        residuals = self._pixels(state, distorted) - self.tracks.pixels
        weights = np.where(visible, Cauchy(loss_scale).weight(np.hypot(residuals[:, 0], residuals[:, 1])), 0.0)
        roots = np.sqrt(self._weights * weights)
        by_ideal *= focals[:, :, None]
        cameras, points = self.tracks.camera, self.tracks.point
        observations = Observations(local, by_ideal, distorted * focals, cameras, points, self._delays)
        world = World(state.rotations, state.centres, state.points, self._basis(state.points), state.speeds)
        width = int(self._free[-1]) + 1
        # This also multiplies `residuals` by `roots`, in place.
        by_frame, by_point = shot_projection.weighted_derivatives(residuals, roots, observations, world, width)
        by_frame = by_frame[:, :, self._free] * ~self._held[self.tracks.camera, None]
        by_lens *= roots[:, None, None] * ~self._lens_held
        return banded.System(
            self._layout,
            banded.Rows(residuals, np.ascontiguousarray(by_frame), by_lens, by_point),
            self._priors,
            self._prior_residuals(state),
            self._held.ravel(),
            self._lens_prior,
            self._lens_prior * (state.lens - self.lens.start),
        )

    # ------------------------------------------------------------------------------------------- model
    def _distorted(self, state: ShotState) -> tuple[FloatArray, FloatArray, Array]:
        """The points in their cameras' frames (M, 3), their distorted normalised coordinates (M, 2), and whether they
        are visible (M,)."""
        local = local_points(state, self.tracks, self._delays, state.speeds)
        visible = local[:, 2] > NEAREST
        ideal = local[:, :2] / np.where(visible, local[:, 2], 1.0)[:, None]
        if not self._terms:
            return local, ideal, visible
        distortion = self.lens.distortion(state.lens)
        visible &= (ideal**2).sum(axis=1) < lens.valid_radius(distortion) ** 2
        return local, lens.distort(distortion, ideal), visible

    def _focals(self, state: ShotState) -> FloatArray:
        """(M, 2) fx and fy of each observation."""
        factor = np.exp(state.lens[0] + state.log_zooms)[self.tracks.camera]
        focals: FloatArray = factor[:, None] * self.lens.focal
        return focals

    def _pixels(self, state: ShotState, distorted: FloatArray) -> FloatArray:
        """(M, 2) pixels of the `distorted` normalised coordinates (M, 2)."""
        return distorted * self._focals(state) + state.lens[LENS_CENTRE]

    def _basis(self, points: FloatArray) -> FloatArray:
        """(P, 4, 3) the directions in which points are free: three if the camera translates; else two within x, y, z,
        and zeros for the third."""
        if self.freedom.translates:
            return tangents(points)
        return np.concatenate([tangents(points, flat=True), np.zeros((len(points), 4, 1))], axis=2)

    def _prior_residuals(self, state: ShotState) -> FloatArray:
        """(R,) the residuals of the priors on the frames' unknowns, in pixels."""
        residuals: FloatArray = self._priors.residuals(self._values(state)) - self._targets
        return residuals

    def _values(self, state: ShotState) -> FloatArray:
        """(F × K,) the values of the frames' K free unknowns, for the priors. A rotation's is the rotation vector away
        from its anchor, 0 without one."""
        values = np.zeros((self.frames, POSE))
        anchors = self.freedom.anchors
        if anchors is not None:
            away = state.rotations[anchors.frames] @ anchors.rotations.transpose(0, 2, 1)
            values[anchors.frames, ROTATION] = rotations.to_vectors(away)
        values[:, CENTRE], values[:, ZOOM] = state.centres, state.log_zooms
        if len(self._delays):
            values[:, SPEED] = state.speeds
        return values[:, self._free].ravel()

    def _derivatives(
        self, state: ShotState, local: FloatArray, distorted: FloatArray, focals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Derivatives of the distorted by the undistorted normalised coordinates (M, 2, 2), and of the pixels by the
        lens' unknowns (M, 2, 3 + T)."""
        by_ideal = np.tile(np.eye(2), (len(local), 1, 1))
        by_lens = np.zeros((len(local), 2, len(state.lens)))
        by_lens[:, :, 0] = distorted * focals
        by_lens[:, (0, 1), (1, 2)] = 1.0
        if not self._terms:
            return by_ideal, by_lens
        ideal = local[:, :2] / np.where(local[:, 2] > NEAREST, local[:, 2], 1.0)[:, None]
        distortion = self.lens.distortion(state.lens)
        by_ideal = lens.jacobian(partial(lens.distort, distortion), ideal)
        by_lens[:, :, TERMS] = lens.jacobian_by_terms(distortion, ideal) * focals[:, :, None]
        return by_ideal, by_lens

    def _stepped(self, state: ShotState, frames: FloatArray, of_lens: FloatArray, of_points: FloatArray) -> ShotState:
        """The state after the steps of the frames' free unknowns (F × K,), of the lens (3 + T,) and of the points
        (P, 3)."""
        step = np.zeros((self.frames, POSE))
        step[:, self._free] = frames.reshape(self.frames, -1)
        points = state.points + np.einsum("pij,pj->pi", self._basis(state.points), of_points)
        return replace(
            state,
            rotations=rotations.from_vectors(step[:, ROTATION]) @ state.rotations,
            centres=state.centres + step[:, CENTRE],
            log_zooms=state.log_zooms + step[:, ZOOM],
            lens=state.lens + of_lens,
            points=points / np.linalg.norm(points, axis=1, keepdims=True),
            speeds=state.speeds + step[:, SPEED] if len(self._delays) else state.speeds,
        )


def tangents(points: FloatArray, flat: bool = False) -> FloatArray:
    """(P, 4, 3) orthonormal bases of the directions perpendicular to the unit vectors `points` (P, 4).

    Where `flat`, (P, 4, 2): only those within x, y, z.
    """
    size = 3 if flat else 4
    vectors = points[:, :size]
    # Householder's reflection takes a vector to the axis of its largest component; its other columns are the basis.
    axis = np.abs(vectors).argmax(axis=1)
    rows = np.arange(len(vectors))
    normal = vectors.copy()
    normal[rows, axis] += np.sign(vectors[rows, axis]) * np.linalg.norm(vectors, axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    reflection = np.eye(size) - 2 * normal[:, :, None] * normal[:, None, :]
    others = (axis[:, None] + np.arange(1, size)) % size
    basis = np.zeros((len(points), 4, size - 1))
    basis[:, :size] = np.take_along_axis(reflection, others[:, None, :], axis=2)
    return basis


def local_points(state: ShotState, tracks: Tracks, delays: FloatArray, speeds: FloatArray) -> FloatArray:
    """(M, 3) for each observation its point in the frame of its camera, up to a positive factor.

    The camera's pose is the one `delays` (M,) frames after the middle row, at `speeds` (F, 6). Both may be empty.
    """
    local: FloatArray = shot_projection.local(
        state.rotations, state.centres, state.points, tracks.camera, tracks.point, delays, speeds
    )
    return local
