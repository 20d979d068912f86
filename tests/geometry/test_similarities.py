"""Similarities: fitted, robustly too, chained and inverted."""

import numpy as np

from threer_blender.geometry import rotations, similarities
from threer_blender.geometry.similarities import Similarities

RANDOM = np.random.default_rng(0)


def random_similarities(count: int) -> Similarities:
    matrices = rotations.from_vectors(RANDOM.standard_normal((count, 3)))
    return Similarities(np.exp(RANDOM.standard_normal(count)), matrices, RANDOM.standard_normal((count, 3)))


def test_many_are_fitted_each_to_its_own_points() -> None:
    true, points = random_similarities(5), RANDOM.standard_normal((5, 30, 3))
    fitted = similarities.fit(points, true.apply(points), np.ones((5, 30)))
    np.testing.assert_allclose(fitted.scale, true.scale)
    np.testing.assert_allclose(fitted.rotation, true.rotation, atol=1e-12)
    np.testing.assert_allclose(fitted.translation, true.translation, atol=1e-12)


def test_a_robust_fit_passes_over_a_third_of_outliers() -> None:
    true, points = random_similarities(4), RANDOM.standard_normal((4, 60, 3))
    target = true.apply(points)
    target[:, :20] += 5
    fitted = similarities.fit_robust(points, target, np.ones((4, 60)), rounds=60)
    np.testing.assert_allclose(fitted.scale, true.scale, rtol=1e-2)
    plain = similarities.fit(points, target, np.ones((4, 60)))
    off = [np.linalg.norm(one.apply(points) - true.apply(points), axis=-1).max() for one in (fitted, plain)]
    assert off[0] < 0.05 * off[1]


def test_a_weight_on_the_logarithm_of_the_scale_minimises_what_it_says() -> None:
    points, target, weights = RANDOM.standard_normal((1, 20, 3)), RANDOM.standard_normal((1, 20, 3)), np.ones((1, 20))

    def cost(scale: float, one: Similarities) -> float:
        changed = Similarities(scale * one.scale, one.rotation, one.translation)
        return 0.5 * float(((changed.apply(points) - target) ** 2).sum()) - 3 * float(np.log(changed.scale[0]))

    centred = points - points.mean(1, keepdims=True), target - target.mean(1, keepdims=True)
    points, target = centred
    fitted = similarities.fit(points, target, weights, log_scale_weight=3.0)
    assert cost(1.0, fitted) < min(cost(0.999, fitted), cost(1.001, fitted))


def test_inverse_and_after_chain() -> None:
    a, b, points = random_similarities(3), random_similarities(3), RANDOM.standard_normal((3, 7, 3))
    np.testing.assert_allclose(a.after(b).apply(points), a.apply(b.apply(points)))
    np.testing.assert_allclose(a.inverse().apply(a.apply(points)), points)
    np.testing.assert_allclose(a.scaled(2.0).apply(points), 2 * a.apply(points))
