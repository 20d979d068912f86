"""[R] Damped least squares, once for every problem: bundle adjustment, alignment, loops, single cameras. stdlib only.

Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters" (1963). The unknowns are whatever the
caller makes them, and so is the linear algebra: the loop only asks for costs and steps. Robust losses come in through
both, see `robust_losses`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

Unknowns = TypeVar("Unknowns")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """`name` of the problem, for the log. `trials` of a step at most, rejected ones included. The descent ends where
    an accepted step lowers the cost by less than the share `tolerance`.

    The damping starts at `first_damping`, is multiplied by `raised` after a rejected step and by `lowered` after an
    accepted one, and stays above `least_damping`; beyond `largest_damping` no step helps.
    """

    name: str
    trials: int = 30
    tolerance: float = 1e-7
    first_damping: float = 1e-4
    least_damping: float = 1e-9
    largest_damping: float = 1e8
    raised: float = 8.0
    lowered: float = 0.2


class Stop(Enum):
    """Why a descent ended."""

    CONVERGED = "the cost falls no further"
    NO_STEP = "no damped step lowers the cost"
    TRIALS = "the trials are spent"


@dataclass(frozen=True)
class Stats:
    """`accepted` steps of `trials`, the cost `before` and `after`, and why the descent stopped."""

    accepted: int
    trials: int
    before: float
    after: float
    stop: Stop


def levenberg_marquardt(
    start: Unknowns,
    cost: Callable[[Unknowns], float],
    linearise: Callable[[Unknowns], Callable[[float], Unknowns]],
    options: Options,
    check: Callable[[], None] = lambda: None,
) -> tuple[Unknowns, Stats]:
    """The unknowns at the bottom of the valley that `start` lies in; their cost is never above the start's.

    `cost(x)` is what is minimised. `linearise(x)` prepares the normal equations at x, once for all the dampings that
    are tried there, and returns a function: damping -> x after the step that solves

        (J^T W J + damping · D) step = -J^T W r,      D the diagonal of J^T W J, or what takes its place.

    `check()` is called before each trial and may raise. The statistics are logged.
    """
    unknowns, before = start, cost(start)
    current, damping = before, options.first_damping
    step = linearise(unknowns)
    accepted, trials, stop = 0, 0, Stop.TRIALS
    while trials < options.trials:
        if current == 0:
            stop = Stop.CONVERGED
            break
        check()
        trials += 1
        trial = step(damping)
        trial_cost = cost(trial)
        if not trial_cost < current:  # worse, or not a number
            damping *= options.raised
            if damping > options.largest_damping:
                stop = Stop.NO_STEP
                break
            continue
        accepted += 1
        fall = (current - trial_cost) / current
        unknowns, current = trial, trial_cost
        damping = max(damping * options.lowered, options.least_damping)
        if fall < options.tolerance:
            stop = Stop.CONVERGED
            break
        if trials < options.trials:
            step = linearise(unknowns)
    stats = Stats(accepted, trials, before, current, stop)
    _log.info(
        "%s: %d steps of %d trials, cost %.6g to %.6g; %s", options.name, accepted, trials, before, current, stop.value
    )
    return unknowns, stats
