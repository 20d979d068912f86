"""Similarities measured between pairs become one similarity for each view, although some pairs are wrong. [R]"""

from typing import Any

import numpy as np
import pytest

from threer_blender.geometry import rotations, similarities
from threer_blender.geometry.alignment import synchronisation
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.similarities import Similarities


def world(count: int, pairs: Any, wrong: Any, noise: float, seed: int = 0) -> Any:
    """The true similarities of views, measured ones between pairs (N, 2), and a mask (N,) of those that are wrong."""
    random = np.random.default_rng(seed)

    def random_similarities(number: Any, rotation: Any, stretch: Any, shift: Any) -> Any:
        """With these standard deviations of the rotation vector, the logarithm of scale and the translation."""
        return Similarities(
            np.exp(stretch * random.standard_normal(number)),
            rotations.from_vectors(rotation * random.standard_normal((number, 3))),
            shift * random.standard_normal((number, 3)),
        )

    views = random_similarities(count, 1.0, 0.3, 0.7)
    i, j = pairs.T
    true = views[i].inverse().after(views[j]).after(random_similarities(len(pairs), noise, noise, noise))
    bad = random.random(len(pairs)) < wrong
    return views, random_similarities(len(pairs), 1.0, 0.3, 2.0).where(bad, true), bad


@pytest.mark.parametrize(
    ("pairs", "count", "wrong"),
    [
        (scene_graph.complete(2), 2, 0.0),
        (scene_graph.complete(16), 16, 0.4),
        (scene_graph.log_window(100, 5, cyclic=True), 100, 0.15),
    ],
)
def test_wrong_measurements_neither_move_the_views_nor_are_believed(pairs: Any, count: int, wrong: float) -> None:
    pairs = np.array(pairs)
    views, measured, bad = world(count, pairs, wrong, noise=0.01)
    actual = synchronisation.synchronise(count, pairs, measured, np.ones(len(pairs)))
    change = actual.after(views.inverse())
    common = change[:1]
    angles = rotations.angles(change.rotation @ common.rotation.transpose(0, 2, 1))
    assert np.degrees(angles).max() < 3
    assert np.abs(np.log(change.scale / common.scale)).max() < 0.05
    agreeing = synchronisation.agreeing(pairs, measured, actual)
    assert not (agreeing & bad).any()
    assert agreeing[~bad].mean() > 0.98


def test_exact_measurements_are_met_exactly() -> None:
    pairs = np.array(scene_graph.window(9, 2))
    _, measured, _ = world(9, pairs, 0.0, 0.0)
    actual = synchronisation.synchronise(9, pairs, measured, np.ones(len(pairs)))
    again = actual[pairs[:, 0]].inverse().after(actual[pairs[:, 1]])
    np.testing.assert_allclose(again.scale, measured.scale, rtol=1e-6)
    np.testing.assert_allclose(again.rotation, measured.rotation, atol=1e-6)
    np.testing.assert_allclose(again.translation, measured.translation, atol=1e-6)


def test_robust_fit_passes_over_outliers() -> None:
    random = np.random.default_rng(0)
    source = random.standard_normal((1, 200, 3))
    true = Similarities(np.array([2.5]), rotations.from_vectors(random.standard_normal((1, 3))), np.ones((1, 3)))
    target = true.apply(source)
    target[0, :60] += 5 * random.standard_normal((60, 3))
    actual = similarities.fit_robust(source, target, np.ones((1, 200)), rounds=30)
    np.testing.assert_allclose(actual.rotation, true.rotation, atol=1e-3)
    assert actual.scale[0] == pytest.approx(2.5, rel=1e-3)


def test_parts_are_counted_from_the_largest() -> None:
    actual = synchronisation.components(7, np.array([(0, 1), (2, 3), (3, 4), (4, 5)]))
    assert actual.tolist() == [1, 1, 0, 0, 0, 0, 2]
