"""Matches around triangles of photos: those of one scene agree, those of a repeating pattern contradict each other."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from threer_blender.geometry.features.cycles import agreement
from threer_blender.geometry.features.database import FeatureSettings, Matched, add_image, read_verified
from threer_blender.model.reconstruction import Photo

SETTINGS = FeatureSettings(long_side=400, features=100)
COLUMNS, ROWS, TILE = 12, 8, 30


def matched(shifts: dict[tuple[int, int], int], folder: Path) -> Matched:
    """Three photos of a wall of tiles with one feature each; each pair is matched so many columns off."""
    path = folder / "database.db"
    photos = [Photo(str(number), "", 400, 300, "") for number in range(3)]
    grid = np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), axis=-1).reshape(-1, 2)
    with pycolmap.Database.open(path) as database:
        cameras: dict[object, int] = {}
        for index, photo in enumerate(photos):
            add_image(database, index, photo, (400, 300), cameras, SETTINGS)
            database.write_keypoints(index + 1, ((grid + 0.5) * TILE).astype(np.float32))
        for (i, j), shift in shifts.items():
            inside = np.flatnonzero((grid[:, 0] + shift >= 0) & (grid[:, 0] + shift < COLUMNS))
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = pycolmap.TwoViewGeometryConfiguration.PLANAR
            geometry.inlier_matches = np.stack([inside, inside + shift], axis=1).astype(np.uint32)
            database.write_two_view_geometry(i + 1, j + 1, geometry)
    return read_verified(path, photos, np.full((3, 2), (400, 300)), [np.zeros((len(grid), 3))] * 3)


@pytest.mark.parametrize("registered", [{0, 1, 2}, {0, 1}, {1, 2}, {0, 2}])
def test_matches_of_one_scene_agree(registered: set[int], tmp_path: Path) -> None:
    agreeing, comparable, _ = agreement(matched({(0, 1): 2, (1, 2): -1, (0, 2): 1}, tmp_path), registered, 15)
    assert agreeing == comparable > 50


@pytest.mark.parametrize("registered", [{0, 1, 2}, {0, 1}])
def test_pairs_that_are_a_tile_off_contradict_each_other(registered: set[int], tmp_path: Path) -> None:
    agreeing, comparable, _ = agreement(matched({(0, 1): 2, (1, 2): -1, (0, 2): 2}, tmp_path), registered, 15)
    assert agreeing == 0
    assert comparable > 50


def test_two_photos_alone_cannot_contradict_each_other(tmp_path: Path) -> None:
    assert agreement(matched({(0, 1): 2, (1, 2): -1}, tmp_path), {0, 1, 2}, 15) == (0, 0, 0)
