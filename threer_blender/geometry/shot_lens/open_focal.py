"""[R] The focal length of a camera that moves and zooms: how well its tracks tell it; a search where they hardly do.

A camera that moves away while it zooms in shows almost the same at other focal lengths: in a world stretched along its
line of sight, and turned less (Belhumeur et al., "The Bas-Relief Ambiguity", 1999). A descent stops anywhere in that
valley. So the focal length is held at several values, and a parabola through their costs shows where the least one is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...model.engine import Check, unchecked
from .. import rotations
from ..adjustment.shot_adjustment import Adjusted, zoom_held
from ..adjustment.shot_problem import Freedom, ShotProblem, ShotState
from .uncertainty import covariances, loss_scale_of, noise_of

OPEN = 0.005  # deviation of a focal length's logarithm from which on it is searched for, and the artist is told
STRIDE = 2.0  # deviations from one focal length to the next one that is tried
ENOUGH_TRIED = 10  # focal lengths: from there on, only the neighbours of the best one are still tried
TRIALS = 40  # of each descent
LEAST_W = 1e-3  # fourth coordinate of a homogeneous point: those with less are too far to choose the world's middle


def deviation(adjusted: Adjusted, frames: int, freedom: Freedom) -> float:
    """The standard deviation of the logarithm of the focal length, in the middle frame of `frames`: the larger one,
    whether errors of a track go together or not."""
    middle, state = frames // 2, _of_middle(adjusted.state, frames // 2)
    problem = _problem(adjusted, frames, freedom, middle)
    variances = covariances(problem, state, loss_scale_of(adjusted), (0,))
    return float(np.sqrt(max(each[0, 0] for each in variances)))


def searched(adjusted: Adjusted, frames: int, freedom: Freedom, check: Check = unchecked) -> Adjusted:
    """The adjustment at the focal length of least cost; as it came where that is held, or the tracks tell it."""
    spread = deviation(adjusted, frames, freedom)
    if adjusted.lens.spread[0] == 0 or spread <= OPEN:
        return adjusted
    step = STRIDE * spread
    middle, loss, held = frames // 2, loss_scale_of(adjusted), adjusted.lens.spread.copy()
    held[0] = 0.0
    state = _of_middle(adjusted.state, middle)
    begin = float(state.lens[0])
    problem = _problem(replace(adjusted, lens=replace(adjusted.lens, spread=held)), frames, freedom, middle)
    tried: dict[int, tuple[float, ShotState]] = {}

    def cost(steps: int) -> float:
        if steps not in tried:
            nearest = min(tried, key=lambda other: abs(other - steps), default=None)
            before = state if nearest is None else tried[nearest][1]
            there = stretched(before, begin + steps * step - float(before.lens[0]))
            there = problem.descend(there, loss, check, TRIALS)
            tried[steps] = problem.cost(there, loss), there
        return tried[steps][0]

    lowest = min((0, 1, -1), key=cost)
    while len(tried) < ENOUGH_TRIED and min(cost(lowest - 1), cost(lowest + 1)) < cost(lowest):
        lowest = min((lowest - 1, lowest + 1), key=cost)
    before, here, after = (cost(lowest + side) for side in (-1, 0, 1))
    curvature = before - 2 * here + after
    share = float(np.clip((before - after) / (2 * curvature), -1, 1)) if curvature > 0 else 0.0
    best = problem.descend(stretched(tried[lowest][1], share * step), loss, check, TRIALS)
    if problem.cost(best, loss) > here + problem.noise**2:  # a descent may stop that far above its minimum
        best = tried[lowest][1]
    return replace(adjusted, state=best, errors=problem.errors(best))


def sentence(spread: float) -> str:
    """A sentence where tracks leave a focal length open; `spread` is the deviation of its logarithm."""
    if spread < OPEN:
        return ""
    return (
        f" Its tracks leave the focal length open by ± {spread:.1%}, and with it how far the camera moves: enter the "
        "focal length where it is known."
    )


def stretched(state: ShotState, amount: float) -> ShotState:
    """The state with a focal length that is exp(`amount`) times as long, and almost the same pictures: the world is
    stretched along the mean line of sight, and turns across it are smaller."""
    factor = np.exp(amount)
    axes = rotations.nearest(state.rotations.sum(axis=0))  # of the mean view, from world
    vectors = rotations.to_vectors(state.rotations @ axes.T) / np.array([factor, factor, 1.0])
    stretch = axes.T @ np.diag([1.0, 1.0, factor]) @ axes
    near = state.points[:, 3] > LEAST_W
    middle = np.median(state.points[near, :3] / state.points[near, 3:], axis=0) if near.any() else np.zeros(3)
    points = state.points.copy()
    points[:, :3] = (points[:, :3] - points[:, 3:] * middle) @ stretch + points[:, 3:] * middle
    values = state.lens.copy()
    values[0] += amount
    return replace(
        state,
        rotations=rotations.from_vectors(vectors) @ axes,
        centres=(state.centres - middle) @ stretch + middle,
        lens=values,
        points=points / np.linalg.norm(points, axis=1, keepdims=True),
    )


def _of_middle(state: ShotState, middle: int) -> ShotState:
    """The same state, with the lens' focal length as the middle frame has it."""
    values, zoom = state.lens.copy(), float(state.log_zooms[middle])
    values[0] += zoom
    return replace(state, log_zooms=state.log_zooms - zoom, lens=values)


def _problem(adjusted: Adjusted, frames: int, freedom: Freedom, middle: int) -> ShotProblem:
    """The problem of the tracks that fit, the lens' focal length being the middle frame's."""
    held = replace(freedom, priors=freedom.priors.joined(zoom_held(middle)))
    return ShotProblem(adjusted.tracks, frames, adjusted.lens, held, noise_of(adjusted))
