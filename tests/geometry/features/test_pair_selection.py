"""Pairs are chosen for matching: all pairs of few photos, and of many those that are similar or neighbours by name."""

import numpy as np
import pytest

from threer_blender.geometry.features.database import FeatureSettings
from threer_blender.geometry.features.pair_selection import NEXT_BY_NAME, choose_pairs, match_counts, pair_count
from threer_blender.model.arrays import Array

FEW = FeatureSettings(long_side=100, features=100, exhaustive=4, neighbours=3)


def scenes() -> Array:
    """(12, 40, 128) unit descriptors: 40 in each of 12 photos, which show two scenes by turns.

    Photos of a scene share most of them.
    """
    random = np.random.default_rng(0)
    scene = random.standard_normal((2, 40, 128))
    photos = scene[np.arange(12) % 2] + 0.1 * random.standard_normal((12, 40, 128))
    return photos / np.linalg.norm(photos, axis=-1, keepdims=True)


def test_matches_are_counted_within_a_scene() -> None:
    counts = match_counts(scenes())
    same = (np.arange(12)[:, None] - np.arange(12)) % 2 == 0
    np.fill_diagonal(same, False)
    assert counts[same].min() > 30
    other = ~same
    np.fill_diagonal(other, False)
    assert counts[other].max() < 5
    np.testing.assert_array_equal(counts, counts.T)


def test_few_photos_are_matched_each_with_each() -> None:
    def unused() -> Array:
        raise AssertionError("the descriptors of few photos are not needed")

    assert choose_pairs(4, FEW, unused) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def test_of_many_photos_pairs_are_within_a_scene_or_neighbours_by_name() -> None:
    pairs = choose_pairs(12, FEW, scenes)
    neighbours = {(i, j) for i in range(12) for j in range(i + 1, 12) if j - i <= NEXT_BY_NAME}
    similar = set(pairs) - neighbours
    assert neighbours <= set(pairs)
    assert {photo for pair in similar for photo in pair} == set(range(12))
    assert all(i < j and (j - i) % 2 == 0 for i, j in similar)
    assert len(pairs) <= pair_count(12, FEW)


@pytest.mark.parametrize(("count", "most"), [(4, 6), (100, 100 * (3 + NEXT_BY_NAME))])
def test_the_largest_number_of_pairs(count: int, most: int) -> None:
    assert pair_count(count, FEW) == most
