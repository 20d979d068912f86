"""Lenses that differ from photo to photo, and fisheyes: solved as such where the matches ask for it, and reported.

The photos are synthetic: points, cameras and their matches, with a quarter of a pixel of noise.
"""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tests.geometry.sfm.synthetic_matches import FOCAL, HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.sfm import lens_starts
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.arrays import Array

PHOTOS = 6
FISHEYE = [360.0, 360.0, WIDTH / 2, HEIGHT / 2, -0.02, 0.003, 0.0, 0.0]  # 163 degrees over the width


def worst_rotation(solution: MappingSolution, truth: list[Array]) -> float:
    """Degrees, over all pairs of photos."""
    solved = [camera.camera_from_world[:3, :3] for camera in solution.cameras]
    worst = 0.0
    for i in range(PHOTOS):
        for j in range(i):
            off = (solved[i] @ solved[j].T).T @ (truth[i] @ truth[j].T)
            worst = max(worst, float(np.degrees(np.arccos(np.clip((np.trace(off) - 1) / 2, -1, 1)))))
    return worst


def test_photos_of_a_zoom_are_given_a_lens_each(tmp_path: Path) -> None:
    zooms = np.array([1.0, 1.5, 1.0, 1.25, 1.8, 1.1])
    matched, truth = synthetic(tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], zooms, (1.5, 1.5, 1.5))
    solution = solve(matched, silent)
    assert len(solution.cameras) == PHOTOS
    assert [camera.fx for camera in solution.cameras] == pytest.approx(list(FOCAL * zooms), rel=0.02)
    assert worst_rotation(solution, truth) < 0.5
    assert any("a lens of its own" in note for note in solution.notes)


def test_photos_of_one_lens_share_it(tmp_path: Path) -> None:
    matched, truth = synthetic(
        tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, -0.05], np.ones(PHOTOS), (1.5, 1.5, 1.5)
    )
    solution = solve(matched, silent)
    assert len({camera.fx for camera in solution.cameras}) == 1
    assert solution.cameras[0].fx == pytest.approx(FOCAL, rel=0.01)
    assert worst_rotation(solution, truth) < 0.2
    assert solution.notes == []


def test_a_fisheye_is_solved_as_one(tmp_path: Path) -> None:
    matched, truth = synthetic(tmp_path, "OPENCV_FISHEYE", FISHEYE, np.ones(PHOTOS), (5, 4, 2))
    solution = solve(matched, silent)
    assert len(solution.cameras) == PHOTOS
    for camera in solution.cameras:
        assert camera.distortion.model == "OPENCV_FISHEYE"
        assert camera.fx == pytest.approx(FISHEYE[0], rel=0.02)
    assert worst_rotation(solution, truth) < 0.5
    assert any("fisheye" in note for note in solution.notes)


def test_a_camera_each_keeps_the_matches(tmp_path: Path) -> None:
    matched, _ = synthetic(
        tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], np.ones(PHOTOS), (1.5, 1.5, 1.5)
    )
    with pycolmap.Database.open(lens_starts.one_each(matched)) as database:
        images = database.read_all_images()
        assert len({image.camera_id for image in images}) == database.num_cameras() == PHOTOS
        assert len(database.read_two_view_geometries()[0]) == len(matched.pairs)
