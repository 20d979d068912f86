"""The plane sweep: census bits, lines of the picture, and the best label refined."""

import numpy as np
import pytest

from threer_blender.geometry.stereo import plane_sweep


def test_census_bits_do_not_change_with_brightness() -> None:
    picture = np.random.default_rng(0).random((12, 15)).astype(np.float32)
    bits, brighter = np.empty((12, 15), np.uint32), np.empty((12, 15), np.uint32)
    plane_sweep.census(picture, bits)
    plane_sweep.census(picture + np.float32(0.5), brighter)
    np.testing.assert_array_equal(bits, brighter)
    assert (bits[:2] == 0).all()
    brightest = np.zeros((5, 5), np.float32)
    brightest[2, 2] = 1
    one = np.empty((5, 5), np.uint32)
    plane_sweep.census(brightest, one)
    assert one[2, 2] == 2**24 - 1  # all its neighbours are darker


@pytest.mark.parametrize("direction", plane_sweep.DIRECTIONS)
def test_lines_of_every_direction_pass_each_pixel_once(direction: tuple[int, int]) -> None:
    """With costs that are the same for all labels, every pixel gets two paths: there and back."""
    volume = np.full((7, 11, 3), 5, np.uint8)
    total = np.zeros((7, 11, 3), np.uint16)
    lines = plane_sweep.line_count((7, 11), *direction)
    plane_sweep.aggregate(0, lines, *direction, np.zeros((7, 11), np.float32), volume, total)
    np.testing.assert_array_equal(total, 10)


def test_the_best_label_is_refined_by_a_parabola() -> None:
    labels = np.linspace(0.1, 0.5, 9)
    true = 0.27
    total = (1e6 * (labels - true) ** 2).astype(np.uint16)[None, None]
    planes = np.empty((1, 1, 3), np.float32)
    plane_sweep.pick(0, 1, total, labels, planes)
    assert planes[0, 0, 0] == pytest.approx(true, abs=1e-4)


def test_tilt_recovers_a_slanted_plane_from_its_inverse_depths() -> None:
    y, x = np.mgrid[0:20, 0:20]
    planes = np.zeros((20, 20, 3), np.float32)
    planes[..., 0] = 0.2 + 0.001 * x - 0.002 * y
    tilted = np.empty_like(planes)
    plane_sweep.tilt(0, 20, planes, 50.0, tilted)
    np.testing.assert_allclose(tilted[5:15, 5:15, 1], 0.001, atol=1e-5)
    np.testing.assert_allclose(tilted[5:15, 5:15, 2], -0.002, atol=1e-5)
