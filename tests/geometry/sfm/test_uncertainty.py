"""What few photos tell of their lens is solved for, and what they leave open is told."""

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
