"""Completed depths continue what is known, up to the edges in the photo."""

import numpy as np

from threer_blender.geometry.splats import depth_completion


def test_a_plane_with_holes_is_filled_and_continued() -> None:
    y, x = np.indices((60, 80)) / 80
    inverse = 0.2 + 0.1 * x + 0.05 * y
    weights = np.ones((60, 80))
    weights[20:35, 30:50] = 0
    weights[:, 74:] = 0
    actual = depth_completion.completed(np.where(weights > 0, inverse, 0), weights, np.full((60, 80, 3), 0.5))
    assert np.abs(actual / inverse - 1).max() < 0.01


def test_what_is_known_beyond_an_edge_in_the_photo_hardly_counts() -> None:
    inverse = np.where(np.arange(80) < 40, 1.0, 0.2) * np.ones((60, 1))
    guide = np.where(np.arange(80) < 40, 0.9, 0.1)[None, :, None] * np.ones((60, 1, 3))
    weights = np.ones((60, 80))
    weights[:, 30:50] = 0
    actual = depth_completion.completed(inverse, weights, guide)
    assert np.abs(actual[:, 30:40] - 1.0).max() < 0.02
    assert np.abs(actual[:, 40:50] - 0.2).max() < 0.02


def test_where_nothing_is_known_near_by_things_are_far() -> None:
    """On the left is a near thing, with something far in its corner. On the right, of another colour, nothing is known.

    So the right counts as far.
    """
    near = np.arange(80) < 30
    inverse, weights = np.where(near, 1.0, 0.0) * np.ones((60, 1)), np.where(near, 1.0, 0.0) * np.ones((60, 1))
    inverse[:3, :10] = 0.2
    guide = np.where(near, 0.9, 0.1)[None, :, None] * np.ones((60, 1, 3))
    actual = depth_completion.completed(inverse, weights, guide)
    assert np.abs(actual[10:, 20:30] - 1.0).max() < 0.1
    assert actual[10:, 50:].max() < 0.3
