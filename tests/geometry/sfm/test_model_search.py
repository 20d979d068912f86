"""Things that look alike are separated where the rest differs; two photos that no third checks are doubted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.geometry.sfm.like_houses import HOUSE, PHOTOS, houses
from tests.geometry.sfm.synthetic_matches import FOCAL, HEIGHT, WIDTH, silent, synthetic
from threer_blender.geometry.features.database import without_pairs
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.arrays import FloatArray
from threer_blender.model.errors import UserError


def largest_rotation_error(solution: MappingSolution, true: list[FloatArray]) -> float:
    """Degrees, over the rotations between all pairs of cameras. `true` are camera_from_world (4, 4) by photo."""
    errors = []
    for first in solution.cameras:
        for second in solution.cameras:
            solved = first.camera_from_world @ second.world_from_camera
            i, j = (int(camera.photo.split(".")[0]) for camera in (first, second))
            cosine = (np.trace(solved[:3, :3].T @ true[i][:3, :3] @ true[j][:3, :3].T) - 1) / 2
            errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return max(errors)


def test_like_houses_are_separated(tmp_path: Path) -> None:
    """One of the two is solved; the photos of the other are named as solved apart."""
    matched, true = houses(tmp_path)
    solution = solve(matched, silent)
    solved = {int(camera.photo.split(".")[0]) for camera in solution.cameras}
    assert solved in ({0, 1, 2}, {3, 4, 5})
    assert largest_rotation_error(solution, true) < 0.5
    assert len(solution.other_models) == 1
    assert all("solved together" in entry.reason for entry in solution.unregistered)
    assert "told apart" in solution.notes[0]


def test_like_fronts_are_separated_by_what_stands_before_them(tmp_path: Path) -> None:
    """The verified matches of all pairs lie on the fronts alone."""
    matched, true = houses(tmp_path, flat=True)
    assert set(matched.inliers.tolist()) == {HOUSE}
    solution = solve(matched, silent)
    solved = {int(camera.photo.split(".")[0]) for camera in solution.cameras}
    assert solved in ({0, 1, 2}, {3, 4, 5})
    assert largest_rotation_error(solution, true) < 3  # a front tells little of the lens
    assert "told apart" in solution.notes[0]


@pytest.mark.parametrize(("flat", "degrees"), [(True, 3), (False, 0.5)])  # a front alone tells little of the lens
def test_one_house_stays_whole(tmp_path: Path, flat: bool, degrees: float) -> None:
    matched, true = houses(tmp_path, same_ground=True, flat=flat, matched_ground=flat)
    solution = solve(matched, silent)
    assert len(solution.cameras) == 2 * PHOTOS
    assert largest_rotation_error(solution, true) < degrees
    assert not any("look alike" in note for note in solution.notes)


def test_like_houses_are_separated_where_each_photo_has_a_lens_of_its_own(tmp_path: Path) -> None:
    matched, _ = houses(tmp_path, zooms=(1.0, 1.4, 0.8, 1.2, 0.9, 1.5))
    solution = solve(matched, silent)
    assert {int(camera.photo.split(".")[0]) for camera in solution.cameras} in ({0, 1, 2}, {3, 4, 5})
    assert "told apart" in solution.notes[0]


@pytest.mark.parametrize(("other", "degrees"), [(2, 24), (6, 72)])
def test_two_photos_that_stand_too_far_apart_to_match_are_refused(tmp_path: Path, other: int, degrees: int) -> None:
    matched, _ = synthetic(tmp_path, "SIMPLE_RADIAL", [FOCAL, WIDTH / 2, HEIGHT / 2, 0.0], np.ones(7), (1, 1, 1))
    others = {(i, j) for i in range(7) for j in range(7) if {i, j} != {0, other}}
    fewer = without_pairs(matched, others)
    if degrees > 60:
        with pytest.raises(UserError, match="more than 60 degrees apart"):
            solve(fewer, silent)
    else:
        assert len(solve(fewer, silent).cameras) == 2


def test_two_photos_are_doubted_first(tmp_path: Path) -> None:
    """No third photo tells whether the two show one house, or two that look alike."""
    matched, _ = houses(tmp_path)
    others = {(i, j) for i in range(6) for j in range(6) if {i, j} != {0, 4}}
    solution = solve(without_pairs(matched, others), silent)
    assert len(solution.cameras) == 2
    assert "No third photo" in solution.notes[0]


@pytest.mark.parametrize("textured", [True, False])
def test_photos_that_show_other_things_than_their_cameras_say_are_doubted(tmp_path: Path, textured: bool) -> None:
    """All matches are of one house. The pictures are of something else each, or plain, which tells nothing."""
    matched, true = houses(tmp_path, same_ground=True)
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256 if textured else 6, (80, 107), np.uint8) for _ in true]
    pictures = [np.kron(picture, np.ones((3, 3), np.uint8)) for picture in noise]
    solution = solve(replace(matched, pictures=pictures), silent)
    assert len(solution.cameras) == 2 * PHOTOS
    assert any("look alike" in note for note in solution.notes) == textured
