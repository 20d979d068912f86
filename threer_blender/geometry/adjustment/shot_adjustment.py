"""[R] Stage 4 of solving a shot: one bundle adjustment of all its frames, which drops observations that do not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray
from ...model.engine import Check, unchecked
from ..robust_losses import Cauchy
from . import banded
from .shot_problem import NOISE, POSE, ZOOM, Freedom, ShotLens, ShotProblem, ShotState
from .tracks import Tracks

WIDE, NARROW = 4.0, 2.0  # times the median error: scales of the robust loss, in the first descent and in the others
OUTLIER = 4.0  # times the scale of the loss: observations with a larger error are dropped
LEAST_SHARE = 0.5  # of a point's observations that must fit; else the point moves, or its track is wrong
WIDE_TRIALS, NARROW_TRIALS = 12, 25  # of a descent, at most
LEAST_TRACK_SCALE = 1e-6  # px: the least scale of the loss that weighs whole tracks
LARGEST_ERROR = 1e3  # px: in a track's mean, larger errors of its observations, infinite ones too, count as this
LONGEST = 120  # frames that a track spans in an adjustment; longer ones are split, which bounds the time for a frame
ZOOM_SPREAD = 1e-3  # standard deviation of a frame's log focal length from the line through both neighbours' ones
MOVING_ZOOM_SPREAD = 3e-3  # the same where the camera moves: a dolly zoom starts and stops with the camera
HELD = 1e6  # factor of a prior that holds an unknown


@dataclass(frozen=True)
class Adjusted:
    """The solved `state` of a shot, and the `lens` that it started from.

    `inliers` (M,) bool says which of the given observations fit. `tracks` are those that fit, and their points are the
    state's. `errors` are the reprojection errors of `tracks`, in pixels.
    """

    state: ShotState
    lens: ShotLens
    tracks: Tracks
    inliers: BoolArray
    errors: FloatArray


def adjust(
    tracks: Tracks,
    frames: int,
    shot_lens: ShotLens,
    freedom: Freedom,
    state: ShotState,
    check: Check = unchecked,
) -> Adjusted:
    """The poses of the frames, the lens and the points that fit the tracks, by three descents from `state`;
    observations that do not fit are dropped after each.

    `frames` is the number of frames; the points of `state` are those of the tracks. `check()` is called between steps
    and may raise.
    """
    chosen, rows, points = tracks, np.arange(len(tracks.point)), state.points
    least_scale = noise = NOISE * max(shot_lens.size)
    stages = ((WIDE, WIDE_TRIALS, False), (NARROW, NARROW_TRIALS, False), (NARROW, NARROW_TRIALS, True))
    for times, trials, by_track in stages:
        problem = ShotProblem(chosen, frames, shot_lens, freedom, noise)
        errors = problem.errors(state)
        loss_scale = max(least_scale, times * _median(errors))
        if by_track and not freedom.zooms:  # the tracks that disagree may be those that tell a zoom
            problem = ShotProblem(weighed(chosen, errors), frames, shot_lens, freedom, noise)
        state = problem.descend(state, loss_scale, check, trials)
        errors = problem.errors(state)
        loss_scale = max(least_scale, min(loss_scale, NARROW * _median(errors)))
        fits = _fitting(chosen, errors < OUTLIER * loss_scale)
        rows = rows[fits]
        chosen, points = _only(chosen, state.points, fits)
        state, noise = replace(state, points=points), max(least_scale, _median(errors[fits]))
    inliers = np.zeros(len(tracks.point), np.bool_)
    inliers[rows] = True
    return Adjusted(state, shot_lens, chosen, inliers, ShotProblem(chosen, frames, shot_lens, freedom).errors(state))


def weighed(tracks: Tracks, errors: FloatArray) -> Tracks:
    """The tracks with new weights: the larger a track's `errors` (M,), in pixels, the less all of it counts.

    The weights are Cauchy's, at the scale of the median track. A track that slips along an outline is wrong even where
    it fits.
    """
    count = np.bincount(tracks.point, minlength=len(tracks))
    squares = np.bincount(tracks.point, np.minimum(errors, LARGEST_ERROR) ** 2, len(tracks))
    track_errors = np.sqrt(squares / np.maximum(count, 1))
    scale = max(float(np.median(track_errors)), LEAST_TRACK_SCALE) if len(tracks) else 1.0
    weight = Cauchy(scale).weight(track_errors)[tracks.point]
    return replace(tracks, weight=weight if tracks.weight is None else weight * tracks.weight)


def smooth_zoom(numbers: Array, spread: float = ZOOM_SPREAD) -> banded.Priors:
    """Priors that the logarithm of the focal length is linear over each three successive frames. `numbers` (F,) are the
    frames' numbers; gaps are allowed. `spread` is the deviation from the line where there is no gap."""
    first = np.arange(len(numbers) - 2)
    slots = (first[:, None] + np.arange(3)) * POSE + ZOOM
    before, after = np.diff(numbers)[:-1].astype(float), np.diff(numbers)[1:].astype(float)
    whole = before + after
    # At equal curvature, the deviation from the line grows as the product of both gaps, and so does its spread.
    factors = np.stack([after / whole, -np.ones(len(first)), before / whole], axis=1)
    return banded.Priors(slots, factors / (spread * before * after)[:, None])


def zoom_held(frame: int) -> banded.Priors:
    """A prior that holds the zoom of a frame at 0: so the lens' focal length is that frame's."""
    return banded.one_unknown_each(np.array([frame * POSE + ZOOM]), np.array([HELD]))


def split_long(tracks: Tracks) -> Tracks:
    """The tracks, those that span more than LONGEST frames split into several points. A piece needs two observations,
    or it is dropped."""
    if not len(tracks):
        return tracks
    begins = np.searchsorted(tracks.point, np.arange(len(tracks)))
    piece = (tracks.camera - tracks.camera[begins][tracks.point]) // LONGEST
    point_and_piece = tracks.point * (int(piece.max()) + 1) + piece
    point = np.unique(point_and_piece, return_inverse=True)[1].reshape(-1)
    return replace(tracks, point=point).only(np.ones(len(point), np.bool_))


def _median(errors: FloatArray) -> float:
    """The median of the finite `errors`; 0 without any."""
    finite = errors[np.isfinite(errors)]
    return float(np.median(finite)) if len(finite) else 0.0


def _fitting(tracks: Tracks, fits: BoolArray) -> BoolArray:
    """(M,) bool: `fits`, but False for all observations of a point if fewer than two, or less than LEAST_SHARE, fit."""
    total, fitting = np.bincount(tracks.point, minlength=len(tracks)), np.bincount(tracks.point, fits, len(tracks))
    enough = (fitting >= 2) & (fitting >= LEAST_SHARE * total)
    supported: BoolArray = fits & enough[tracks.point]
    return supported


def _only(tracks: Tracks, points: FloatArray, chosen: BoolArray) -> tuple[Tracks, FloatArray]:
    """The `chosen` (M,) observations of `tracks`, and their `points`, renumbered alike."""
    return tracks.only(chosen), points[np.unique(tracks.point[chosen])]
