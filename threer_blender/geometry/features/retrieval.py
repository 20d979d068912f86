"""[R] Which photos look alike, the order that this asks for, and where a capture comes back to. numpy, pycolmap.

For captures that a network sees in parts: photos of one part must show the same things, and parts must meet again
where the camera did.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...model.engine import ReportStage
from ...model.reconstruction import Array, Photo
from ..pairs import scene_graph
from . import features

LOOK = features.Settings(long_side=features.SMALL_COPY, features=2048, first_octave=0, affine=False)
GOOD_ENOUGH = 0.5  # of the best order's likeness from photo to photo; then the given order stands
RETURNED = 0.5  # of the likeness of photos that follow each other, for a place that the capture has come back to
MOST_RETURNS = 20
LEAST_GAIN = 1e-6  # for a better order


def likeness(photos: Sequence[Photo], pixels: features.Pixels, folder: Path, report: ReportStage) -> Array:
    """(N, N) how alike photos are, 1 on the diagonal, from their coarsest SIFT features; 0 for those without any.

    `folder` takes the features. Raises what `report` raises.
    """
    path = folder / "likeness.db"
    features.extract(photos, pixels, path, LOOK, report)
    described = features.coarsest_descriptors(path, len(photos))
    held = [index for index, own in enumerate(described) if own.any()]
    alike = np.eye(len(photos), dtype=np.float32)
    if len(held) > 1:
        local = [described[index][described[index].any(axis=1)] for index in held]
        alike[np.ix_(held, held)] = scene_graph.similarity(local)
    return alike


def in_order(alike: Array) -> list[int]:
    """The order in which neighbours look most alike; the given one where it is nearly as good, as a video's is.

    `alike` (N, N). The order is a nearest-neighbour walk, improved by turning parts of it round (2-opt, Croes 1958).
    """
    given, best = list(range(len(alike))), _tour(alike)
    if _steps(alike, given).sum() >= GOOD_ENOUGH * _steps(alike, best).sum():
        return given
    return best


def returns(alike: Array, apart: int) -> list[tuple[int, int]]:
    """Pairs of photos at least `apart` from each other in order that look alike, most alike first.

    `alike` (N, N) is in that order. No two pairs are neighbours of each other.
    """
    least = RETURNED * float(np.median(_steps(alike, range(len(alike)))))
    found: list[tuple[float, int, int]] = []
    for second in range(apart, len(alike)):
        first = int(alike[second, : second - apart + 1].argmax())
        if alike[second, first] > least:
            found.append((float(alike[second, first]), first, second))
    chosen: list[tuple[int, int]] = []
    for _, first, second in sorted(found, reverse=True):
        if all(abs(first - a) + abs(second - b) > apart // 2 for a, b in chosen) and len(chosen) < MOST_RETURNS:
            chosen.append((first, second))
    return chosen


def _steps(alike: Array, order: Sequence[int]) -> Array:
    """(N - 1,) likeness from each photo to the next."""
    steps: Array = alike[list(order[:-1]), list(order[1:])]
    return steps


def _tour(alike: Array) -> list[int]:
    count = len(alike)
    table = np.zeros((count + 1, count + 1))  # the last place is like none: the walk starts and ends there
    table[:count, :count] = alike
    walk, left = [count, 0], np.ones(count, bool)
    for _ in range(count - 1):
        left[walk[-1]] = False
        walk.append(int(np.where(left, alike[walk[-1]], -1).argmax()))
    order = np.array(walk)
    while _improved(order, table):
        pass
    return [int(place) for place in order[1:]]


def _improved(order: Array, table: Array) -> bool:
    """Turns parts of the round trip `order` round, in place, wherever its steps become more alike; whether it did."""
    count, improved = len(order), False
    for start in range(count - 2):
        ends = np.arange(start + 2, count)
        before, first = order[start], order[start + 1]
        last, after = order[ends], order[(ends + 1) % count]
        gain = table[before, last] + table[first, after] - table[before, first] - table[last, after]
        best = int(gain.argmax())
        if gain[best] > LEAST_GAIN:
            order[start + 1 : ends[best] + 1] = order[start + 1 : ends[best] + 1][::-1].copy()
            improved = True
    return improved
