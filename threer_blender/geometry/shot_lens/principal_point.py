"""[R] The principal point of a shot: do its tracks tell that it is off the picture's middle?

Tracks often tell it badly. Then the slips of a few tracks move it by a pixel or two, and turn all cameras with it. So
it is a free unknown only where the tracks clearly tell that it is elsewhere: where its squared distance from the
middle, in standard deviations, exceeds what two more unknowns cost in the Bayesian information criterion (Schwarz,
"Estimating the Dimension of a Model", 1978), each track being one observation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..adjustment.shot_adjustment import Adjusted
from ..adjustment.shot_problem import LENS_CENTRE, Freedom, ShotLens, ShotProblem, ShotState
from .uncertainty import covariances, loss_scale_of, noise_of

FREE = 1.0  # of the longer side: standard deviation of a principal point of which nothing is known
SENTENCE = (
    " The principal point is held in the middle of the picture, since the tracks do not tell that it is elsewhere."
)


def may_be_the_middle(adjusted: Adjusted, frames: int, freedom: Freedom) -> bool:
    """Whether the principal point was solved, and the tracks do not tell that it is not the picture's middle."""
    if not adjusted.lens.spread[LENS_CENTRE].all():
        return False
    spread, size = adjusted.lens.spread.copy(), np.array(adjusted.lens.size)
    spread[LENS_CENTRE] = FREE * size.max()
    shot_lens = replace(adjusted.lens, spread=spread)
    problem = ShotProblem(adjusted.tracks, frames, shot_lens, freedom, noise_of(adjusted))
    off = adjusted.state.lens[LENS_CENTRE] - size / 2
    # Two covariances: errors independent, or common to a track. The point is elsewhere only where both say so.
    squares = [  # unknowns 1 and 2 are LENS_CENTRE
        float(off @ np.linalg.solve(covariance, off))
        for covariance in covariances(problem, adjusted.state, loss_scale_of(adjusted), (1, 2))
    ]
    return min(squares) <= len(off) * np.log(max(len(adjusted.tracks), 2))


def held_in_the_middle(shot_lens: ShotLens, state: ShotState) -> tuple[ShotLens, ShotState]:
    """The lens with a principal point that is held in the picture's middle, and the state with that one."""
    start, spread, values = shot_lens.start.copy(), shot_lens.spread.copy(), state.lens.copy()
    start[LENS_CENTRE] = values[LENS_CENTRE] = np.array(shot_lens.size) / 2
    spread[LENS_CENTRE] = 0.0
    return replace(shot_lens, start=start, spread=spread), replace(state, lens=values)
