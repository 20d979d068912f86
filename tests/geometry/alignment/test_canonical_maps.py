"""A photo's canonical pointmap is the weighted mean of its predictions, each in its own unit."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests import oracle
from threer_blender.geometry.alignment import canonical_maps
from threer_blender.geometry.pairs.pairs import PairStore


def test_the_canonical_map_is_the_weighted_mean(tmp_path: Path) -> None:
    views = oracle.orbit(2, (6, 8), degrees=20)
    prediction = oracle.Oracle(views).predict(0, 1)
    store = PairStore(tmp_path)
    factors, confidences = (1.0, 1.5, 0.8), (2.0, 5.0, 9.0)
    for factor, confidence in zip(factors, confidences, strict=True):
        deep = prediction.points_first.copy()
        deep[..., 2] = np.where(np.arange(8) < 2, deep[..., 2] * 1.1 * factor, deep[..., 2])
        store.add(replace(prediction, points_first=deep * factor, confidence_first=np.full((6, 8), confidence)))
    actual = canonical_maps.canonical(store, 0)
    assert actual is not None
    z = prediction.points_first[..., 2].astype(float)
    layers = [np.where(np.arange(8) < 2, z * 1.1 * factor, z) for factor in factors]
    layers = [layer / np.median(layer) for layer in layers]
    expected = np.average(layers, axis=0, weights=np.array(confidences) - 0.999)
    np.testing.assert_allclose(actual.depth, expected, rtol=5e-3)  # the store keeps half precision
    assert canonical_maps.canonical(store, 5) is None
