"""[R] Key cameras of a moving shot from its tracks alone, for shots in which an engine of photos finds too little
parallax.

A camera that moves away while it zooms in leaves the middle of the picture as it is, so its frames look like photos
from one spot. The solution begins with two frames whose matches no homography explains (Nistér, "An Efficient Solution
to the Five-Point Relative Pose Problem", 2004), and with each of a few focal lengths. The other frames are posed one
after the other, and each may have a focal length of its own. The solution that explains the tracks best is taken.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ...model.arrays import FloatArray, IntArray
from ...model.engine import Check, unchecked
from ...model.reconstruction import Camera
from ..adjustment.shot_adjustment import adjust, split_long
from ..adjustment.shot_problem import NOISE
from ..adjustment.tracks import Tracks
from ..colmap import pycolmap
from . import kinds, moving, rotating
from .solver import camera, in_frames
from .tracking import ShotTracks

KEY_COUNT = 24  # frames, evenly over the shot, that become key frames
FIRST_KEYS = 8  # keys, evenly over the shot, that are tried as the first of the initial pair
KEY_STEPS = (2, 4, 7)  # how many keys after the first one of the initial pair the second one is
LEAST_MATCHES = 60  # of the initial pair; a solution needs as many points
FOCALS = (0.6, 0.9, 1.3, 2.0, 3.0)  # times the longer side: focal lengths that are tried
# Standard deviations of the logarithm of the focal length, of both coordinates of the principal point (shares of the
# longer side), and of every distortion term.
SPREAD = (1.0, 0.005, 0.005, 0.1)
RANSAC_ERROR = 1e-3  # of the longer side
USUAL_OBSERVATIONS = 4000  # of the tracks; where there are more, only a part of the points is used
ROUNDS = 3  # of posing and adjusting all frames again: lost frames come back, and focal lengths converge slowly


def keys(shot: ShotTracks, focal: float | None, check: Check = unchecked) -> dict[int, Camera]:
    """The key cameras by frame number, in an arbitrary world; none where no pair of frames determines them. `focal` is
    the known focal length in pixels, if there is one.

    `check()` is called now and then and may raise.
    """
    frames = np.unique(np.linspace(0, len(shot.numbers) - 1, KEY_COUNT).round().astype(int))
    tracks, numbers = rotating.among(split_long(shot.tracks), frames), shot.numbers[frames]
    tracks = tracks.only(tracks.point % -(-len(tracks.point) // USUAL_OBSERVATIONS) == 0)
    pair = _pair(tracks, len(frames), max(shot.size))
    if pair is None:
        return {}
    solutions = []
    for tried_focal in [factor * max(shot.size) for factor in FOCALS] if focal is None else [focal]:
        cost, cameras = 0.0, _first_cameras(tracks, numbers, pair, tried_focal, shot.size)
        for _ in range(ROUNDS):
            cost, cameras = _posed_and_adjusted(tracks, numbers, cameras, shot.size, check)
        solutions.append((cost, cameras))
    least_cost, best = min(solutions, key=lambda solution: solution[0])
    for _ in range(ROUNDS):
        cost, cameras = _posed_and_adjusted(tracks, numbers, best, shot.size, check)
        least_cost, best = (cost, cameras) if cost < least_cost else (least_cost, best)
    return best


def _matches(tracks: Tracks, first: int, second: int) -> tuple[FloatArray, FloatArray]:
    """The pixels (N, 2) in the `first` and in the `second` frame of the points that both show."""
    here, there = rotating.shared(tracks, *(np.flatnonzero(tracks.camera == frame) for frame in (first, second)))
    return tracks.pixels[here], tracks.pixels[there]


def _pair(tracks: Tracks, frames: int, longer: int) -> tuple[int, int] | None:
    """The two frames with the largest median error of a homography, times the root of the number of matches; None where
    no two frames have LEAST_MATCHES. `longer` is the picture's longer side in pixels."""
    options = _ransac(longer)
    best: tuple[float, tuple[int, int]] | None = None
    for first in np.unique(np.linspace(0, frames - 1, FIRST_KEYS).astype(int)).tolist():
        for second in (first + step for step in KEY_STEPS if first + step < frames):
            source, target = _matches(tracks, first, second)
            if len(source) < LEAST_MATCHES:
                continue
            estimate = pycolmap.estimate_homography_matrix(source, target, options)
            if estimate is None:
                continue
            mapped = np.column_stack([source, np.ones(len(source))]) @ estimate["H"].T
            errors = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - target, axis=1)
            score = float(np.median(errors) * np.sqrt(len(source)))
            if best is None or score > best[0]:
                best = score, (first, second)
    return None if best is None else best[1]


def _ransac(longer: int) -> pycolmap.RANSACOptions:
    options = pycolmap.RANSACOptions()
    options.random_seed, options.max_error = kinds.SEED, RANSAC_ERROR * longer
    return options


def _first_cameras(
    tracks: Tracks, numbers: IntArray, pair: tuple[int, int], focal: float, size: tuple[int, int]
) -> dict[int, Camera]:
    """The cameras of the two frames of `pair`, by frame number, the first one at the origin; empty where no essential
    matrix explains the matches."""
    width, height = size
    lens = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", focal, width, height)
    estimate = pycolmap.estimate_essential_matrix(*_matches(tracks, *pair), lens, lens, _ransac(max(size)))
    if estimate is None:
        return {}
    second_from_first = np.eye(4)
    second_from_first[:3] = estimate["cam2_from_cam1"].matrix()
    first = Camera("", width, height, focal, focal, width / 2, height / 2, np.eye(4))
    second = replace(first, world_from_camera=np.linalg.inv(second_from_first))
    return {int(numbers[frame]): camera for frame, camera in zip(pair, (first, second), strict=True)}


def _posed_and_adjusted(
    tracks: Tracks, numbers: IntArray, initial: dict[int, Camera], size: tuple[int, int], check: Check
) -> tuple[float, dict[int, Camera]]:
    """All frames posed from the cameras `initial` and adjusted: the cost of the tracks, infinite where that fails, and
    the cameras by frame number."""
    if len(initial) < 2:
        return math.inf, {}
    spread = np.array(SPREAD) * np.array([1.0, max(size), max(size), 1.0])
    state, lens, posed = moving.start(tracks, numbers, initial, spread, check)
    some, state = in_frames(tracks, state, posed)
    if len(some) < LEAST_MATCHES:
        return math.inf, {}
    middle = np.array([0.0, size[0] / 2, size[1] / 2, *len(lens.start[3:]) * [0.0]])
    # The lens is drawn to this in each round, or it would drift: the principal point in the middle, no distortion.
    lens = replace(lens, start=middle)
    adjusted = adjust(some, len(numbers), lens, kinds.moving_freedom(numbers, True), state, check)
    costs = np.minimum((adjusted.errors / (NOISE * max(size))) ** 2, kinds.UNEXPLAINED_COST)
    missing = len(tracks.point) - len(costs)
    frames = np.unique(adjusted.tracks.camera).tolist()
    cameras = {int(numbers[frame]): camera(adjusted, frame, size, 0.0) for frame in frames}
    prior_costs = ((adjusted.state.lens - middle) / lens.spread)[1:] ** 2
    return float(costs.sum() + prior_costs.sum()) + kinds.UNEXPLAINED_COST * missing, cameras
