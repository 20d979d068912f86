"""One similarity: fitted to points, chained and inverted."""

import numpy as np
import pytest

from threer_blender.geometry import rotations
from threer_blender.model import similarity
from threer_blender.model.arrays import Array

RANDOM = np.random.default_rng(0)


def rotation(vector: tuple[float, float, float]) -> Array:
    return rotations.from_vectors(np.array(vector))


def test_procrustes_recovers_a_similarity() -> None:
    true = similarity.Similarity(2.5, rotation((0.3, -1.2, 0.4)), np.array([1.0, -2, 3]))
    source = RANDOM.standard_normal((200, 3)) * (1, 1, 1e-6)  # all but flat: a mirror image fits as well
    fitted = similarity.procrustes(source, true.apply(source), np.ones(200))
    assert fitted.scale == pytest.approx(2.5, 1e-9)
    np.testing.assert_allclose(fitted.rotation, true.rotation, atol=1e-9)
    np.testing.assert_allclose(fitted.inverse.apply(true.apply(source)), source, atol=1e-9)
    np.testing.assert_allclose(fitted.after(true.inverse).scale, 1, atol=1e-9)


def test_procrustes_weighs_and_passes_over() -> None:
    true = similarity.Similarity(1.5, rotation((0.1, 0.2, 2.0)), np.array([0.0, 1, 2]))
    source = RANDOM.standard_normal((50, 3))
    target = true.apply(source)
    target[:20] += RANDOM.standard_normal((20, 3))
    target[20:25] = np.nan
    fitted = similarity.procrustes(source, target, np.r_[np.zeros(20), np.ones(30)])
    np.testing.assert_allclose(fitted.rotation, true.rotation, atol=1e-9)
    # Weights are those of the sum of squares: a point of weight 2 counts like two points.
    twice = similarity.procrustes(np.r_[source[:20], source[:1]], np.r_[target[:20], target[:1]], np.ones(21))
    weighed = similarity.procrustes(source[:20], target[:20], np.r_[2, np.ones(19)])
    np.testing.assert_allclose(twice.rotation, weighed.rotation, atol=1e-12)


@pytest.mark.parametrize("source", [np.zeros((5, 3)), np.outer(np.arange(5), (1, 2, 3)), np.eye(3)[:2]])
def test_procrustes_says_where_nothing_fixes_a_rotation(source: Array) -> None:
    with pytest.raises(ValueError, match="align"):
        similarity.procrustes(source, source, np.ones(len(source)))
