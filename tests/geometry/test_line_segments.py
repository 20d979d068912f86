"""Straight edges: where they are to a fraction of a pixel, and none where there is none."""

import numpy as np
import pytest

from threer_blender.geometry.line_segments import line_segments


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 118, 163])
def test_the_edge_of_a_half_plane(degrees: int) -> None:
    y, x = np.mgrid[:120, :160] + 0.5
    angle = np.radians(degrees)
    across = (x - 80) * np.sin(angle) - (y - 60) * np.cos(angle)  # from the line through the middle
    segments = line_segments(np.clip(across + 0.5, 0, 1) * 100 + 50, 25.0)
    lengths = np.linalg.norm(segments[:, :2] - segments[:, 2:], axis=1)
    x0, y0, x1, y1 = segments[lengths.argmax()]
    assert lengths.max() > 100
    off = np.degrees(np.arctan2(y1 - y0, x1 - x0) - angle)
    assert abs((off + 90) % 180 - 90) < 0.2
    assert abs((x0 - 80) * np.sin(angle) - (y0 - 60) * np.cos(angle)) < 0.3
    assert len(segments) == 1


def test_a_square_has_four_sides() -> None:
    picture = np.full((100, 100), 30.0)
    picture[20:80, 30:70] = 200.0
    segments = line_segments(picture, 25.0)
    assert len(segments) == 4
    lengths = np.sort(np.linalg.norm(segments[:, :2] - segments[:, 2:], axis=1))
    assert np.abs(lengths - (40, 40, 60, 60)).max() < 4


def test_neither_noise_nor_a_circle_nor_a_flat_picture_has_any() -> None:
    y, x = np.mgrid[:100, :100] + 0.5
    circle = np.clip(30 - np.hypot(x - 50, y - 50), 0, 1) * 100
    noise = np.random.default_rng(0).uniform(0, 255, (100, 100))
    assert len(line_segments(circle, 30.0)) == 0
    assert len(line_segments(noise, 30.0)) == 0
    assert len(line_segments(np.zeros((40, 40)), 20.0)) == 0
