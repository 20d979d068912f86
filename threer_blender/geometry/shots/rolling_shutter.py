"""[R] Rolling shutter: each row of a frame is exposed a little later than the one above, by another pose of the camera.

The poses of rows lie on the cubic spline through the poses of the frames, which are those of the middle rows. What that
moves in the picture is taken off the observations, so that the adjustment of all frames stays that of whole frames;
both are done in turn until they agree. Model: Hedborg et al., "Rolling Shutter Bundle Adjustment" (CVPR 2012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...model import lens
from ...model.arrays import FloatArray, IntArray
from .. import rotations
from ..adjustment.tracks import Tracks
from . import adjustment
from .adjustment import Adjusted
from .problem import NEAREST, Freedom, ShotLens, ShotState

ROUNDS = 5  # each leaves about a fifth of the error of the one before
USUAL = 0.5  # of a frame's time: what many sensors take to be read
NOTICEABLE = 0.3  # pixels, the 95th percentile


def adjust(
    tracks: Tracks,
    numbers: IntArray,
    shot_lens: ShotLens,
    freedom: Freedom,
    state: ShotState,
    share: float,
    check: Callable[[], None] = lambda: None,
) -> Adjusted:
    """As `adjustment.adjust`, of frames with these `numbers` (F,), each read in the `share` of the time to the next.

    Where `share` is not 0, the tracks that come back lie where the poses of the middle rows show them.
    """
    frames = len(numbers)
    if not share:
        return adjustment.adjust(tracks, frames, shot_lens, freedom, state, check)
    rows, chosen = np.arange(len(tracks.point)), tracks
    for _ in range(ROUNDS):
        shift = displacements(chosen, numbers, shot_lens, state, share)
        whole = replace(chosen, pixels=chosen.pixels - shift)
        adjusted = adjustment.adjust(whole, frames, shot_lens, freedom, state, check)
        rows = rows[adjusted.inliers]
        chosen, state = replace(adjusted.tracks, pixels=tracks.pixels[rows]), adjusted.state
    inliers = np.zeros(len(tracks.point), np.bool_)
    inliers[rows] = True
    return replace(adjusted, inliers=inliers)


def cost(adjusted: Adjusted, numbers: IntArray) -> str:
    """A sentence about what a rolling shutter would do to this shot; empty where that is little."""
    shift = displacements(adjusted.tracks, numbers, adjusted.lens, adjusted.state, USUAL)
    worst = float(np.percentile(np.linalg.norm(shift, axis=1), 95)) if len(shift) else 0.0
    if worst < NOTICEABLE:
        return ""
    return (
        f" A rolling shutter that is read in half the time of a frame would move points by up to {worst:.1f} px; with "
        "such a camera, enter its read-out time."
    )


def displacements(tracks: Tracks, numbers: IntArray, solved: ShotLens, state: ShotState, share: float) -> FloatArray:
    """(M, 2) pixels by which each observation lies off where the middle row's pose would show it.

    `numbers` (F,) are of the frames, and `share` is the time from the first row to the last, in frames.
    """
    if not len(tracks):
        return np.zeros((0, 2))
    frames = np.unique(tracks.camera)
    late = (tracks.pixels[:, 1] / solved.size[1] - 0.5) * share
    from_world, centres = _between(numbers[frames].astype(float), state, frames, numbers[tracks.camera] + late)
    points = state.points[tracks.point]
    local = [
        np.einsum("mij,mj->mi", rotation, points[:, :3] - points[:, 3:] * centre)
        for rotation, centre in ((from_world, centres), (state.rotations[tracks.camera], state.centres[tracks.camera]))
    ]
    visible = np.minimum(local[0][:, 2], local[1][:, 2]) > NEAREST
    focal = solved.focal * np.exp(state.lens[0] + state.zooms[tracks.camera])[:, None]
    ends = [
        focal * lens.distort(solved.distortion(state.lens), each[:, :2] / np.where(visible, each[:, 2], 1.0)[:, None])
        for each in local
    ]
    off: FloatArray = np.where(visible[:, None], ends[0] - ends[1], 0.0)
    return off


def _between(
    times: FloatArray, state: ShotState, frames: IntArray, moments: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rotations (M, 3, 3) camera from world and centres (M, 3) at `moments` (M,), in frames, of the spline through the
    poses of `frames` (K,) at `times` (K,)."""
    if len(times) < 2:
        return np.repeat(state.rotations[frames], len(moments), 0), np.repeat(state.centres[frames], len(moments), 0)
    steps = rotations.to_vectors(state.rotations[frames[1:]] @ state.rotations[frames[:-1]].transpose(0, 2, 1))
    ahead = np.concatenate([np.zeros((1, 3)), steps.cumsum(axis=0)])
    path = np.concatenate([ahead, state.centres[frames]], axis=1)
    nearest = np.clip(np.searchsorted((times[1:] + times[:-1]) / 2, moments), 0, len(times) - 1)
    there = spline(times, path, moments)
    update = rotations.from_vectors(there[:, :3] - ahead[nearest])
    return update @ state.rotations[frames[nearest]], there[:, 3:]


def spline(times: FloatArray, values: FloatArray, moments: FloatArray) -> FloatArray:
    """(M, K) at `moments` (M,) of the cubic spline through `values` (N, K) at rising `times` (N,), not-a-knot: its
    first two pieces are one polynomial, and so are its last two (de Boor, A Practical Guide to Splines, IV)."""
    step = np.diff(times)[:, None]
    slope = np.diff(values, axis=0) / step
    curvature = np.zeros_like(values)  # second derivatives
    if len(times) > 3:
        inner = np.arange(1, len(times) - 1)
        matrix, right = np.zeros((len(times), len(times))), np.zeros_like(values)
        matrix[inner, inner - 1], matrix[inner, inner + 1] = step[:-1, 0], step[1:, 0]
        matrix[inner, inner] = 2 * (step[1:] + step[:-1])[:, 0]
        right[inner] = 6 * np.diff(slope, axis=0)
        for end, (first, second) in ((0, step[:2, 0]), (-1, step[-1:-3:-1, 0])):
            inward = 1 if end == 0 else -1
            matrix[end, [end, end + inward, end + 2 * inward]] = second, -first - second, first
        curvature = np.linalg.solve(matrix, right)
    place = np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 2)
    wide = step[place]
    after = (moments - times[place])[:, None] / wide
    before = 1 - after
    bend = (before**3 - before) * curvature[place] + (after**3 - after) * curvature[place + 1]
    out: FloatArray = before * values[place] + after * values[place + 1] + wide**2 / 6 * bend
    return out
