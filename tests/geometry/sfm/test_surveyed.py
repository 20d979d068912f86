"""Survey points that are held tell what photos leave open: focal length and scale."""

from pathlib import Path

import numpy as np
import pytest

from tests.geometry.sfm.synthetic_matches import DISTANCE, FOCAL, HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.sfm import mapping
from threer_blender.geometry.sfm.surveyed import HeldSurvey, PhotoMark
from threer_blender.model.arrays import Array


def true_pose(number: int, photos: int) -> tuple[Array, Array]:
    """Rotation and translation, camera from world, as `synthetic` makes them."""
    angle = np.radians(12 * (number - (photos - 1) / 2))
    sine, cosine = np.sin(angle), np.cos(angle)
    rotation = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    return rotation, np.array([0.3 * np.sin(2.1 * number), 0.3 * np.cos(1.7 * number), DISTANCE])


def test_held_points_tell_an_open_focal_length_and_the_world(tmp_path: Path) -> None:
    """A small flat thing in the middle of three photos leaves the focal length open by a tenth or more."""
    lens = [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0]
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", lens, np.ones(3), (0.2, 0.2, 0.05), count=120, seed=1)
    points = np.random.default_rng(0).uniform(-1, 1, (10, 3)) * (1.2, 0.9, 1.2)
    marks, random = [], np.random.default_rng(1)
    for photo in range(3):
        rotation, translation = true_pose(photo, 3)
        local = points @ rotation.T + translation
        pixels = local[:, :2] / local[:, 2:] * FOCAL + (WIDTH / 2, HEIGHT / 2)
        marks += [PhotoMark(photo, i, pixel + 0.2 * random.standard_normal(2)) for i, pixel in enumerate(pixels)]
    alone = mapping.solve(matched, silent)
    solution = mapping.solve(matched, silent, HeldSurvey(points, marks))
    assert abs(solution.cameras[0].fx / FOCAL - 1) < 0.01 < abs(alone.cameras[0].fx / FOCAL - 1)
    for photo, camera in enumerate(solution.cameras):
        rotation, translation = true_pose(photo, 3)
        assert camera.world_from_camera[:3, 3] == pytest.approx(-rotation.T @ translation, abs=0.03)
    assert len(solution.positions) == len(alone.positions)
