"""Correspondences of pointmaps, in a world whose truth is known."""

import numpy as np

from tests import oracle
from threer_blender.geometry.pairs import correspondences
from threer_blender.geometry.pairs.pairs import PairPrediction

RANDOM = np.random.default_rng(0)


def test_mutual_nearest_is_the_definition() -> None:
    first, second = RANDOM.standard_normal((80, 3)), RANDOM.standard_normal((120, 3))
    first[7], second[9] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        distances = np.nan_to_num(np.linalg.norm(first[:, None] - second, axis=-1), nan=np.inf)
    distances[:, 9] = np.inf
    expected = [
        (i, j)
        for i in range(80)
        for j in range(120)
        if distances[i, j] == distances[i].min() == distances[:, j].min() < np.inf
    ]
    assert correspondences.mutual_nearest(first, second).tolist() == [list(pair) for pair in expected]
    assert correspondences.mutual_nearest(np.full((4, 3), np.nan), second).shape == (0, 2)


def test_matches_from_pointmaps_are_true() -> None:
    views = oracle.orbit(2, (72, 96), degrees=20)
    matches = correspondences.from_pointmaps(oracle.Oracle(views).predict(0, 1))
    column, row = (matches.pixels_first - 0.5).astype(int).T
    reprojected, visible = oracle.project(views[0].points[row, column], views[1], 0.03)
    assert visible.sum() > 2000
    off = np.linalg.norm(reprojected - matches.pixels_second, axis=1)[visible]
    assert np.median(off) < 0.5  # they are pixels' centres: half a pixel is what they can be off
    assert (off < 1.5).mean() > 0.98
    # Matches of points that only one photo sees have a lower confidence.
    assert np.median(matches.confidence[visible]) > 1.3 * np.median(matches.confidence[~visible])


def test_a_photo_corresponds_to_itself() -> None:
    view = oracle.orbit(1)[0]
    ones = np.ones(view.depth.shape)
    same = PairPrediction(3, 4, view.camera_points, view.camera_points, ones, 4 * ones)
    matches = correspondences.from_pointmaps(same)
    np.testing.assert_array_equal(matches.pixels_first, matches.pixels_second)
    assert len(matches.pixels_first) == view.depth.size
    assert (matches.first, matches.second) == (3, 4)
    np.testing.assert_array_equal(matches.confidence, 2)
