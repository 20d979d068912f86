"""Twenty panoramas of a room and twenty ordinary pictures of it, twice as wide as high: each is known as such."""

from pathlib import Path

import numpy as np
import pytest

from tests import painted_room
from tests.pictures.saved import read_one, save
from threer_blender.geometry import rotations
from threer_blender.model.arrays import FloatArray

VARIANTS = [
    (suffix, options, width)
    for suffix, options in (
        (".jpg", {"quality": 95}),
        (".jpg", {"quality": 85}),
        (".png", {}),
        (".webp", {"quality": 85}),
        (".tif", {}),
    )
    for width in (256, 320, 400, 512)
]


def pose(seed: int, tilt: float) -> FloatArray:
    random = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rotations.from_vectors(np.array([tilt * random.normal(), random.uniform(-3, 3), 0.0]))
    matrix[:3, 3] = random.uniform(-0.3, 0.3, 3) * painted_room.SIZE
    return matrix


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_panoramas_of_a_room_are_known_without_tags(tmp_path: Path, number: int) -> None:
    suffix, options, width = VARIANTS[number]
    picture = painted_room.panorama(pose(number, 0.1), width)
    photo = read_one(save(tmp_path / f"room{suffix}", picture, **options))
    assert photo.panorama
    assert photo.focal == pytest.approx(width / (2 * np.pi))


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_wide_photos_of_a_room_are_no_panoramas(tmp_path: Path, number: int) -> None:
    suffix, options, width = VARIANTS[number]
    picture = painted_room.photo(pose(number, 0.1), width, width // 2, width * (0.3 + 0.05 * number))
    assert not read_one(save(tmp_path / f"room{suffix}", picture, **options)).panorama


@pytest.mark.parametrize("number", range(0, len(VARIANTS), 4))
def test_a_wide_film_between_black_bars_is_no_panorama(tmp_path: Path, number: int) -> None:
    picture = painted_room.photo(pose(number, 0.1), 320, 160, 200)
    picture[:20], picture[-20:] = 0, 0
    assert not read_one(save(tmp_path / "bars.png", picture)).panorama
