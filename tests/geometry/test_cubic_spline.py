"""The cubic spline, against polynomials that it must reproduce."""

import numpy as np

from threer_blender.geometry import cubic_spline

TIMES = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 8.0])
MOMENTS = np.linspace(-0.5, 8.5, 40)


def test_a_cubic_is_reproduced_also_over_holes_and_beyond_the_ends() -> None:
    cubics = [np.polynomial.Polynomial(terms) for terms in ([1.0, -2.0, 0.5, 0.25], [0.0, 3.0, -1.0, 0.125])]
    values, expected = (np.stack([cubic(times) for cubic in cubics], axis=1) for times in (TIMES, MOMENTS))
    np.testing.assert_allclose(cubic_spline.values_at(TIMES, values, MOMENTS), expected, atol=1e-9)


def test_it_goes_through_the_values() -> None:
    values = np.random.default_rng(0).normal(size=(len(TIMES), 3))
    np.testing.assert_allclose(cubic_spline.values_at(TIMES, values, TIMES), values, atol=1e-12)


def test_three_values_are_joined_by_lines() -> None:
    values = np.array([[0.0], [2.0], [1.0]])
    between = cubic_spline.values_at(TIMES[:3], values, np.array([0.5, 1.5]))
    np.testing.assert_allclose(between, [[1.0], [1.5]])
