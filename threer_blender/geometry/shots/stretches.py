"""[R] Stretches of a shot in which a moving camera only turns, or rests: found by the criterion of `kinds`, then held.

The matches of two frames some way apart are explained by a rotation alone, or by the solved rotation and translation.
Where the rotation suffices, the camera stood at one place between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...model import lens
from ...model.arrays import FloatArray, IntArray
from ..adjustment import banded
from ..adjustment.shot_adjustment import Adjusted
from ..adjustment.shot_problem import CENTRE, NEAREST, NOISE, POSE
from . import kinds, rotating
from .moving import camera_rays

INTERVAL = 6  # frames from the first to the second of the two that are compared
LEAST_FRAMES = 10  # of a stretch
HOLD_SPREAD = 1e-5  # median depths: standard deviation of the step from one frame's centre to the next in a stretch


def turning_stretches(adjusted: Adjusted, numbers: IntArray) -> list[tuple[int, int]]:
    """The first and last frame of each stretch that rotations alone explain, as indices of the frames' `numbers`
    (F,)."""
    frames = len(numbers)
    noise = max(NOISE * max(adjusted.lens.size), float(np.median(adjusted.errors)))
    rotates_only = np.zeros(frames, np.bool_)
    tracks, state = adjusted.tracks, adjusted.state
    focal = adjusted.lens.focal * np.exp(state.lens[0])
    shot_lens = replace(adjusted.lens, focal=focal, start=state.lens)
    rays = camera_rays(tracks, shot_lens, state.log_zooms)
    distortion, centre = shot_lens.distortion(state.lens), state.lens[1:3]
    by_frame = [np.flatnonzero(tracks.camera == frame) for frame in range(frames)]
    for here in range(frames - INTERVAL):
        there = here + INTERVAL
        first, second = rotating.shared(tracks, by_frame[here], by_frame[there])
        if len(first) < kinds.LEAST_MATCHES:
            continue
        local = rays[first] @ (state.rotations[there] @ state.rotations[here].T).T
        focals = focal * np.exp(state.log_zooms[there])
        ideal = local[:, :2] / np.where(local[:, 2:] > NEAREST, local[:, 2:], np.nan)
        rotated = lens.distort(distortion, ideal) * focals + centre
        off = np.nan_to_num(np.linalg.norm(rotated - tracks.pixels[second], axis=1) / np.sqrt(2), nan=np.inf)
        parameter_cost = np.log(4 * len(first))
        rotation_score = kinds.score(off, noise, 2) + kinds.ROTATION_PARAMETERS * parameter_cost
        motion_score = kinds.score(adjusted.errors[second], noise, 3) + kinds.EPIPOLAR_PARAMETERS * parameter_cost
        if rotation_score < motion_score:
            rotates_only[here : there + 1] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], rotates_only.astype(int), [0]])))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= LEAST_FRAMES]


def holding(stretches: Sequence[tuple[int, int]]) -> banded.Priors:
    """Priors that the centres of neighbouring frames of a stretch are equal, for `stretches` of first and last
    frames."""
    first = np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in stretches)])
    axes = np.arange(CENTRE.start, CENTRE.stop)
    here = (first[:, None] * POSE + axes).ravel()
    slots = np.stack([here, here + POSE, here], axis=1)
    return banded.Priors(slots, np.tile([1 / HOLD_SPREAD, -1 / HOLD_SPREAD, 0.0], (len(slots), 1)))


def at_one_place(centres: FloatArray, stretches: Sequence[tuple[int, int]]) -> FloatArray:
    """The centres (F, 3), with those of each stretch replaced by their mean."""
    held = centres.copy()
    for first, last in stretches:
        held[first : last + 1] = centres[first : last + 1].mean(axis=0)
    return held
