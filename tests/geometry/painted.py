"""A painting that is known exactly at every place: a sum of waves. [S]"""

from typing import Any

import numpy as np

_random = np.random.default_rng(4)
_LENGTHS = np.geomspace(5, 40, 24)  # pixels
_DIRECTIONS = _random.uniform(0, 2 * np.pi, 24)
_PHASES = _random.uniform(0, 2 * np.pi, 24)


def value(places: Any) -> Any:
    """(...) grey levels of the painting at `places` (..., 2), in pixels."""
    total = np.full(np.shape(places)[:-1], 128.0)
    for length, direction, phase in zip(_LENGTHS, _DIRECTIONS, _PHASES, strict=True):
        along = places[..., 0] * np.cos(direction) + places[..., 1] * np.sin(direction)
        total += 12 * np.sin(2 * np.pi * along / length + phase)
    return total
