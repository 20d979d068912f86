"""Values of a file that somebody else may have written: those of a wrong kind are refused, and numbers too large."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

from threer_blender.files import checked


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (checked.number, "1"),
        (checked.number, True),
        (checked.number, math.nan),
        (checked.number, math.inf),
        (checked.positive, 0),
        (checked.positive, -1.0),
        (checked.size, 0),
        (checked.size, 1.0),
        (checked.size, checked.LARGEST + 1),
        (checked.frame, -1),
        (checked.frame, False),
        (checked.frame_rate, "24/0"),
        (checked.frame_rate, "-24"),
        (checked.frame_rate, "9" * 5000),
        (checked.frame_rate, 0),
    ],
)
def test_what_is_no_such_value_is_refused(read: Callable[[Any], object], value: object) -> None:
    with pytest.raises(ValueError, match="should be"):
        read(value)


def test_a_text_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        checked.typed("\ud800", str)
    with pytest.raises(ValueError, match="should be a str"):
        checked.typed(1, str)


def test_a_frame_may_be_zero_and_a_rate_a_fraction() -> None:
    assert checked.frame(0) == 0
    assert checked.frame_rate("30000/1001") == Fraction(30000, 1001)
    assert checked.frame_rate(29.97) == Fraction(30000, 1001)
    assert checked.optional(None) is None
    assert checked.optional(2) == 2.0
