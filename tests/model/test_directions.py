"""The middle of directions ignores a few far off; up is across the cameras' x axes, on the side of their mean up."""

import numpy as np
import pytest

from threer_blender.model.directions import geometric_median, level_up, to_up


def test_a_few_far_off_do_not_move_the_middle() -> None:
    random = np.random.default_rng(0)
    near = np.array([0.0, 0.0, 1.0]) + random.normal(0, 0.02, (40, 3))
    vectors = np.concatenate([near, np.tile([1.0, 0.0, 0.0], (10, 1))])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    median = geometric_median(vectors)
    assert np.linalg.norm(median) == pytest.approx(1)
    assert np.degrees(np.arccos(median[2])) < 2
    mean = vectors.mean(0) / np.linalg.norm(vectors.mean(0))
    assert np.degrees(np.arccos(mean[2])) > 10


def test_opposite_directions_have_one_of_them_as_their_middle() -> None:
    vectors = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    assert geometric_median(vectors).tolist() == vectors[0].tolist()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_up_is_across_all_right_axes_on_the_side_of_the_mean(side: float) -> None:
    """The cameras look down by 40 degrees, to all sides or to one."""
    angles = np.radians([0.0, 50.0, 110.0])
    rights = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    mean = side * np.array([np.sin(np.radians(40)), 0.0, np.cos(np.radians(40))])
    up, values = level_up(rights.T @ rights / len(rights), mean)
    assert np.degrees(np.arccos(side * up[2])) < 3  # the mean pulls a little
    assert values[1] > 0.1
    one = np.array([[0.0, 1.0, 0.0]])
    up, values = level_up(one.T @ one, mean)
    np.testing.assert_allclose(up, mean, atol=1e-12)
    assert values[1] == pytest.approx(0.02)


def test_the_smallest_rotation_to_up() -> None:
    target = np.array((0.0, 1.0, 0.0))
    for up in (np.array((0.6, 0.0, 0.8)), target, -target):
        rotation = to_up(up, target)
        assert np.allclose(rotation @ up, target)
        assert np.allclose(rotation @ rotation.T, np.eye(3))
        assert np.isclose(np.linalg.det(rotation), 1)
    assert np.allclose(to_up(target, target), np.eye(3))
