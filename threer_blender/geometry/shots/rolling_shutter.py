"""[R] Rolling shutter: each row of a frame is read a little later than the one above, at another pose of the camera.

The pose of a frame is that of its middle row (Hedborg et al., "Rolling Shutter Bundle Adjustment", CVPR 2012). Two
parts describe the camera's motion while a frame is read. The cubic spline through the frames' poses gives the smooth
part; its displacements, less those of a constant speed, are subtracted from the observations. The speed itself is an
unknown of each frame in the adjustment, since a shake that is faster than the frames does not show in the spline.

If the artist does not enter how long a frame is read, that is estimated.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...model import lens
from ...model.arrays import FloatArray, IntArray
from ...model.engine import Check, unchecked
from .. import cubic_spline, rotations
from ..adjustment import shot_adjustment
from ..adjustment.shot_adjustment import Adjusted
from ..adjustment.shot_problem import NEAREST, NO_SPEEDS, NOISE, Freedom, ReadOut, ShotLens, ShotState, local_points
from ..adjustment.tracks import Tracks
from ..robust_losses import Cauchy
from .rotating import among_with_state

ROUNDS = 2  # of the adjustment; the first starts from poses that were solved without a rolling shutter
STEP = 1e-3  # frames, to either side: for the numerical speed of a spline
USUAL_SHARE = 0.5  # of a frame's time: the read-out of many sensors
PROBED = 24  # frames from which the share is estimated
CLEAR = 5.0  # an estimate counts as 0 unless it is larger than so many of its standard deviations
LEAST_SHARE = 0.05  # of a frame's time: smaller estimates count as 0
LARGEST_SHIFT = 20.0  # px: larger displacements count as this, so that a few wild tracks do not choose the frames
OUTLIER = 3.0  # times the noise: larger errors count as this
MOST_DAMPING = 0.7  # of a step of the estimate: the largest part that the priors on the speeds may suppress
REWEIGHTINGS = 5
SMOOTH = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16  # weights of neighbouring frames when speeds are smoothed
LEAST_FRAMES = 8  # from which a share is estimated
NOTICEABLE = 0.3  # px: the 95th percentile of the displacements from which a rolling shutter would show


def adjust(
    tracks: Tracks,
    numbers: IntArray,
    shot_lens: ShotLens,
    freedom: Freedom,
    state: ShotState,
    share: float,
    check: Check = unchecked,
) -> Adjusted:
    """As `shot_adjustment.adjust`, for frames with these `numbers` (F,) that are each read in the `share` of a frame's
    time.

    Where `share` is not 0, the returned tracks are those of a global shutter: their pixels are where the points appear
    from the poses of the middle rows.
    """
    frames = len(numbers)
    if not share:
        return shot_adjustment.adjust(tracks, frames, shot_lens, freedom, state, check)
    inlier_indices, chosen = np.arange(len(tracks.point)), tracks
    for _ in range(1 if len(state.speeds) else ROUNDS):
        of_spline = spline_speeds(chosen, numbers, state)
        # The adjustment knows constant speeds alone. What the spline displaces beyond these is taken away before.
        bend = displacements(chosen, numbers, shot_lens, state, share)
        bend -= displacements_at_speeds(chosen, shot_lens, state, of_spline, share)
        straight = replace(chosen, pixels=chosen.pixels - bend)
        rolling = replace(freedom, read_out=ReadOut(share, of_spline))
        begin = state if len(state.speeds) else replace(state, speeds=of_spline)
        adjusted = shot_adjustment.adjust(straight, frames, shot_lens, rolling, begin, check)
        inlier_indices = inlier_indices[adjusted.inliers]
        chosen, state = replace(adjusted.tracks, pixels=tracks.pixels[inlier_indices]), adjusted.state
    # The displacements at the solved speeds are taken away as well: that leaves the tracks of a global shutter.
    straight = adjusted.tracks
    off = displacements_at_speeds(straight, shot_lens, state, state.speeds, share)
    inliers = np.zeros(len(tracks.point), np.bool_)
    inliers[inlier_indices] = True
    return replace(adjusted, inliers=inliers, tracks=replace(straight, pixels=straight.pixels - off))


def estimated(
    tracks: Tracks, numbers: IntArray, shot_lens: ShotLens, freedom: Freedom, state: ShotState, check: Check = unchecked
) -> tuple[float, str]:
    """The share of a frame's time in which it is read, and a sentence about it; 0 and an empty one where the tracks do
    not clearly show a rolling shutter.

    A part of the shot is adjusted with and without free speeds while frames are read, assuming USUAL_SHARE. The ratio
    of these speeds to those of the spline through the frames, times USUAL_SHARE, is the share. But free speeds also fit
    a squashed world, so their priors are needed, and these pull the estimate towards the expected share. So the
    estimate is repeated from its first result, and the two steps are extrapolated to their limit (Aitken).
    """
    frames = _fastest(tracks, numbers, shot_lens, state)
    if not len(frames):
        return 0.0, ""
    some, begin = among_with_state(tracks, state, frames)
    no_speeds = np.zeros((len(frames), 6))
    free, begin = Freedom(translates=freedom.translates, zooms=freedom.zooms), replace(begin, speeds=no_speeds)

    def with_speeds(tracks: Tracks, state: ShotState, expected: FloatArray) -> Adjusted:
        rolling = replace(free, read_out=ReadOut(USUAL_SHARE, expected))
        return shot_adjustment.adjust(tracks, len(frames), shot_lens, rolling, state, check)

    rolling = with_speeds(some, begin, no_speeds)
    first, first_spread = _share(rolling, numbers[frames])
    if first < max(CLEAR * first_spread, LEAST_SHARE):
        return 0.0, ""
    at_once = shot_adjustment.adjust(some, len(frames), shot_lens, free, begin, check)
    noise = max(NOISE * max(shot_lens.size), float(np.median(rolling.errors)))
    gain = _misfit(at_once, noise) - _misfit(rolling, noise)
    parameters = (6 if freedom.translates else 3) * len(frames)
    # Torr's GRIC: each parameter must lower the misfit by the logarithm of four times the number of observations.
    if gain < parameters * np.log(4 * len(some.point)):
        return 0.0, ""
    of_spline = spline_speeds(rolling.tracks, numbers[frames], rolling.state)
    rolling = with_speeds(rolling.tracks, rolling.state, first / USUAL_SHARE * of_spline)
    second, spread = _share(rolling, numbers[frames])
    # Steps fall as a geometric series, from `first` by the factor `remaining`.
    remaining = min(max((second - first) / first, 0.0), MOST_DAMPING)
    share = first + (second - first) / (1 - remaining)
    spread = float(np.hypot(first_spread, spread)) / (1 - remaining)
    if not CLEAR * spread < share < 1 + spread:
        return 0.0, ""
    before, after = (float(np.median(each.errors)) for each in (at_once, rolling))
    return min(share, 1.0), (
        f" A rolling shutter reads its frames in {share:.0%} (± {spread:.0%}) of the time from one to the next: that "
        f"is estimated, and leaves {after:.2f} px where frames that are read at once leave {before:.2f} px."
    )


def _fastest(tracks: Tracks, numbers: IntArray, shot_lens: ShotLens, state: ShotState) -> IntArray:
    """(K,) the indices of up to PROBED consecutive frames in which a rolling shutter would show most; empty where it
    would hardly show."""
    shift = np.linalg.norm(displacements(tracks, numbers, shot_lens, state, USUAL_SHARE), axis=1)
    if not len(shift) or np.percentile(shift, 95) < NOTICEABLE:
        return np.zeros(0, np.int64)
    count = np.bincount(tracks.camera, minlength=len(numbers))
    square = np.bincount(tracks.camera, np.minimum(shift, LARGEST_SHIFT) ** 2, len(numbers)) / np.maximum(count, 1)
    sums = np.concatenate([[0.0], square.cumsum()])
    width = min(PROBED, len(numbers))
    return int((sums[width:] - sums[:-width]).argmax()) + np.arange(width)


def _misfit(adjusted: Adjusted, noise: float) -> float:
    """The sum of the squared errors over the noise, each at most OUTLIER²; dropped observations count OUTLIER²."""
    square = np.minimum((adjusted.errors / noise) ** 2, OUTLIER**2)
    return float(square.sum() + OUTLIER**2 * (~adjusted.inliers).sum())


def _share(adjusted: Adjusted, numbers: IntArray) -> tuple[float, float]:
    """The share of a frame's time in which it is read, from a state adjusted with USUAL_SHARE, and its standard
    deviation.

    The speeds of the state and of the spline are compared by the displacements in pixels that they cause, since
    rotations and translations look alike in the picture. Both are smoothed over a few frames, since the spline does not
    know shorter changes.
    """
    tracks, state = adjusted.tracks, adjusted.state
    of_spline, of_state = (
        displacements_at_speeds(tracks, adjusted.lens, state, _smoothed(speeds), USUAL_SHARE)
        for speeds in (spline_speeds(tracks, numbers, state), state.speeds)
    )
    product, square = (
        np.bincount(tracks.camera, (of_spline * other).sum(axis=1), len(numbers)) for other in (of_state, of_spline)
    )
    inside = np.arange(len(SMOOTH) // 2, len(numbers) - len(SMOOTH) // 2)
    inside = inside[square[inside] > 0]
    if len(inside) < LEAST_FRAMES:
        return 0.0, np.inf
    each, square = product[inside] / square[inside], square[inside]
    ratio, weight = 0.0, square
    for _ in range(REWEIGHTINGS):
        ratio = float((weight * each).sum() / weight.sum())
        off = np.abs(each - ratio)
        weight = square * Cauchy(max(2 * float(np.median(off)), 1e-9)).weight(off)
    dependent = len(SMOOTH) / 2  # smoothed neighbours are not independent: about so many count as one
    spread = float(np.sqrt(dependent * (weight**2 * off**2).sum()) / weight.sum())
    return USUAL_SHARE * ratio, USUAL_SHARE * spread


def _smoothed(speeds: FloatArray) -> FloatArray:
    """(F, 6) the means of `speeds` with those of neighbouring frames, by the weights SMOOTH; wrong for the first and
    last few."""
    if len(speeds) < len(SMOOTH):
        return speeds
    return np.stack([np.convolve(axis, SMOOTH, "same") for axis in speeds.T], axis=1)


def possible_effect(adjusted: Adjusted, numbers: IntArray) -> str:
    """A sentence about the effect that a rolling shutter would have on this shot, for a shot in which none was
    estimated; empty where it would be small."""
    shift = displacements(adjusted.tracks, numbers, adjusted.lens, adjusted.state, USUAL_SHARE)
    worst = float(np.percentile(np.linalg.norm(shift, axis=1), 95)) if len(shift) else 0.0
    if worst < NOTICEABLE:
        return ""
    return (
        f" Its tracks show no rolling shutter; one that is read in half the time of a frame would move points by up to "
        f"{worst:.1f} px: enter its read-out time where you know it."
    )


def displacements(tracks: Tracks, numbers: IntArray, shot_lens: ShotLens, state: ShotState, share: float) -> FloatArray:
    """(M, 2) pixels from where the pose of the middle row shows each point to where the pose of the point's row does,
    along the spline through the frames' poses.

    `numbers` (F,) are those of the frames; `share` is the time from the first row to the last, in frames.
    """
    if not len(tracks):
        return np.zeros((0, 2))
    frames = np.unique(tracks.camera)
    moments = numbers[tracks.camera] + ReadOut(share, NO_SPEEDS).delays(tracks.pixels[:, 1], shot_lens.size[1])
    from_world, centres = _between(numbers[frames].astype(float), state, frames, moments)
    points = state.points[tracks.point]
    local = np.einsum("mij,mj->mi", from_world, points[:, :3] - points[:, 3:] * centres)
    return _moved(tracks, shot_lens, state, local)


def displacements_at_speeds(
    tracks: Tracks, shot_lens: ShotLens, state: ShotState, speeds: FloatArray, share: float
) -> FloatArray:
    """As `displacements`, but for `speeds` (F, 6) that are constant while a frame is read, see `ShotState.speeds`."""
    delays = ReadOut(share, speeds).delays(tracks.pixels[:, 1], shot_lens.size[1])
    return _moved(tracks, shot_lens, state, local_points(state, tracks, delays, speeds))


def _moved(tracks: Tracks, shot_lens: ShotLens, state: ShotState, local: FloatArray) -> FloatArray:
    """(M, 2) pixels from where the poses of the middle rows show the points to where they appear at `local` (M, 3) in
    the cameras' frames; 0 where either is behind the camera."""
    at_middle_rows = local_points(state, tracks, np.zeros(0), NO_SPEEDS)
    visible = np.minimum(local[:, 2], at_middle_rows[:, 2]) > NEAREST
    focal = shot_lens.focal * np.exp(state.lens[0] + state.log_zooms[tracks.camera])[:, None]
    ends = [
        focal
        * lens.distort(shot_lens.distortion(state.lens), each[:, :2] / np.where(visible, each[:, 2], 1.0)[:, None])
        for each in (local, at_middle_rows)
    ]
    off: FloatArray = np.where(visible[:, None], ends[0] - ends[1], 0.0)
    return off


