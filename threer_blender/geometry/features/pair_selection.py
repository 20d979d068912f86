"""[R] Pairs of photos worth matching: neighbours by name, and photos with similar features. numpy, pycolmap."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np

from ...model.arrays import Array
from ..colmap import pycolmap
from .database import FeatureSettings

COARSEST = 400  # features of a photo, the largest ones, that are compared to find similar photos
NEXT_BY_NAME = 4  # photos that follow in order are matched with each photo in any case
RATIO = 0.8  # Lowe's: of the angles between a descriptor and its best and second-best match, at most


def choose_pairs(count: int, settings: FeatureSettings, descriptors: Callable[[], Array]) -> list[tuple[int, int]]:
    """Pairs (i < j) of photo indices worth matching: all, or among many photos those with similar features.

    `descriptors()` returns (N, K, D) descriptors of a few features of each photo, unit vectors, or zero where a photo
    has fewer. It is called for many photos only.
    """
    if count <= settings.exhaustive:
        return list(combinations(range(count), 2))
    pairs = {(i, i + step) for step in range(1, NEXT_BY_NAME + 1) for i in range(count - step)}
    counts = match_counts(descriptors())
    for i, others in enumerate(np.argsort(-counts, axis=1, kind="stable")[:, : settings.neighbours]):
        pairs |= {(min(i, int(j)), max(i, int(j))) for j in others if j != i and counts[i, j] > 0}
    return sorted(pairs)


def pair_count(count: int, settings: FeatureSettings) -> int:
    """The largest number of pairs that `choose_pairs` gives."""
    every = count * (count - 1) // 2
    return every if count <= settings.exhaustive else min(every, count * (settings.neighbours + NEXT_BY_NAME))


def coarsest_descriptors(path: Path, count: int) -> Array:
    """(N, COARSEST, 128) unit descriptors of the photos' largest features, zero where a photo has fewer. `path` is the
    database of `count` = N photos."""
    descriptors = np.zeros((count, COARSEST, 128), np.float32)
    with pycolmap.Database.open(path) as database:
        for index in range(count):
            keypoints = database.read_keypoints(index + 1)
            if len(keypoints) == 0:
                continue
            area = np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4])
            coarsest = np.argsort(-area, kind="stable")[:COARSEST]
            chosen = database.read_descriptors(index + 1).data[coarsest].astype(np.float32)
            descriptors[index, : len(chosen)] = chosen / np.linalg.norm(chosen, axis=1, keepdims=True)
    return descriptors


def match_counts(descriptors: Array) -> Array:
    """(N, N) the number of matches between the `descriptors` (N, K, D) of each two photos.

    The time is quadratic in the number of photos, as for matching all their features, but a hundredth of that: less
    than a millisecond per pair.
    """
    count = len(descriptors)
    counts = np.zeros((count, count))
    for i in range(count - 1):
        for j in range(i + 1, count):
            counts[i, j] = counts[j, i] = _matches(descriptors[i] @ descriptors[j].T)
    return counts


def _matches(cosines: Array) -> int:
    """The number of mutual nearest neighbours that pass Lowe's ratio test in a (K, K) table of descriptor cosines."""
    if cosines.shape[1] < 2:
        return 0
    best = cosines.argmax(1)
    mutual = np.flatnonzero(cosines.argmax(0)[best] == np.arange(len(cosines)))
    candidates, best = cosines[mutual], best[mutual]
    rows = np.arange(len(mutual))
    first = candidates[rows, best]
    candidates[rows, best] = -np.inf
    second = candidates.max(axis=1, initial=-1)
    passes = np.arccos(first.clip(-1, 1)) < RATIO * np.arccos(second.clip(-1, 1))
    return int((passes & (first > 0)).sum())
