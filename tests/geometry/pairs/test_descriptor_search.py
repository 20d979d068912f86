"""The search by tiles finds the largest product, whether or not neighbouring descriptors are similar."""

import numpy as np
import pytest

from threer_blender.geometry.pairs import descriptor_search


@pytest.mark.parametrize(("queries", "candidates"), [(1, 1), (300, 5000), (777, 2048), (10, 2049)])
@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_the_nearest_has_the_largest_product(queries: int, candidates: int, slope: float) -> None:
    random = np.random.default_rng(1)
    first = random.standard_normal((queries, 24)).astype(np.float32)
    second = random.standard_normal((1, candidates, 24)) + slope * np.linspace(-1, 1, candidates)[:, None]
    second = (second / np.linalg.norm(second, axis=-1, keepdims=True)).astype(np.float32)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    expected = (first.astype(np.float64) @ second[0].T.astype(np.float64)).argmax(axis=1)
    np.testing.assert_array_equal(descriptor_search.Tiles(second).nearest(first), expected)


def test_of_equal_descriptors_the_first_pixel_is_taken() -> None:
    same = np.ones((20, 30, 4), np.float32) / 2
    np.testing.assert_array_equal(descriptor_search.Tiles(same).nearest(same[0, :3]), 0)
