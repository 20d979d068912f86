"""[R] Similarity of photos, the order that follows from it, and places that a capture revisits. numpy, pycolmap.

For captures that a network sees in parts: photos of one part must show the same things, and parts must meet again
where the camera did.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...model.arrays import Array
from ...model.engine import ReportStage
from ...model.reconstruction import Photo
from ..pairs import scene_graph
from . import features
from .database import Excluded, FeatureSettings, Pixels, Search, nothing_excluded
from .pair_selection import coarsest_descriptors

SETTINGS = FeatureSettings(long_side=features.SMALL_COPY, features=2048, first_octave=0, affine=False)
GOOD_ENOUGH = 0.5  # of the best order's similarity from photo to photo; then the given order stays
REVISITED = 0.5  # of the similarity of consecutive photos, for a place that the capture has come back to
MOST_REVISITS = 20
LEAST_GAIN = 1e-6  # for a better order


def photo_similarity(
    photos: Sequence[Photo],
    pixels: Pixels,
    folder: Path,
    report: ReportStage,
    excluded: Excluded = nothing_excluded,
) -> Array:
    """(N, N) similarity of photos, 1 on the diagonal, from their coarsest SIFT features; 0 for photos without any.

    `folder` takes the features. Raises what `report` raises.
    """
    path = folder / "retrieval.db"
    features.extract(Search(photos, pixels, folder, SETTINGS, report, excluded), path)
    described = coarsest_descriptors(path, len(photos))
    held = [index for index, descriptors in enumerate(described) if descriptors.any()]
    similarity = np.eye(len(photos), dtype=np.float32)
    if len(held) > 1:
        local = [described[index][described[index].any(axis=1)] for index in held]
        similarity[np.ix_(held, held)] = scene_graph.similarity(local)
    return similarity


def in_order(similarity: Array) -> list[int]:
    """The order in which neighbours are most similar; the given one where it is nearly as good, as a video's is.

    `similarity` (N, N). The order is a nearest-neighbour walk, improved by reversing parts of it (2-opt, Croes
    1958).
    """
    given, best = list(range(len(similarity))), _tour(similarity)
    if _steps(similarity, given).sum() >= GOOD_ENOUGH * _steps(similarity, best).sum():
        return given
    return best


def revisits(similarity: Array, least_gap: int) -> list[tuple[int, int]]:
    """Pairs of photos at least `least_gap` places apart in order that are similar, the most similar first.

    `similarity` (N, N) is in that order. No two pairs are neighbours of each other.
    """
    least = REVISITED * float(np.median(_steps(similarity, range(len(similarity)))))
    candidates: list[tuple[float, int, int]] = []
    for second in range(least_gap, len(similarity)):
        first = int(similarity[second, : second - least_gap + 1].argmax())
        if similarity[second, first] > least:
            candidates.append((float(similarity[second, first]), first, second))
    chosen: list[tuple[int, int]] = []
    for _, first, second in sorted(candidates, reverse=True):
        if all(abs(first - a) + abs(second - b) > least_gap // 2 for a, b in chosen) and len(chosen) < MOST_REVISITS:
            chosen.append((first, second))
    return chosen


def _steps(similarity: Array, order: Sequence[int]) -> Array:
    """(N - 1,) similarity of each photo to the next."""
    steps: Array = similarity[list(order[:-1]), list(order[1:])]
    return steps


def _tour(similarity: Array) -> list[int]:
    count = len(similarity)
    table = np.zeros((count + 1, count + 1))  # the last place is like none: the walk starts and ends there
    table[:count, :count] = similarity
    walk, left = [count, 0], np.ones(count, bool)
    for _ in range(count - 1):
        left[walk[-1]] = False
        walk.append(int(np.where(left, similarity[walk[-1]], -1).argmax()))
    order = np.array(walk)
    while _improved(order, table):
        pass
    return [int(photo) for photo in order[1:]]


def _improved(order: Array, table: Array) -> bool:
    """Reverses parts of the round trip `order`, in place, wherever that makes its steps more similar; whether it
    did."""
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