def spline_speeds(tracks: Tracks, numbers: IntArray, state: ShotState) -> FloatArray:
    """(F, 6) the speeds of the spline through the frames that have tracks, as `ShotState.speeds`; 0 in other frames."""
    speeds, frames = np.zeros((len(numbers), 6)), np.unique(tracks.camera)
    times = numbers[frames].astype(float)
    ends = [_between(times, state, frames, times + step) for step in (STEP, -STEP)]
    turned = ends[0][0] @ ends[1][0].transpose(0, 2, 1)
    speeds[frames, :3] = rotations.to_vectors(turned) / (2 * STEP)
    moved = np.einsum("fij,fj->fi", state.rotations[frames], ends[0][1] - ends[1][1])
    speeds[frames, 3:] = -moved / (2 * STEP)
    return speeds


def _between(
    times: FloatArray, state: ShotState, frames: IntArray, moments: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Rotations (M, 3, 3), camera from world, and centres (M, 3) at the times `moments` (M,), on the spline through the
    poses of `frames` (K,) at `times` (K,). Times are in frames."""
    if len(times) < 2:
        return np.repeat(state.rotations[frames], len(moments), 0), np.repeat(state.centres[frames], len(moments), 0)
    # The rotation vectors from frame to frame are added up along the shot, and the spline goes through these sums. Its
    # difference from the sum at the nearest frame is the rotation from that frame on.
    steps = rotations.to_vectors(state.rotations[frames[1:]] @ state.rotations[frames[:-1]].transpose(0, 2, 1))
    accumulated = np.concatenate([np.zeros((1, 3)), steps.cumsum(axis=0)])
    path = np.concatenate([accumulated, state.centres[frames]], axis=1)
    nearest = np.clip(np.searchsorted((times[1:] + times[:-1]) / 2, moments), 0, len(times) - 1)
    there = cubic_spline.values_at(times, path, moments)
    update = rotations.from_vectors(there[:, :3] - accumulated[nearest])
    return update @ state.rotations[frames[nearest]], there[:, 3:]
