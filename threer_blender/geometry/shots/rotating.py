"""[R] The start of a shot whose camera only turns: rotations from frame to frame, directions, and the focal length.

Rotations are fitted robustly to the rays of points that two frames share (Kabsch 1976). The change of scale in the
picture gives the zoom. If the focal length is unknown, a few are tried, and the one that explains the tracks best is
taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import Check, unchecked
from .. import rotations
from ..adjustment.shot_problem import LENS_CENTRE, Freedom, ShotLens, ShotProblem, ShotState
from ..adjustment.tracks import Tracks
from ..robust_losses import Cauchy

FOCALS = (0.6, 1.0, 1.7, 3.0)  # times the longer side: focal lengths that are tried
ROUNDS = 6  # of reweighting
LEAST_SHARED = 8  # points that two frames must share to be linked
TRIALS, LOSS = 8, 2.0  # steps of the descents that compare focal lengths; the scale of their loss in px
COMPARED = 24  # frames, evenly over the shot, by which focal lengths are compared


def start(
    tracks: Tracks, frames: int, shot_lens: ShotLens, zooms: bool, focal_known: bool, check: Check = unchecked
) -> tuple[ShotState, ShotLens]:
    """The initial state of a shot of so many `frames`, and the lens with its focal length.

    With `zooms`, the frames' focal lengths differ. With `focal_known`, that of `shot_lens` is taken; else it is
    searched. `check()` is called now and then and may raise.
    """
    log_scales = np.log(_scales(tracks, frames, shot_lens)) if zooms else np.zeros(frames)
    log_scales -= np.median(log_scales)
    compared = np.unique(np.linspace(0, frames - 1, COMPARED).round().astype(int))
    best: tuple[float, ShotLens] | None = None
    for factor in () if focal_known else FOCALS:
        focal = shot_lens.focal * factor * max(shot_lens.size) / shot_lens.focal[0]
        tried = replace(shot_lens, focal=focal)
        some = among(tracks, compared)
        problem = ShotProblem(some, len(compared), tried, Freedom(translates=False, zooms=zooms))
        state = problem.descend(_chained(some, len(compared), tried, log_scales[compared]), LOSS, check, TRIALS)
        cost = problem.cost(state, LOSS)
        if best is None or cost < best[0]:
            best = cost, replace(tried, focal=focal * np.exp(state.lens[0] + np.median(state.log_zooms)))
    shot_lens = shot_lens if best is None else best[1]
    return _chained(tracks, frames, shot_lens, log_scales), shot_lens


def among(tracks: Tracks, frames: Array) -> Tracks:
    """The tracks in some `frames` (K,), ascending, which are renumbered 0 … K - 1."""
    chosen = tracks.only(np.isin(tracks.camera, frames))
    return replace(chosen, camera=np.searchsorted(frames, chosen.camera))


def among_with_state(tracks: Tracks, state: ShotState, frames: Array) -> tuple[Tracks, ShotState]:
    """As `among`, with the state of these frames and points. The state's speeds are left as they are."""
    observed = np.bincount(tracks.point, np.isin(tracks.camera, frames), len(tracks))
    return among(tracks, frames), replace(
        state,
        rotations=state.rotations[frames],
        centres=state.centres[frames],
        log_zooms=state.log_zooms[frames],
        points=state.points[observed >= 2],
    )


def shared(tracks: Tracks, first: Array, second: Array) -> tuple[Array, Array]:
    """Of the observations `first` (M,) of one frame and `second` (N,) of another, those that show the same points: two
    arrays (K,) of indices."""
    _, in_first, in_second = np.intersect1d(tracks.point[first], tracks.point[second], return_indices=True)
    return first[in_first], second[in_second]


def _links(tracks: Tracks, frames: int) -> Sequence[tuple[int, int, Array, Array]]:
    """For each frame after the first: the frame, the latest earlier frame that shares enough points with it, and the
    observations of these points in the frame and in the earlier one."""
    by_frame = [np.flatnonzero(tracks.camera == frame) for frame in range(frames)]
    links = []
    for frame in range(1, frames):
        for earlier in range(frame - 1, -1, -1):
            here, there = shared(tracks, by_frame[frame], by_frame[earlier])
            if len(here) >= LEAST_SHARED:
                links.append((frame, earlier, here, there))
                break
    return links


def _scales(tracks: Tracks, frames: int, shot_lens: ShotLens) -> FloatArray:
    """(F,) how much larger the picture is in each frame than in the first, by similarities between linked frames."""
    scales = np.ones(frames)
    centred = tracks.pixels - shot_lens.start[LENS_CENTRE]
    places = centred[:, 0] + 1j * centred[:, 1]
    for frame, earlier, here, there in _links(tracks, frames):
        scales[frame] = scales[earlier] * abs(_similarity(places[there], places[here]))
    return scales


def _similarity(source: Array, target: Array) -> complex:
    """The factor a in target ≈ a · source + b, robustly fitted. All are complex numbers x + iy, so a is the scale and
    the rotation in the picture."""
    weights = np.ones(len(source))
    factor = 1 + 0j
    for _ in range(ROUNDS):
        share = weights / weights.sum()
        from_middle, to_middle = source - share @ source, target - share @ target
        factor = complex((share * from_middle.conj()) @ to_middle / max(float(share @ abs(from_middle) ** 2), 1e-12))
        off = np.abs(to_middle - factor * from_middle)
        weights = Cauchy(max(0.1, float(np.median(off)))).weight(off)
    return factor


def _chained(tracks: Tracks, frames: int, shot_lens: ShotLens, log_zooms: FloatArray) -> ShotState:
    """The state with the rotations chained from link to link, and each point's mean direction over its frames."""
    centre, focal = shot_lens.start[LENS_CENTRE], shot_lens.focal * np.exp(log_zooms[tracks.camera])[:, None]
    plane = lens.undistort(shot_lens.distortion(shot_lens.start), (tracks.pixels - centre) / focal)
    rays = np.concatenate([np.nan_to_num(plane), np.ones((len(plane), 1))], axis=1)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    from_world = np.tile(np.eye(3), (frames, 1, 1))
    for frame, earlier, here, there in _links(tracks, frames):
        from_world[frame] = _rotation(rays[there], rays[here]) @ from_world[earlier]
    in_world = np.einsum("mji,mj->mi", from_world[tracks.camera], rays)
    sums = np.stack([np.bincount(tracks.point, in_world[:, k], len(tracks)) for k in range(3)], axis=1)
    points = np.zeros((len(tracks), 4))
    points[:, :3] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return ShotState(from_world, np.zeros((frames, 3)), log_zooms, shot_lens.start, points)


def _rotation(source: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) the rotation that takes the unit rays `source` (N, 3) to `target` (N, 3), robustly fitted."""
    weights = np.ones(len(source))
    rotation = np.eye(3)
    for _ in range(ROUNDS):
        rotation = rotations.nearest(np.einsum("n,ni,nj->ij", weights, target, source))
        off = np.linalg.norm(target - source @ rotation.T, axis=1)
        weights = Cauchy(max(1e-5, float(np.median(off)))).weight(off)
    return rotation
