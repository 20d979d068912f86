"""SIFT features of rendered photos: found, matched, verified, and the same each time."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest

from tests.sample_photos import SAMPLE
from threer_blender.files.photo_files import find
from threer_blender.geometry.features import features
from threer_blender.geometry.features.database import FeatureSettings, Matched, Search
from threer_blender.model.arrays import BoolArray
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import photos

SMALL = FeatureSettings(long_side=320, features=600, first_octave=0)


@pytest.fixture(scope="module")
def matched(tmp_path_factory: pytest.TempPathFactory) -> Matched:
    given = photos.read(find(SAMPLE[:2]).files, lambda *_: None).accepted
    folder = tmp_path_factory.mktemp("features")
    return features.extract_and_match(Search(given, photos.pixels, folder, SMALL, lambda *_: None))


def test_neighbouring_photos_share_verified_matches(matched: Matched) -> None:
    assert matched.pairs.tolist() == [[0, 1]]
    assert matched.inliers[0] > 30
    assert (matched.features > 100).all()
    assert max(matched.sizes[0]) == 320


def test_colours_are_those_of_the_keypoints(matched: Matched) -> None:
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[2, 5] = (1, 2, 3)
    np.testing.assert_array_equal(features.colors_at(picture, np.array([[5.5, 2.5], [9.0, 2.2]])), [[1, 2, 3]] * 2)
    assert all(len(colors) == count for colors, count in zip(matched.colors, matched.features, strict=True))


def test_no_feature_lies_on_what_is_left_out(tmp_path: Path) -> None:
    def left_half(_photo: Photo, size: tuple[int, int]) -> BoolArray:
        return np.arange(size[0]) < size[0] // 2 + np.zeros((size[1], 1), int)

    given = photos.read(find(SAMPLE[:2]).files, lambda *_: None).accepted
    _, colors, _ = features.extract(
        Search(given, photos.pixels, tmp_path, SMALL, lambda *_: None, left_half), tmp_path / "database.db"
    )
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        keypoints = database.read_keypoints(1)
    assert 20 < len(keypoints) == len(colors[0])
    assert keypoints[:, 0].min() >= 160
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["database.db"]


def test_no_copy_of_a_photo_stays_on_disk(matched: Matched) -> None:
    assert [path.name for path in matched.path.parent.iterdir()] == ["database.db"]


def test_finer_settings_double_the_copies_of_large_photos() -> None:
    large, small = Photo("a.jpg", "", 1200, 900, ""), Photo("b.jpg", "", 600, 400, "")
    finer = features.finer(SMALL, [small, large])
    assert finer is not None
    assert finer.first_octave == -1
    assert features.finer(finer, [large]) is None
    assert features.finer(SMALL, [small]) is None  # a small copy is always doubled
