"""Errors of points are what a search through all pairs of points gives."""

import numpy as np
import pytest

from threer_blender.evaluation import cloud_measures
from threer_blender.evaluation.cloud_measures import Surface
from threer_blender.model.arrays import FloatArray

RANDOM = np.random.default_rng(0)
THRESHOLD, FARTHEST = 0.06, 0.2


def unit(vectors: FloatArray) -> FloatArray:
    lengths: FloatArray = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths


def test_scores() -> None:
    solved = Surface(RANDOM.random((90, 3)), unit(RANDOM.standard_normal((90, 3))))
    true = Surface(RANDOM.random((110, 3)) + 0.05, unit(RANDOM.standard_normal((110, 3))))
    assert solved.normals is not None
    assert true.normals is not None
    distances = np.linalg.norm(solved.points[:, None] - true.points, axis=-1)
    off, missed = distances.min(1), distances.min(0)
    scores = cloud_measures.scores(solved, true, THRESHOLD, FARTHEST)
    assert scores is not None
    assert scores.accuracy == pytest.approx(off[off < FARTHEST].mean())
    assert scores.completeness == pytest.approx(missed[missed < FARTHEST].mean())
    assert scores.overall == pytest.approx((scores.accuracy + scores.completeness) / 2)
    assert scores.accuracy_median == pytest.approx(np.median(off[off < FARTHEST]))
    assert scores.far == pytest.approx(((off >= FARTHEST).mean(), (missed >= FARTHEST).mean()))
    precision, recall = (off < THRESHOLD).mean(), (missed < THRESHOLD).mean()
    assert scores.fscore == pytest.approx(2 * precision * recall / (precision + recall))
    agreement = [abs(n @ true.normals[i]) for n, i in zip(solved.normals, distances.argmin(1), strict=True)]
    other = [abs(n @ solved.normals[i]) for n, i in zip(true.normals, distances.argmin(0), strict=True)]
    assert scores.normal_consistency == pytest.approx((np.mean(agreement) + np.mean(other)) / 2)


def test_one_point_for_each_cube() -> None:
    points = np.array([(0, 0, 0), (0.1, 0.1, 0.3), (0.9, 0.2, 0.1), (1.1, 0, 0), (np.nan, 0, 0)])
    thinned = cloud_measures.thinned(Surface(points), 1.0)
    np.testing.assert_allclose(thinned.points, [(1 / 3, 0.1, 0.4 / 3), (1.1, 0, 0)])


def test_nothing_to_compare() -> None:
    some, none = Surface(RANDOM.random((3, 3))), Surface(np.zeros((0, 3)))
    assert cloud_measures.scores(some, none, THRESHOLD) is None
    assert cloud_measures.scores(none, some, THRESHOLD) is None
