"""A lens that the artist knows stays as it is in mapping. Where the photos would prefer another one, a note says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tests.geometry.sfm.synthetic_matches import FOCAL, HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.features.database import Matched, camera_of
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.lens import Distortion, KnownLens, distort

BROWN = Distortion("BROWN", (-0.2, 0.05, -0.01, 0.0, 1e-3, -1e-3))


def known(matched: Matched, lens: KnownLens) -> Matched:
    """The same with this lens for all photos."""
    photos = [replace(photo, focal=lens.focal, lens=lens) for photo in matched.photos]
    with pycolmap.Database.open(matched.path) as database:
        for each in database.read_all_cameras():
            database.update_camera(camera_of(photos[0], (WIDTH, HEIGHT), each.camera_id))
    return replace(matched, photos=photos)


def solved(tmp_path: Path, lens: KnownLens, k1: float = 0.0) -> MappingSolution:
    true = [FOCAL, WIDTH / 2, HEIGHT / 2, k1]
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", true, np.ones(5), (1.5, 1.5, 1.5))
    return solve(known(matched, lens), silent)


def test_the_true_lens_stays_and_nothing_is_said(tmp_path: Path) -> None:
    lens = KnownLens(FOCAL, (WIDTH / 2, HEIGHT / 2), Distortion("SIMPLE_RADIAL", (-0.1,)), held=True)
    solution = solved(tmp_path, lens, -0.1)
    assert len(solution.cameras) == 5
    for camera in solution.cameras:
        assert camera.fx == pytest.approx(FOCAL)
        assert (camera.cx, camera.cy) == lens.centre
        assert camera.distortion == lens.distortion
    assert not any("prefer" in note for note in solution.notes)


def test_a_wrong_focal_length_that_is_held_is_said(tmp_path: Path) -> None:
    solution = solved(tmp_path, KnownLens(1.15 * FOCAL, held=True, name="The known focal length of 50 mm"))
    assert all(camera.fx == pytest.approx(1.15 * FOCAL) for camera in solution.cameras)
    (note,) = (note for note in solution.notes if "prefer" in note)
    assert note.startswith("The known focal length of 50 mm is held, but the photos prefer")
    assert "shorter" in note


def test_a_start_far_from_the_solved_lens_is_said(tmp_path: Path) -> None:
    solution = solved(tmp_path, KnownLens(1.15 * FOCAL))
    assert all(camera.fx == pytest.approx(FOCAL, rel=0.01) for camera in solution.cameras)
    assert any("was the start; the solved focal length is 13." in note for note in solution.notes)


def test_the_solver_knows_brown_by_another_name(tmp_path: Path) -> None:
    lens = KnownLens(FOCAL, (WIDTH / 2 + 3, HEIGHT / 2), BROWN, held=True)
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], np.ones(2), (1.5, 1.5, 1.5))
    camera = camera_of(known(matched, lens).photos[0], (WIDTH, HEIGHT), 1)
    rays = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 2))
    ours = np.column_stack([rays, np.ones(50)])
    expected = distort(BROWN, rays) * FOCAL + (WIDTH / 2 + 3, HEIGHT / 2)
    assert camera.img_from_cam(ours) == pytest.approx(expected, abs=1e-9)
