"""The weight of each robust loss is the one that its cost implies."""

import numpy as np
import pytest

from threer_blender.geometry.robust_losses import Cauchy, GemanMcClure, Loss, Power

LENGTHS = np.geomspace(1e-2, 1e2, 30)


@pytest.mark.parametrize("loss", [Cauchy(0.7), GemanMcClure(2.0), Power(1.0, 1e-6), Power(1.5, 1e-6)])
def test_weight_is_the_costs_derivative_over_the_length(loss: Loss) -> None:
    step = 1e-6 * LENGTHS
    slope = (loss.cost(LENGTHS + step) - loss.cost(LENGTHS - step)) / (2 * step)
    np.testing.assert_allclose(loss.weight(LENGTHS), slope / LENGTHS, rtol=1e-6)


@pytest.mark.parametrize("loss", [Cauchy(3.0), GemanMcClure(3.0)])
def test_small_residuals_count_as_squares(loss: Loss) -> None:
    small = np.array([0.0, 1e-4])
    np.testing.assert_allclose(loss.cost(small), small**2 / 2, rtol=1e-6)
    np.testing.assert_allclose(loss.weight(small), 1, rtol=1e-6)


def test_far_residuals_cost_geman_and_mcclure_no_more_than_a_bound() -> None:
    assert GemanMcClure(2.0).cost(np.array([1e9])) == pytest.approx(2.0)
