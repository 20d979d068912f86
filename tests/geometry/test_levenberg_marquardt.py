"""Damped least squares on problems whose answers are known."""

import logging
from collections.abc import Callable

import numpy as np
import pytest

from threer_blender.geometry.levenberg_marquardt import Options, Stop, levenberg_marquardt
from threer_blender.model.arrays import FloatArray


def rosenbrock(x: FloatArray) -> FloatArray:
    """Residuals of the banana valley; both are 0 at (1, 1) only."""
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def cost(x: FloatArray) -> float:
    return float(0.5 * (rosenbrock(x) ** 2).sum())


def linearise(x: FloatArray) -> Callable[[float], FloatArray]:
    jacobian = np.array([[-20 * x[0], 10], [-1, 0]])
    normal, gradient = jacobian.T @ jacobian, jacobian.T @ rosenbrock(x)
    return lambda damping: x - np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)


def test_it_goes_down_a_bent_valley_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        x, stats = levenberg_marquardt(np.array([-1.2, 1.0]), cost, linearise, Options("banana", 100))
    np.testing.assert_allclose(x, (1, 1), atol=1e-6)
    assert stats.before == pytest.approx(12.1)
    assert stats.after < 1e-12
    assert stats.accepted <= stats.trials < 100
    assert stats.stop is not Stop.TRIALS
    assert "banana" in caplog.text
    assert stats.stop.value in caplog.text


def test_it_stops_when_the_trials_are_spent_and_is_never_worse_than_the_start() -> None:
    costs = []
    for trials in range(12):
        x, stats = levenberg_marquardt(np.array([-1.2, 1.0]), cost, linearise, Options("banana", trials))
        assert stats.trials == trials
        assert stats.stop is Stop.TRIALS
        assert stats.after == cost(x)
        costs.append(stats.after)
    assert costs == sorted(costs, reverse=True)


def test_a_step_that_never_helps_is_given_up() -> None:
    x, stats = levenberg_marquardt(1.0, lambda x: x, lambda _x: lambda _damping: float("nan"), Options("stuck", 1000))
    assert x == 1.0
    assert stats.stop is Stop.NO_STEP
    assert stats.accepted == 0


def test_the_bottom_needs_no_step() -> None:
    _, stats = levenberg_marquardt(np.ones(2), cost, linearise, Options("at the bottom"))
    assert (stats.trials, stats.stop) == (0, Stop.CONVERGED)


def test_the_caller_may_end_it_between_trials() -> None:
    def check() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        levenberg_marquardt(np.array([-1.2, 1.0]), cost, linearise, Options("cancelled"), check)
