"""Kernels run over bands on all cores."""

import numpy as np
import pytest

from threer_blender.geometry import kernels
from threer_blender.model.arrays import Array


@kernels.compiled()
def _count(low: int, high: int, visits: Array) -> None:
    for i in range(low, high):
        visits[i] += 1


@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 1), (3, 3), (2, 1000)])
def test_bands_visit_each_number_of_the_range_once(first: int, last: int) -> None:
    visits = np.zeros(1000, int)
    kernels.in_bands(lambda low, high: _count(low, high, visits), first, last)
    expected = np.zeros(1000, int)
    expected[first:last] = 1
    np.testing.assert_array_equal(visits, expected)


def test_what_a_band_raises_arrives() -> None:
    def fail(_: int, high: int) -> None:
        if high == 100:
            raise ValueError("the last band")

    with pytest.raises(ValueError, match="the last band"):
        kernels.in_bands(fail, 0, 100)


def test_division_by_zero_is_numpys() -> None:
    @kernels.compiled()
    def over(a: float, b: float) -> float:
        return a / b

    assert over(1.0, 0.0) == np.inf
