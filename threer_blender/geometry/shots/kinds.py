"""[R] Stage 2 of solving a shot: does its camera move, or only turn, and does it zoom?

Three models are fitted to the matches between frames some way apart: a camera that only rotates; one that rotates and
has a focal length for each frame; and one that moves, of which only epipolar geometry is asked. They are compared by
the geometric robust information criterion (Torr, "Bayesian Model Estimation and Selection for Epipolar Geometry and
Generic Manifold Fitting", 2002): the squared errors over the noise, plus log 4 for each dimension of the manifold of
possible matches, plus log 4n for each parameter of the model, n being the number of matches. The lowest sum wins. A
match that a model does not explain costs the same in each, so that moving objects do not decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...model import lens
from ...model.arrays import Array, FloatArray
from ...model.engine import Check, unchecked
from ..adjustment.banded import NO_PRIORS
from ..adjustment.shot_adjustment import MOVING_ZOOM_SPREAD, Adjusted, adjust, smooth_zoom, zoom_held
from ..adjustment.shot_problem import NOISE, Freedom, ShotLens, ShotProblem, ShotState
from ..adjustment.tracks import Tracks
from ..colmap import pycolmap
from . import rotating

COMPARED = 30  # frames from which the kind is chosen, evenly over the shot
GROUPS = 3  # of frames close together, from which it is chosen where tracks are shorter than the even steps
STEPS = (1, 2, 4, 8)  # how many of these frames apart the two of a pair are
LEAST_MATCHES = 30  # of a pair
EPIPOLAR_PARAMETERS = 7  # of a pair of frames
ROTATION_PARAMETERS, ZOOM_PARAMETERS = 3, 1  # of a frame
UNEXPLAINED_COST = 4.0 + 2 * np.log(4)  # of an unexplained match: Torr's 2 (4 - d) + d log 4 for the dimension d = 2
SEED = 1
STILL = 1e-3  # of the longer side: if most points move by less in the whole shot, the camera stands still
WRONG_FOCAL = 1.1  # factor of the focal lengths that are tried, to see whether the tracks determine it
OBSERVABLE = 9.0  # squares of the noise: the tracks determine a focal length where WRONG_FOCAL costs that much more
LOSS_OVER_NOISE = 3.0  # the scale of the robust loss
LEAST_ZOOM = 1.02  # of a moving camera; a smaller factor is lens breathing, or the effect of a rolling shutter
LEAST_CORNER_SHIFT = 0.5  # px at the picture's corners; a camera that only turns and zooms by less is taken as turning
LABELS = {"free": "a move", "nodal": "turning alone", "zoom": "turning and zooming"}


@dataclass(frozen=True)
class Kind:
    """Whether the camera `translates`, and the `reason` in a sentence or two.

    `turning` is the camera that explains the COMPARED frames best without translation, and `turning_zooms` says whether
    that one zooms. `focal_observable` says whether the frames determine its focal length.
    """

    translates: bool
    reason: str
    turning: Adjusted
    turning_zooms: bool
    focal_observable: bool


def is_still(tracks: Tracks, frames: int, size: tuple[int, int]) -> bool:
    """Whether the camera stands still: most of the long tracks stay where they are in the picture. Long tracks are
    those in half of the `frames` or more, or the longest ones. `size` is the picture's width and height in pixels."""
    least, largest = np.full((len(tracks), 2), np.inf), np.full((len(tracks), 2), -np.inf)
    np.minimum.at(least, tracks.point, tracks.pixels)
    np.maximum.at(largest, tracks.point, tracks.pixels)
    extent = np.linalg.norm(largest - least, axis=1)
    frame_count = np.bincount(tracks.point, minlength=len(tracks))
    long = frame_count >= min(frames // 2, frame_count.max(initial=0))
    return bool(len(tracks)) and float(np.median(extent[long])) < STILL * max(size)


def median_places(tracks: Tracks) -> FloatArray:
    """(P, 2) the median x and the median y of each track, in pixels."""
    begins = np.searchsorted(tracks.point, np.arange(len(tracks) + 1))
    middles = (begins[:-1] + begins[1:] - 1) / 2
    columns = []
    for values in tracks.pixels.T:
        rising = values[np.lexsort((values, tracks.point))]
        columns.append((rising[np.floor(middles).astype(int)] + rising[np.ceil(middles).astype(int)]) / 2)
    return np.stack(columns, axis=1)


def choose(tracks: Tracks, numbers: Array, shot_lens: ShotLens, focal_known: bool, check: Check = unchecked) -> Kind:
    """The kind of the shot whose frames have these `numbers` (F,).

    `shot_lens` is the lens to start from; with `focal_known`, its focal length is not searched. Some pairs of frames
    must have matches. `check()` is called now and then and may raise.
    """
    frames = _compared(tracks, np.arange(len(numbers)))
    some = rotating.among(tracks, frames)
    fixed, zooming = (_turning(some, numbers[frames], shot_lens, zooms, focal_known, check) for zooms in (False, True))
    pairs = _pairs(some, len(frames))
    epipolar, noise = _epipolar(some, pairs, NOISE * max(shot_lens.size))
    matches = sum(len(first) for _, _, first, _ in pairs)
    parameter_cost = np.log(4 * max(matches, 1))
    rotations_cost, zooms_cost = (n * len(frames) * parameter_cost for n in (ROTATION_PARAMETERS, ZOOM_PARAMETERS))
    scores = {
        "free": score(epipolar, noise, 3) + EPIPOLAR_PARAMETERS * len(pairs) * parameter_cost,
        "nodal": score(_transfer(some, pairs, fixed), noise, 2) + rotations_cost,
        "zoom": score(_transfer(some, pairs, zooming), noise, 2) + rotations_cost + zooms_cost,
    }
    corner_shift = np.expm1(np.ptp(zooming.state.log_zooms)) * np.hypot(*shot_lens.size) / 2
    zooms = scores["zoom"] < scores["nodal"] and bool(corner_shift > LEAST_CORNER_SHIFT)
    best = min(scores, key=lambda name: scores[name])
    if best == "zoom" and not zooms:
        best = "nodal"
    turning = zooming if zooms else fixed
    focal_observable = focal_known or _is_focal_observable(turning, zooms, numbers[frames], noise)
    median = {"nodal": float(np.median(fixed.errors)), "zoom": float(np.median(zooming.errors))}
    reason = _reason(best, scores, median, turning, focal_observable)
    return Kind(best == "free", reason, turning, zooms, focal_observable)


def _reason(
    best: str, scores: Mapping[str, float], median: Mapping[str, float], turning: Adjusted, focal_observable: bool
) -> str:
    """The reason for the kind `best` in a sentence or two, by the criterion's `scores` and the `median` errors in
    pixels."""
    others = ", ".join(f"{LABELS[name]} {score:.0f}" for name, score in scores.items() if name != best)
    compared = f"(information criterion {scores[best]:.0f}; {others})"
    if best == "free":
        without = min(median.values())
        left = f"a median error of {without:.2f} px {compared}"
        return f"The camera moves: one that only turns and zooms would leave {left}."
    sentence = (
        f"The camera only turns: that explains the points to {median[best]:.2f} px, and nothing is left for a move "
        f"{compared}."
    )
    if best == "zoom":
        zoom_factor = float(np.exp(np.ptp(turning.state.log_zooms)))
        sentence = (
            f"The camera only turns and zooms, by a factor of {zoom_factor:.2f}: that explains the points to "
            f"{median[best]:.2f} px, turning alone to {median['nodal']:.2f} px, and nothing is left for a move "
            f"{compared}."
        )
    elif scores["zoom"] < scores["nodal"]:
        sentence += (
            " Its focal length changes by so little that no corner shifts by half a pixel: it is taken as fixed."
        )
    if not focal_observable:
        sentence += (
            " It turns too little to tell its focal length, which is a guess; enter the focal length where it is known."
        )
    return sentence


def choose_zoom(
    tracks: Tracks, numbers: Array, shot_lens: ShotLens, state: ShotState, lens_known: bool, check: Check = unchecked
) -> tuple[bool, str]:
    """Whether a camera that moves also zooms, and a sentence with the reason.

    Some of the frames in the tracks are adjusted from `state` with and without a zoom, and the same criterion compares
    the errors. With `lens_known`, the camera does not zoom.
    """
    if lens_known:
        return False, "The lens is known and stays as it is."
    frames = _compared(tracks, np.unique(tracks.camera))
    some, start = rotating.among_with_state(tracks, state, frames)
    without = replace(start, log_zooms=np.zeros(len(frames)))
    fixed, zooming = (
        adjust(some, len(frames), shot_lens, moving_freedom(numbers[frames], zooms), begin, check)
        for zooms, begin in ((False, without), (True, start))
    )
    noise = max(NOISE * max(shot_lens.size), float(np.median(zooming.errors)))
    scores = [
        float(np.minimum((each.errors / noise) ** 2, UNEXPLAINED_COST).sum() + UNEXPLAINED_COST * (~each.inliers).sum())
        for each in (fixed, zooming)
    ]
    scores[1] += ZOOM_PARAMETERS * len(frames) * np.log(4 * len(some.point))
    zoom_factor = float(np.exp(np.ptp(zooming.state.log_zooms)))
    fixed_error, zooming_error = (float(np.median(each.errors)) for each in (fixed, zooming))
    compared = f"(information criterion {min(scores):.0f} against {max(scores):.0f})"
    if scores[1] < scores[0] and zoom_factor > LEAST_ZOOM:
        return True, (
            f"It zooms as well, by a factor of {zoom_factor:.2f}: that leaves {zooming_error:.2f} px, a fixed focal "
            f"length {fixed_error:.2f} px {compared}."
        )
    if scores[1] < scores[0]:
        return False, f"Its focal length hardly changes, by a factor of {zoom_factor:.3f}: it is taken as fixed."
    return False, f"Its focal length does not change: that leaves {fixed_error:.2f} px {compared}."


def _compared(tracks: Tracks, frames: Array) -> Array:
    """About COMPARED of the `frames` (F,), ascending: spread evenly, or in GROUPS that are so dense that LEAST_MATCHES
    tracks lead from one frame to the next."""
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, COMPARED).round().astype(int))]
    spacing, steps = max(1, len(frames) // COMPARED), np.arange(COMPARED // GROUPS)
    while spacing > 1 and _leading_on(tracks, chosen) < LEAST_MATCHES:
        spacing = (spacing + 1) // 2
        begins = np.linspace(0, len(frames) - 1 - spacing * steps[-1], GROUPS).round().astype(int)
        chosen = frames[np.unique(begins[:, None] + spacing * steps)]
    return chosen


def _leading_on(tracks: Tracks, frames: Array) -> float:
    """The number of tracks that lead from one of the `frames` to the next: the median of all these steps."""
    some = rotating.among(tracks, frames)
    leads = (np.diff(some.point) == 0) & (np.diff(some.camera) == 1)
    return float(np.median(np.bincount(some.camera[1:][leads], minlength=len(frames))[1:])) if len(frames) > 1 else 0.0


def moving_freedom(numbers: Array, zooms: bool) -> Freedom:
    """The unknowns of the frames of a shot whose camera translates."""
    priors = smooth_zoom(numbers, MOVING_ZOOM_SPREAD) if zooms else NO_PRIORS
    return Freedom(translates=True, zooms=zooms, priors=priors)


def _turning(
    tracks: Tracks, numbers: Array, shot_lens: ShotLens, zooms: bool, focal_known: bool, check: Check
) -> Adjusted:
    """The camera that explains the tracks best by turning, and by zooming if `zooms`."""
    state, shot_lens = rotating.start(tracks, len(numbers), shot_lens, zooms, focal_known, check)
    freedom = turning_freedom(numbers, zooms)
    return adjust(tracks, len(numbers), shot_lens, freedom, state, check)


def turning_freedom(numbers: Array, zooms: bool) -> Freedom:
    """The unknowns of the frames of a shot whose camera only turns."""
    return Freedom(translates=False, zooms=zooms, priors=smooth_zoom(numbers) if zooms else NO_PRIORS)


def _pairs(tracks: Tracks, frames: int) -> list[tuple[int, int, Array, Array]]:
    """The pairs of `frames` frames to compare: the two frames, and (M,) the observations in each that show the same
    points."""
    by_frame = [np.flatnonzero(tracks.camera == frame) for frame in range(frames)]
    pairs = []
    for step in STEPS:
        for first in range(frames - step):
            here, there = rotating.shared(tracks, by_frame[first], by_frame[first + step])
            if len(here) >= LEAST_MATCHES:
                pairs.append((first, first + step, here, there))
    return pairs


def _epipolar(tracks: Tracks, pairs: list[tuple[int, int, Array, Array]], least: float) -> tuple[FloatArray, float]:
    """Sampson's distances of the matches of all pairs from the pair's epipolar geometry, in pixels; and the noise,
    which is the lower quartile of the pairs' standard deviations, at least `least`."""
    options = pycolmap.RANSACOptions()
    options.random_seed, options.max_error = SEED, 20 * least
    options.min_num_trials, options.max_num_trials = 50, 500
    errors, noise = [np.empty(0)], []
    for _, _, first, second in pairs:
        source, target = tracks.pixels[first], tracks.pixels[second]
        estimate = pycolmap.estimate_fundamental_matrix(source, target, options)
        off = np.full(len(source), np.inf) if estimate is None else _sampson(estimate["F"], source, target)
        errors.append(off)
        noise.append(1.4826 * float(np.median(off)))  # the standard deviation of normal errors
    return np.concatenate(errors), max(least, float(np.quantile(noise, 0.25)) if noise else least)


def _sampson(matrix: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """(M,) Sampson's distances in pixels of matches from the fundamental `matrix` (3, 3) (Hartley & Zisserman, Multiple
    View Geometry, 2nd edition, equation 11.9)."""
    x, y = (np.column_stack([places, np.ones(len(places))]) for places in (first, second))
    line_second, line_first = x @ matrix.T, y @ matrix
    slope = (line_second[:, :2] ** 2).sum(axis=1) + (line_first[:, :2] ** 2).sum(axis=1)
    distance: FloatArray = np.abs((y * line_second).sum(axis=1)) / np.sqrt(np.maximum(slope, 1e-30))
    return distance


def _transfer(tracks: Tracks, pairs: list[tuple[int, int, Array, Array]], turning: Adjusted) -> FloatArray:
    """(M,) the distances in pixels of the matches of all pairs from the manifold of a rotation.

    That is the distance from a pixel of the second frame to its rotated match, over √(1 + s²): errors in the first
    frame are magnified by the factor s of a zoom.
    """
    state, shot_lens = turning.state, turning.lens
    focals = shot_lens.focal * np.exp(state.lens[0] + state.log_zooms)[:, None]
    distortion, centre = shot_lens.distortion(state.lens), state.lens[1:3]
    plane = lens.undistort(distortion, (tracks.pixels - centre) / focals[tracks.camera])
    rays = np.concatenate([plane, np.ones((len(plane), 1))], axis=1)
    errors = [np.empty(0)]
    for here, there, first, second in pairs:
        local = rays[first] @ (state.rotations[there] @ state.rotations[here].T).T
        ideal = local[:, :2] / np.where(local[:, 2:] > 1e-9, local[:, 2:], np.nan)
        off = lens.distort(distortion, ideal) * focals[there] + centre - tracks.pixels[second]
        scale = float(focals[there, 0] / focals[here, 0])  # s
        errors.append(np.nan_to_num(np.linalg.norm(off, axis=1) / np.sqrt(1 + scale**2), nan=np.inf))
    return np.concatenate(errors)


def score(errors: FloatArray, noise: float, dimension: int) -> float:
    """The criterion's sum over M matches, without the model's parameters. `errors` (M,) are the distances in pixels
    from a manifold of this `dimension` among the four coordinates of a match."""
    return float(np.minimum((errors / noise) ** 2 + dimension * np.log(4), UNEXPLAINED_COST).sum())


def _is_focal_observable(turning: Adjusted, zooms: bool, numbers: Array, noise: float) -> bool:
    """Whether the frames determine the focal length: wrong ones explain the points noticeably worse."""
    middle = len(numbers) // 2
    freedom = turning_freedom(numbers, zooms)
    if zooms:  # or the frames' own focal lengths would compensate for the lens'
        freedom = replace(freedom, priors=freedom.priors.joined(zoom_held(middle)))

    def cost(factor: float) -> float:
        state, shot_lens = turning.state, turning.lens
        focal = shot_lens.focal * np.exp(state.lens[0] + state.log_zooms[middle]) * factor
        values, spread = state.lens.copy(), shot_lens.spread.copy()
        values[0] = spread[0] = 0.0
        held = replace(shot_lens, focal=focal, start=values, spread=spread)
        problem = ShotProblem(turning.tracks, len(numbers), held, freedom)
        start = replace(state, lens=values, log_zooms=state.log_zooms - state.log_zooms[middle])
        return problem.cost(problem.descend(start, LOSS_OVER_NOISE * noise, trials=10), LOSS_OVER_NOISE * noise)

    return min(cost(WRONG_FOCAL), cost(1 / WRONG_FOCAL)) - cost(1.0) > OBSERVABLE * noise**2
