"""Parameters of a lens that few photos determine are solved for; those that they leave open are reported."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.geometry.sfm.synthetic_matches import FOCAL, HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.sfm.mapping import solve


@pytest.mark.parametrize("k1", [-0.1, 0.03])
def test_three_photos_that_tell_the_distortion_have_it_solved(k1: float, tmp_path: Path) -> None:
    """With the distortion held at none, the focal length of the first is 13 % off."""
    lens = [FOCAL, WIDTH / 2, HEIGHT / 2, k1]
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", lens, np.ones(3), (1.5, 1.5, 1.5))
    solution = solve(matched, silent)
    assert len(solution.cameras) == 3
    for camera in solution.cameras:
        assert camera.fx == pytest.approx(FOCAL, rel=0.01)
        assert camera.distortion.params[0] == pytest.approx(k1, abs=0.02)
    assert not any("open by" in note for note in solution.notes)


@pytest.mark.parametrize("seed", range(4))
def test_a_focal_length_that_three_photos_leave_open_is_told(seed: int, tmp_path: Path) -> None:
    """A small flat thing in the middle of each photo. The error is within two standard deviations, as 19 of 20 are."""
    lens = [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0]
    extent = (0.2, 0.2, 0.05)
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", lens, np.ones(3), extent, count=120, seed=seed)
    solution = solve(matched, silent)
    (percent,) = (float(number) for note in solution.notes for number in re.findall(r"open by ± (\d+) %", note))
    assert 8 < percent < 30
    assert abs(solution.cameras[0].fx / FOCAL - 1) < percent / 100
