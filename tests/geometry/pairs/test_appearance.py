"""A photo that shows other things around what matches is told from one that shows the same from beside."""

import numpy as np
import pycolmap
import pytest
from PIL import Image

from threer_blender.geometry.pairs.appearance import SIDE, compared, small_picture
from threer_blender.model.arrays import Array, FloatArray

WIDTH, HEIGHT, FOCAL, DISTANCE = 320, 240, 300.0, 4.0
CENTRES = (-0.15, 0.0, 0.15)  # x of the cameras, which look straight at a wall
NUMBERS = frozenset(range(len(CENTRES)))


def texture(seed: int) -> Array:
    """(480, 640) uint8 of smooth noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (160, 214)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC))


def photo(wall: Array, centre: float) -> Array:
    """(HEIGHT, WIDTH) the wall from x = `centre`; its pixels are as large as the photo's."""
    left = round(160 + centre * FOCAL / DISTANCE)
    return np.ascontiguousarray(wall[120 : 120 + HEIGHT, left : left + WIDTH])


def model(centres: tuple[float, ...] = CENTRES, depth: float = DISTANCE) -> pycolmap.Reconstruction:
    """Cameras at these `centres`, and points at a `depth` that all of them observe."""
    made = pycolmap.Reconstruction()
    camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", FOCAL, WIDTH, HEIGHT)
    made.add_camera_with_trivial_rig(camera)
    positions = np.array([(x, y, depth) for x in np.linspace(-1, 1, 6) for y in np.linspace(-1, 1, 6)])
    for number, centre in enumerate(centres):
        image = pycolmap.Image(
            name=str(number), keypoints=projected(positions, centre), camera_id=1, image_id=number + 1
        )
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([-centre, 0.0, 0.0])))
    for number, position in enumerate(positions):
        track = pycolmap.Track([pycolmap.TrackElement(image, number) for image in range(1, len(centres) + 1)])
        made.add_point3D(position, track)
    return made


def projected(positions: FloatArray, centre: float) -> FloatArray:
    """(N, 2) pixels of positions (N, 3)."""
    return (positions[:, :2] - (centre, 0)) / DISTANCE * FOCAL + (WIDTH / 2, HEIGHT / 2)


def test_photos_of_one_wall_miss_nothing() -> None:
    shares, witnessed = compared(model(), NUMBERS, [photo(texture(0), centre) for centre in CENTRES])
    assert set(witnessed.values()) == {0.0}
    assert shares == dict.fromkeys([(i, j) for i in NUMBERS for j in NUMBERS if i != j], 0.0)


def test_a_photo_with_another_lower_half_contradicts_the_others() -> None:
    pictures = [photo(texture(0), centre) for centre in CENTRES]
    pictures[2][120:] = photo(texture(1), CENTRES[2])[120:]
    shares, _ = compared(model(), NUMBERS, pictures)
    assert {pair for pair, share in shares.items() if share > 0.05} == {(0, 2), (1, 2), (2, 0), (2, 1)}
    assert shares[0, 1] == shares[1, 0] == 0


def test_a_strip_that_only_a_farther_photo_shows_is_witnessed() -> None:
    """The photo in the middle shows something else along the lower edge, the farther one what the first one shows."""
    pictures = [photo(texture(0), centre) for centre in CENTRES]
    pictures[1][-30:] = photo(texture(1), CENTRES[1])[-30:]
    _, witnessed = compared(model(), NUMBERS, pictures)
    assert witnessed[0, 1] > 0.03
    assert witnessed[2, 1] > 0.03


def test_plain_surfaces_tell_nothing() -> None:
    """A plain lower part differs from everything, but hardly from other plain parts."""
    pictures = [photo(texture(0), centre) for centre in CENTRES]
    for number, picture in enumerate(pictures):
        picture[100:] = 100 + 40 * number
    assert set(compared(model(), NUMBERS, pictures)[0].values()) == {0.0}


@pytest.mark.parametrize("distance", [1.5, 6.0])
def test_photos_from_far_apart_are_not_compared(distance: float) -> None:
    pictures = [photo(texture(number), 0.0) for number in range(2)]
    assert compared(model((0.0, distance)), frozenset((0, 1)), pictures) == ({}, {})


def test_photos_whose_points_are_behind_them_are_not_compared() -> None:
    pictures = [photo(texture(0), centre) for centre in CENTRES]
    assert compared(model(depth=-DISTANCE), NUMBERS, pictures) == ({}, {})


def test_without_pictures_nothing_is_compared() -> None:
    assert compared(model(), NUMBERS, []) == ({}, {})


@pytest.mark.parametrize(
    ("shape", "small"), [((900, 1200), (240, SIDE)), ((1200, 300), (SIDE, 80)), ((20, 30), (20, 30))]
)
def test_small_pictures_keep_the_shape(shape: tuple[int, int], small: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), (200, 100, 0), np.uint8)
    assert small_picture(picture).shape == small
    assert abs(int(small_picture(picture).mean()) - (0.299 * 200 + 0.587 * 100)) <= 1
