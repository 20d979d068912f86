"""[R] Similarity of photos, the order that follows from it, and places that a capture revisits. numpy, pycolmap.

This is for captures that a network processes in chunks: photos of one chunk must overlap, and loops must be closed
where the camera came back.
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
GOOD_ENOUGH = 0.5  # of the best order's summed similarity; the given order stays if it reaches this share
REVISITED = 0.5  # of the median similarity of consecutive photos: the least similarity of a place that is revisited
MOST_REVISITS = 20
LEAST_GAIN = 1e-6  # of similarity, by which a change must improve an order


def photo_similarity(
    photos: Sequence[Photo],
    pixels: Pixels,
    folder: Path,
    report: ReportStage,
    excluded: Excluded = nothing_excluded,
) -> Array:
    """(N, N) similarity of photos in [0, 1], from their largest SIFT features. It is 1 on the diagonal, and 0 elsewhere
    for photos without features.

    The features are written to `folder`. None lies where the photos are `excluded`. Raises what `report` raises.
    """
    path = folder / "retrieval.db"
    features.extract(Search(photos, pixels, folder, SETTINGS, report, excluded), path)
    described = coarsest_descriptors(path, len(photos))
    with_features = [index for index, descriptors in enumerate(described) if descriptors.any()]
    similarity = np.eye(len(photos), dtype=np.float32)
    if len(with_features) > 1:
        local = [described[index][described[index].any(axis=1)] for index in with_features]
        similarity[np.ix_(with_features, with_features)] = scene_graph.similarity(local)
    return similarity


def in_order(similarity: Array) -> list[int]:
    """The order of N photos in which consecutive ones are most similar, by their `similarity` (N, N). Where the given
    order is nearly as good, as a video's is, it stays.

    The order is a nearest-neighbour walk, improved by reversing parts of it (2-opt, Croes 1958), so it need not be the
    very best.
    """
    given, best = list(range(len(similarity))), _tour(similarity)
    if _steps(similarity, given).sum() >= GOOD_ENOUGH * _steps(similarity, best).sum():
        return given
    return best


def revisits(similarity: Array, least_gap: int) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of similar photos that are at least `least_gap` places apart, the most similar pairs
    first.

    `similarity` (N, N) is in the order of the capture. Of pairs that are near each other, only the most similar one is
    taken.
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
    """(N - 1,) the similarity of each photo to the next in this order."""
    steps: Array = similarity[list(order[:-1]), list(order[1:])]
    return steps


def _tour(similarity: Array) -> list[int]:
    """An order of high summed similarity of consecutive photos."""
    count = len(similarity)
    table = np.zeros((count + 1, count + 1))  # an extra place, similar to none, closes the walk to a round trip
    table[:count, :count] = similarity
    walk, unvisited = [count, 0], np.ones(count, bool)
    for _ in range(count - 1):
        unvisited[walk[-1]] = False
        walk.append(int(np.where(unvisited, similarity[walk[-1]], -1).argmax()))
    order = np.array(walk)
    while _improved(order, table):
        pass
    return [int(photo) for photo in order[1:]]


def _improved(order: Array, table: Array) -> bool:
    """Reverses parts of the round trip `order`, in place, wherever that raises the sum of its similarities; returns
    whether it did. `table` (N + 1, N + 1) is the similarity of its places."""
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
