"""[R] Damped least squares, once for every problem: bundle adjustment, alignment, loop closure, single cameras.

Marquardt, "An Algorithm for Least-Squares Estimation of Nonlinear Parameters" (1963). The caller chooses the type of
the unknowns and does the linear algebra; `levenberg_marquardt` only asks for costs and steps. A robust loss enters
through both: the cost is the loss itself, and the step solves the reweighted squares (`robust_losses`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import TypeVar

from ..model.engine import Check, unchecked

Unknowns = TypeVar("Unknowns")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """`name` is the problem's, for the log. At most `trials` steps are tried, rejected ones included. The descent
    converges when an accepted step lowers the cost by less than the share `tolerance` of it.

    The damping starts at `first_damping`. It is multiplied by `raise_factor` after a rejected step and by
    `lower_factor` after an accepted one, but never falls below `least_damping`. The descent gives up when the damping
    exceeds `largest_damping`.
    """

    name: str
    trials: int = 30
    _: KW_ONLY
    tolerance: float = 1e-7
    first_damping: float = 1e-4
    least_damping: float = 1e-9
    largest_damping: float = 1e8
    raise_factor: float = 8.0
    lower_factor: float = 0.2


class Stop(Enum):
    """Why a descent ended."""

    CONVERGED = "the cost falls no further"
    NO_STEP = "no damped step lowers the cost"
    TRIALS = "the trials are spent"


@dataclass(frozen=True)
class Stats:
    """The number of `trials` and of the `accepted` steps among them, the cost `before` and `after` the descent, and the
    reason for the `stop`."""

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
    check: Check = unchecked,
) -> tuple[Unknowns, Stats]:
    """A local minimum of `cost` near `start`, and how the descent went. The result never costs more than the start.

    `linearise(x)` prepares the normal equations at x, once for all the dampings that are tried there. It returns a
    function that maps a damping to x after the step that solves

        (J^T W J + damping · D) step = -J^T W r,

    with the Jacobian J, the weights W, the residuals r, and D the diagonal of J^T W J or a substitute for it.

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
            damping *= options.raise_factor
            if damping > options.largest_damping:
                stop = Stop.NO_STEP
                break
            continue
        accepted += 1
        fall = (current - trial_cost) / current
        unknowns, current = trial, trial_cost
        damping = max(damping * options.lower_factor, options.least_damping)
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
