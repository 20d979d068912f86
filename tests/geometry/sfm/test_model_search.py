"""Things that look alike are separated where the rest differs; two photos that no third checks are doubted."""

from pathlib import Path

import numpy as np

from tests.geometry.sfm.like_houses import PHOTOS, houses
from tests.geometry.sfm.synthetic_matches import silent
from threer_blender.geometry.features.database import without_pairs
from threer_blender.geometry.sfm.mapping import MappingSolution, solve
from threer_blender.model.arrays import FloatArray


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


def test_one_house_stays_whole(tmp_path: Path) -> None:
    matched, true = houses(tmp_path, same_ground=True, matched_ground=False)
    solution = solve(matched, silent)
    assert len(solution.cameras) == 2 * PHOTOS
    assert largest_rotation_error(solution, true) < 0.5
    assert not any("look alike" in note for note in solution.notes)


def test_two_photos_are_doubted_first(tmp_path: Path) -> None:
    """No third photo tells whether the two show one house, or two that look alike."""
    matched, _ = houses(tmp_path)
    others = {(i, j) for i in range(6) for j in range(6) if {i, j} != {0, 4}}
    solution = solve(without_pairs(matched, others), silent)
    assert len(solution.cameras) == 2
    assert "No third photo" in solution.notes[0]
