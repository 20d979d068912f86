"""Sampled pixels of predictions: their places in the map, and the values there."""

from pathlib import Path

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.alignment.samples import Grid, Sampled
from threer_blender.geometry.pairs.pairs import PairStore


@pytest.fixture
def sampled(tmp_path: Path) -> tuple[list[oracle.View], Sampled]:
    views = oracle.orbit(3, (36, 48), degrees=40)
    store, answers = PairStore(tmp_path), oracle.Oracle(views)
    for i in range(3):
        for j in range(3):
            if i != j:
                store.add(answers.predict(i, j))
    return views, Sampled(store, 3, np.arange(len(store)))


def test_the_grids_pixels_are_where_the_values_come_from(sampled: tuple[list[oracle.View], Sampled]) -> None:
    views, samples = sampled
    grid = samples.grids[1]
    column, row = (grid.pixels() + (24, 18) - 0.5).astype(int).T
    np.testing.assert_allclose(
        samples.depths(1, views[1].depth.astype(np.float32)), views[1].depth[row, column], rtol=1e-6
    )


def test_a_photos_own_points_and_focal_length_are_the_true_ones(sampled: tuple[list[oracle.View], Sampled]) -> None:
    views, samples = sampled
    points = samples.camera_points(2)
    column, row = (samples.grids[2].pixels() + (24, 18) - 0.5).astype(int).T
    true = views[2].camera_points[row, column]
    np.testing.assert_allclose(points / points[0, 2], true / true[0, 2], rtol=2e-2, atol=2e-3)
    assert samples.focal(2, points) == pytest.approx(views[2].intrinsics[0, 0], rel=0.01)


def test_a_photo_without_predictions_has_an_empty_grid() -> None:
    grid = Grid.of([], [])
    assert grid.pixels().shape == (0, 2)
