"""Views cut from a panorama show what pinhole cameras of that centre see, and lead back to its pixels."""

import numpy as np
import pytest

from tests import painted_room
from threer_blender.geometry import panoramas
from threer_blender.model import lens
from threer_blender.model.arrays import Array

WIDTH = 512
POSE = np.eye(4)


@pytest.fixture(scope="module")
def picture() -> Array:
    return painted_room.panorama(POSE, WIDTH)


@pytest.mark.parametrize("view", range(len(panoramas.VIEWS)))
def test_a_view_is_what_a_pinhole_camera_sees(picture: Array, view: int) -> None:
    intrinsics, (side, _) = panoramas.view_picture(WIDTH)
    pose = np.eye(4)
    pose[:3, :3] = panoramas.VIEWS[view]
    true = painted_room.photo(pose, side, side, intrinsics[0, 0])
    cut = panoramas.cut(picture, view)
    assert cut.shape == true.shape
    inner = slice(side // 4, -side // 4)  # at the corners a panorama is twice as fine
    difference = np.abs(cut[inner, inner].astype(float) - true[inner, inner])
    assert np.median(difference) < 8
    shifted = np.abs(np.roll(cut, 1, axis=1)[inner, inner].astype(float) - true[inner, inner])
    assert np.median(difference) < np.median(shifted) / 3


def test_every_direction_is_in_one_view_and_comes_back() -> None:
    random = np.random.default_rng(0)
    directions = random.normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    pixels = lens.panorama_angles(directions) * (WIDTH / (2 * np.pi)) + (WIDTH / 2, WIDTH / 4)
    intrinsics, (side, _) = panoramas.view_picture(WIDTH)
    nearest = panoramas.nearest_view(directions)
    assert set(nearest) == set(range(len(panoramas.VIEWS)))
    for view in range(len(panoramas.VIEWS)):
        mine = nearest == view
        local = directions[mine] @ panoramas.VIEWS[view]
        in_view = local[:, :2] / local[:, 2:] * intrinsics[0, 0] + intrinsics[:2, 2]
        assert (in_view > 0).all()
        assert (in_view < side).all()
        back = panoramas.from_view(view, in_view, WIDTH, WIDTH // 2)
        assert np.abs(back - pixels[mine]).max() < 1e-9


def test_views_are_as_large_as_asked() -> None:
    for side in (400, 1000, 1600):
        assert abs(panoramas.view_picture(panoramas.width_for(side))[1][0] - side) <= 1
