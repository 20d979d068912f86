"""[R] The cost that the adjustment of a shot minimises: reprojection errors of homogeneous points, and priors.

Points are homogeneous unit vectors (Hartley & Zisserman, 2nd edition, A6.9): far ones, and those that a camera which
only turns sees, are directions (x, y, z, 0) like any others. One problem so serves all kinds of moves; a move that does
not do something has those unknowns held. Levenberg-Marquardt under Cauchy's loss, reweighed at every step; `banded`
has the linear algebra.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

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

POSE = 13  # unknowns of a frame: rotation, centre, logarithm of its focal length over the lens', speed of its rows
ROTATION, CENTRE, ZOOM, SPEED = slice(0, 3), slice(3, 6), 6, slice(7, 13)
LENS_CENTRE, TERMS = slice(1, 3), slice(3, None)  # of a lens' unknowns; the first is the logarithm of its focal factor
LENS_STEP = 1e-6  # normalised units; for the numeric derivative of the lens
NEAREST = 1e-9  # of a unit vector; what is nearer lies behind the camera
BEHIND = 50.0  # times the loss: the error of a point that its camera cannot see
TRIALS, TOLERANCE = 30, 1e-6  # of a descent at most; relative fall of the cost in a step that ends it
LEAST_DAMPING = 1e-10
SPEED_SPREAD = 2e-3  # radians, and units, a frame: by how much the speed of a frame's rows departs from the usual one
NO_SPEEDS = np.zeros((0, 6))
NOISE = 1e-4  # of the plate's longer side: how well points are tracked, a tenth of a pixel of 960


@dataclass(frozen=True)
class ShotState:
    """`rotations` (F, 3, 3) camera from world; `centres` (F, 3) of the cameras; `zooms` (F,) logarithm of a frame's
    focal length over the lens'; `lens` (3 + T,) logarithm of the focal length over its start, principal point in
    pixels, distortion terms; `points` (P, 4) homogeneous unit vectors, world; `speeds` (F, 6) of the camera while a
    rolling shutter reads the frame: its turn in radians and the shift of the world, both as it sees them, a frame."""

    rotations: FloatArray
    centres: FloatArray
    zooms: FloatArray
    lens: FloatArray
    points: FloatArray
    speeds: FloatArray = field(default_factory=lambda: NO_SPEEDS)


@dataclass(frozen=True)
class ShotLens:
    """The lens of a shot: `focal` (2,) fx and fy at the start, `size` (width, height) in pixels, `model` its COLMAP
    model; `start` (3 + T,) as `ShotState.lens`, `spread` (3 + T,) how far from it each may plausibly lie, 0 where it is
    held."""

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
    """Poses that another source gives some `frames` (K,): `rotations` (K, 3, 3) camera from world, `centres` (K, 3).

    `rotation_spread` in radians and `centre_spread` in units are how well each is believed.
    """

    frames: Array
    rotations: FloatArray
    centres: FloatArray
    rotation_spread: float
    centre_spread: float

    def priors(self) -> tuple[banded.Priors, FloatArray]:
        """Terms on turns away from the rotations, and on the centres, with what the terms should be."""
        spreads = np.repeat([self.rotation_spread, self.centre_spread], 3)
        slots = (self.frames[:, None] * POSE + np.arange(ZOOM)).ravel()
        factors = np.tile(1 / spreads, len(self.frames))
        wanted = np.concatenate([np.zeros_like(self.centres), self.centres / self.centre_spread], axis=1)
        return banded.one_unknown_each(slots, factors), wanted.ravel()


@dataclass(frozen=True)
class ReadOut:
    """A rolling shutter: the `share` of a frame's time from its first row to the last, and the usual `speeds` (F, 6) of
    the frames, as `ShotState.speeds`."""

    share: float
    speeds: FloatArray

    def delays(self, rows: FloatArray, height: int) -> FloatArray:
        """(M,) frames by which `rows` (M,) are read later than the middle one of the `height`."""
        delays: FloatArray = (rows / height - 0.5) * self.share
        return delays

    def priors(self, translates: bool) -> tuple[banded.Priors, FloatArray]:
        """Terms on the speeds, with what they should be."""
        which = np.arange(6 if translates else 3)
        slots = (np.arange(len(self.speeds))[:, None] * POSE + SPEED.start + which).ravel()
        priors = banded.one_unknown_each(slots, np.full(len(slots), 1 / SPEED_SPREAD))
        return priors, (self.speeds[:, which] / SPEED_SPREAD).ravel()


@dataclass(frozen=True)
class Freedom:
    """The unknowns of a frame: `translates` where centres, and so depths, are unknown; `zooms` where focal lengths are.

    `priors` are linear terms on the unknowns of frames, and `anchors` hold the world, if there are any. With a
    `read_out` the camera moves while a frame is read, and the tracks are as its rows show them.
    """

    translates: bool
    zooms: bool
    priors: banded.Priors = banded.NO_PRIORS
    anchors: Anchors | None = None
    read_out: ReadOut | None = None


class ShotProblem:
    """The errors of `tracks`, whose `camera` is an index of frames, as a function of a ShotState.

    `noise` in pixels is how well the points are tracked, NOISE of the plate where it is 0; priors weigh less the better
    that is.
    """

    def __init__(self, tracks: Tracks, frames: int, shot_lens: ShotLens, freedom: Freedom, noise: float = 0.0) -> None:
        self.tracks, self.lens, self.freedom, self.frames = tracks, shot_lens, freedom, frames
        self._counts = np.ones(len(tracks.point)) if tracks.weight is None else tracks.weight
        self._start = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
        self._terms = len(lens.MODELS[shot_lens.model])
        read_out, translates = freedom.read_out, freedom.translates
        rolls = read_out is not None
        groups = [True, translates, freedom.zooms, rolls, rolls and translates]
        self._free = np.flatnonzero(np.repeat(groups, [3, 3, 1, 3, 3]))
        self._delays = np.zeros(0) if read_out is None else read_out.delays(tracks.pixels[:, 1], shot_lens.size[1])
        self._held = np.zeros((frames, len(self._free)), np.bool_)
        fixed = int(np.bincount(tracks.camera, minlength=frames).argmax())  # its camera stays: it is the world
        self._held[fixed] = (self._free < ZOOM) & (freedom.anchors is None)
        self._layout = banded.Layout.of(tracks.camera, self._start, frames, len(self._free))
        priors, self._wanted = freedom.priors, np.zeros(len(freedom.priors.slots))
        others = [] if freedom.anchors is None else [freedom.anchors.priors()]
        others += [] if read_out is None else [read_out.priors(translates)]
        for other, wanted in others:
            priors, self._wanted = priors.joined(other), np.concatenate([self._wanted, wanted])
        place = np.searchsorted(self._free, priors.slots % POSE)
        slots = priors.slots // POSE * len(self._free) + place
        noise = noise or NOISE * max(
            shot_lens.size
        )  # what is minimised is in pixels², priors are in standard deviations
        self._priors, self._wanted = banded.Priors(slots, noise * priors.factors), noise * self._wanted
        free = shot_lens.spread > 0
        self._lens_held = ~free
        self._lens_prior = np.where(free, (noise / np.where(free, shot_lens.spread, 1.0)) ** 2, 0.0)

    # ------------------------------------------------------------------------------------------- descent
    def descend(self, state: ShotState, loss: float, check: Check = unchecked, trials: int = TRIALS) -> ShotState:
        """The state at the bottom of the valley that `state` lies in. `check()` between steps may raise."""
        options = Options("shot", trials, TOLERANCE, least_damping=LEAST_DAMPING)

        def linearise(state: ShotState) -> Callable[[float], ShotState]:
            system = self._linear(state, loss)
            return lambda damping: self._stepped(state, *banded.solve(system, damping))

        return levenberg_marquardt(state, lambda state: self.cost(state, loss), linearise, options, check)[0]

    def errors(self, state: ShotState) -> FloatArray:
        """(M,) pixels between each observation and its projected point; infinite where its camera cannot see it."""
        _, distorted, visible = self._distorted(state)
        off = self._pixels(state, distorted) - self.tracks.pixels
        distance: FloatArray = np.where(visible, np.hypot(off[:, 0], off[:, 1]), np.inf)
        return distance

    def cost(self, state: ShotState, loss: float) -> float:
        """Half the robust sum of squares in pixels², and of the priors."""
        errors = np.minimum(self.errors(state), BEHIND * loss)
        priors = (self._prior_residuals(state) ** 2).sum()
        priors += (self._lens_prior * (state.lens - self.lens.start) ** 2).sum()
        return float((self._counts * Cauchy(loss).cost(errors)).sum() + 0.5 * priors)

    # ------------------------------------------------------------------------------------------- model
    def _distorted(self, state: ShotState) -> tuple[FloatArray, FloatArray, Array]:
        """Camera-frame points (M, 3), where the lens puts them (M, 2), normalised, and whether they are seen (M,)."""
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
        factor = np.exp(state.lens[0] + state.zooms)[self.tracks.camera]
        focals: FloatArray = factor[:, None] * self.lens.focal
        return focals

    def _pixels(self, state: ShotState, distorted: FloatArray) -> FloatArray:
        return distorted * self._focals(state) + state.lens[LENS_CENTRE]

    def _basis(self, points: FloatArray) -> FloatArray:
        """(P, 4, 3) the directions in which points are free: three, or two and none where only directions are told."""
        if self.freedom.translates:
            return tangents(points)
        return np.concatenate([tangents(points, flat=True), np.zeros((len(points), 4, 1))], axis=2)

    def _prior_residuals(self, state: ShotState) -> FloatArray:
        residuals: FloatArray = self._priors.residuals(self._values(state)) - self._wanted
        return residuals

    def _values(self, state: ShotState) -> FloatArray:
        """(F × K,) the free unknowns on which priors may speak; of rotations, the turns away from the anchors'."""
        values = np.zeros((self.frames, POSE))
        anchors = self.freedom.anchors
        if anchors is not None:
            away = state.rotations[anchors.frames] @ anchors.rotations.transpose(0, 2, 1)
            values[anchors.frames, ROTATION] = rotations.to_vectors(away)
        values[:, CENTRE], values[:, ZOOM] = state.centres, state.zooms
        if len(self._delays):
            values[:, SPEED] = state.speeds
        return values[:, self._free].ravel()

    def _linear(self, state: ShotState, loss: float) -> banded.System:
        local, distorted, visible = self._distorted(state)
        focals = self._focals(state)
        by_ideal, by_lens = self._derivatives(state, local, distorted, focals)
        residuals = self._pixels(state, distorted) - self.tracks.pixels
        weights = np.where(visible, Cauchy(loss).weight(np.hypot(residuals[:, 0], residuals[:, 1])), 0.0)
        weights = self._counts * weights
        by_ideal *= focals[:, :, None]
        cameras, points = self.tracks.camera, self.tracks.point
        observations = Observations(local, by_ideal, distorted * focals, cameras, points, self._delays)
        world = World(state.rotations, state.centres, state.points, self._basis(state.points), state.speeds)
        width = int(self._free[-1]) + 1
        outer, inner = shot_projection.weighted_derivatives(residuals, np.sqrt(weights), observations, world, width)
        outer = outer[:, :, self._free] * ~self._held[self.tracks.camera, None]
        by_lens *= np.sqrt(weights)[:, None, None] * ~self._lens_held
        return banded.System(
            self._layout,
            banded.Rows(residuals, np.ascontiguousarray(outer), by_lens, inner),
            self._priors,
            self._prior_residuals(state),
            self._held.ravel(),
            self._lens_prior,
            self._lens_prior * (state.lens - self.lens.start),
        )

    def _derivatives(
        self, state: ShotState, local: FloatArray, distorted: FloatArray, focals: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Of where the lens puts points, by where they ideally are (M, 2, 2), normalised; and of the pixels by the
        lens' unknowns (M, 2, 3 + T)."""
        by_ideal = np.tile(np.eye(2), (len(local), 1, 1))
        by_lens = np.zeros((len(local), 2, len(state.lens)))
        by_lens[:, :, 0] = distorted * focals
        by_lens[:, (0, 1), (1, 2)] = 1.0
        if not self._terms:
            return by_ideal, by_lens
        ideal = local[:, :2] / np.where(local[:, 2] > NEAREST, local[:, 2], 1.0)[:, None]
        distortion = self.lens.distortion(state.lens)
        for axis, step in enumerate(LENS_STEP * np.eye(2)):
            more, less = (lens.distort(distortion, ideal + offset) for offset in (step, -step))
            by_ideal[:, :, axis] = (more - less) / (2 * LENS_STEP)
        for term, step in enumerate(LENS_STEP * np.eye(len(state.lens))[TERMS]):
            more, less = (lens.distort(self.lens.distortion(state.lens + offset), ideal) for offset in (step, -step))
            slope = (more - less) / (2 * LENS_STEP)
            by_lens[:, :, TERMS.start + term] = slope * focals
        return by_ideal, by_lens

    def _stepped(self, state: ShotState, frames: FloatArray, of_lens: FloatArray, of_points: FloatArray) -> ShotState:
        step = np.zeros((self.frames, POSE))
        step[:, self._free] = frames.reshape(self.frames, -1)
        points = state.points + np.einsum("pij,pj->pi", self._basis(state.points), of_points)
        return replace(
            state,
            rotations=rotations.from_vectors(step[:, ROTATION]) @ state.rotations,
            centres=state.centres + step[:, CENTRE],
            zooms=state.zooms + step[:, ZOOM],
            lens=state.lens + of_lens,
            points=points / np.linalg.norm(points, axis=1, keepdims=True),
            speeds=state.speeds + step[:, SPEED] if len(self._delays) else state.speeds,
        )


def tangents(points: FloatArray, flat: bool = False) -> FloatArray:
    """Orthonormal bases (P, 4, 3) of what is at right angles to the unit vectors `points` (P, 4); where `flat`, (P, 4,
    2) of that within x, y, z."""
    size = 3 if flat else 4
    vectors = points[:, :size]
    # Householder's reflection that takes a unit vector to the axis -sign(x) e; its other columns are the basis.
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
    """(M, 3) homogeneous points in the frames of their cameras, moved on by `delays` (M,) frames at `speeds` (F, 6);
    both may be empty."""
    local: FloatArray = shot_projection.local(
        state.rotations, state.centres, state.points, tracks.camera, tracks.point, delays, speeds
    )
    return local
