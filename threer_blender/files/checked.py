"""[S] Checks of the values in a JSON file that anybody may have written. Stdlib.

Each function returns its value as the type that it names, and raises ValueError where the value is of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from .plate_headers import exact_rate

LARGEST = 10**6  # pixels of a side, frames, or frames per second; no camera has more
Value = TypeVar("Value")


def typed(value: Any, kind: type[Value]) -> Value:
    """A value of the type `kind`. A text must be one that can be encoded."""
    if not isinstance(value, kind):
        raise ValueError(f"{value!r:.40} should be a {kind.__name__}")
    if isinstance(value, str):
        value.encode()  # raises ValueError at a lone surrogate, which JSON may hold
    return value


def number(value: Any) -> float:
    """A number that is neither infinite nor NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} should be a number")
    return float(value)


def positive(value: Any, most: float = math.inf) -> float:
    """A number above 0, and at most `most`."""
    if not 0 < number(value) <= most:
        raise ValueError(f"{value!r:.40} should be above 0, and no larger than {most:g}")
    return float(value)


def record(kind: Callable[..., Value], entry: Any) -> Value:
    """A dataclass of the type `kind`, whose fields are all texts."""
    values = typed(entry, dict)
    return kind(**{name: typed(value, str) for name, value in values.items()})


def size(value: Any) -> int:
    """A whole number of pixels or frames, from 1 to LARGEST."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST:
        raise ValueError(f"{value!r:.40} should be a whole number above 0, and no larger than {LARGEST}")
    return value


def sides(value: Any) -> tuple[int, int]:
    """A width and a height, each as `size`."""
    width, height = typed(value, list)
    return size(width), size(height)


def inside(value: Any) -> str:
    """The path of a picture or an image sequence within the file's folder; "" where there is none."""
    path = typed(value, str)
    if path and (Path(path).is_absolute() or ".." in Path(path).parts):
        raise ValueError("a plate lies outside the bundle")
    return path


def optional(value: Any, read: Callable[[Any], float] = number) -> float | None:
    """None, or a value that `read` checks."""
    return None if value is None else read(value)


def frame(value: Any) -> int:
    """A frame's number, which may be 0."""
    return value if value == 0 and isinstance(value, int) and not isinstance(value, bool) else size(value)


def frame_rate(value: Any) -> Fraction:
    """A frame rate, in frames per second: a fraction as text, or a number, as in the first bundles."""
    if not isinstance(value, str):
        return exact_rate(positive(value, LARGEST))
    above, _, below = value.partition("/")
    if not (above.isdecimal() and (below or "1").isdecimal() and len(value) <= 40 and int(below or 1)):
        raise ValueError(f"{value!r:.40} should be a frame rate")
    rate = Fraction(int(above), int(below or 1))
    positive(float(rate), LARGEST)
    return rate
