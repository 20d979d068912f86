"""[R] Cycle consistency: whether matches lead from photo to photo around a triangle back to where they began.

Where a pattern repeats, each pair of photos may be consistent, but three photos contradict each other. Zach, Klopschitz
& Pollefeys (2010) compare rotations around cycles. Comparing the matches themselves needs no lens, and also shows a
shift along a wall.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set

import numpy as np

from ...model.arrays import Array
from ..colmap import pycolmap
from .database import Matched

AGREEING = 4.0  # px of the copies: the error at which pairs are verified
TRIANGLES = 300  # at most so many are compared; each takes some milliseconds


def agreement(matched: Matched, registered: Set[int], least_matches: int) -> tuple[int, int, int]:
    """Counts over the triangles of photos with two or more `registered` photos: the matches that agree around them, the
    matches that can be compared, and the number of all such triangles, compared or not.

    A match from the first photo to the third can be compared where matches also lead from its feature over the second
    photo to the third; it agrees where these end at the same place. Pairs with fewer than `least_matches` verified
    matches are left out.
    """
    neighbours: defaultdict[int, set[int]] = defaultdict(set)
    for i, j in matched.pairs[matched.inliers >= least_matches].tolist():
        neighbours[i].add(j)
        neighbours[j].add(i)
    triangles = [
        (i, j, k)
        for i in sorted(registered)
        for j in sorted(neighbours[i] & registered)
        if i < j
        for k in sorted(neighbours[i] & neighbours[j])
        if k not in registered or k > j
    ]
    agreeing = comparable = 0
    maps: dict[tuple[int, int], Array] = {}
    with pycolmap.Database.open(matched.path) as database:
        for i, j, k in triangles[:: 1 + len(triangles) // TRIANGLES]:
            i_to_k, i_to_j, j_to_k = (_links(database, maps, *pair) for pair in ((i, k), (i, j), (j, k)))
            starts = np.flatnonzero((i_to_k >= 0) & (i_to_j >= 0))
            ends = j_to_k[i_to_j[starts]]
            starts, ends = starts[ends >= 0], ends[ends >= 0]
            pixels = database.read_keypoints(k + 1)[:, :2]
            off = np.linalg.norm(pixels[ends] - pixels[i_to_k[starts]], axis=1)
            agreeing, comparable = agreeing + int((off < AGREEING).sum()), comparable + len(off)
    return agreeing, comparable, len(triangles)


def _links(database: pycolmap.Database, maps: dict[tuple[int, int], Array], first: int, second: int) -> Array:
    """(K,) for each feature of photo `first` the feature of `second` with which it is matched, or -1. `maps` caches
    them."""
    if (first, second) not in maps:
        matches = database.read_two_view_geometry(first + 1, second + 1).inlier_matches
        links = np.full(len(database.read_keypoints(first + 1)), -1)
        links[matches[:, 0]] = matches[:, 1]
        maps[first, second] = links
    return maps[first, second]
