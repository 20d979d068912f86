"""Initial poses from measurements between photos' frames: the largest part, anchors, and contradictions."""

import numpy as np
import pytest

from threer_blender.geometry import rotations
from threer_blender.geometry.alignment.initial_poses import Anchors, Measured, Unconnected, estimate
from threer_blender.geometry.similarities import Similarities

RANDOM = np.random.default_rng(0)


def frames(count: int) -> Similarities:
    """World from each photo's own frame."""
    matrices = rotations.from_vectors(0.3 * RANDOM.standard_normal((count, 3)))
    return Similarities(np.exp(0.1 * RANDOM.standard_normal(count)), matrices, RANDOM.standard_normal((count, 3)))


def measured(truth: Similarities, ends: list[tuple[int, int]]) -> Measured:
    """Exact measurements of the pairs `ends`, all of unit 1 and confidence 1, and usable."""
    pairs = np.array(ends)
    relative = truth[pairs[:, 0]].inverse().after(truth[pairs[:, 1]])
    ones = np.ones(len(pairs))
    return Measured(pairs, relative, ones, ones, np.ones(len(pairs), bool))


def complete(photos: range) -> list[tuple[int, int]]:
    return [(i, j) for i in photos for j in photos if i < j]


def test_exact_measurements_give_exact_poses_up_to_one_similarity() -> None:
    truth = frames(6)
    registered, views = estimate(6, measured(truth, complete(range(6))))
    assert registered.all()
    between = views[np.zeros(6, int)].inverse().after(views)
    expected = truth[np.zeros(6, int)].inverse().after(truth)
    np.testing.assert_allclose(between.scale, expected.scale, rtol=1e-6)
    np.testing.assert_allclose(between.rotation, expected.rotation, atol=1e-6)
    np.testing.assert_allclose(between.translation, expected.translation, atol=1e-6)


def test_the_larger_of_two_parts_is_registered() -> None:
    registered, _ = estimate(7, measured(frames(7), complete(range(4)) + complete(range(4, 7))))
    assert registered.tolist() == [True] * 4 + [False] * 3


def test_anchors_keep_their_world() -> None:
    truth = frames(5)
    anchors = Anchors(np.array([1, 3]), truth[np.array([1, 3])])
    registered, views = estimate(5, measured(truth, complete(range(5))), anchors)
    assert registered.all()
    np.testing.assert_allclose(views.translation, truth.translation, atol=1e-6)
    np.testing.assert_allclose(views.scale, truth.scale, rtol=1e-6)


def test_measurements_that_contradict_each_other_are_refused() -> None:
    pairs = complete(range(6))
    some = frames(len(pairs))
    far = Similarities(
        some.scale, rotations.from_vectors(2.0 * RANDOM.standard_normal((len(pairs), 3))), some.translation
    )
    ones = np.ones(len(pairs))
    with pytest.raises(Unconnected):
        estimate(6, Measured(np.array(pairs), far, ones, ones, np.ones(len(pairs), bool)))
