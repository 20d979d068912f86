"""Moving things: tracks that no rigid world explains, and the areas of the picture that go with them."""

from dataclasses import replace

import numpy as np
import pytest

from threer_blender.geometry.shots import moving_objects
from threer_blender.model.arrays import Array

from . import synthetic_shots

SIZE = (640, 360)


@pytest.mark.parametrize("poses", [synthetic_shots.moving(), synthetic_shots.turning()], ids=["moving", "turning"])
def test_tracks_of_what_walks_are_not_explained(poses: Array) -> None:
    for walking, least, most in ((0.0, 0.0, 0.0), (0.25, 0.2, 0.3)):
        shot = synthetic_shots.shot(poses, walking=walking)
        walks = moving_objects.unexplained(shot.tracks.tracks, list(shot.cameras.values()))
        assert least <= walks.mean() <= most


def test_frames_without_a_camera_say_nothing() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(), walking=0.25)
    cameras = [None if number % 2 else camera for number, camera in shot.cameras.items()]
    assert 0.1 < moving_objects.unexplained(shot.tracks.tracks, cameras).mean() < 0.3
    assert not moving_objects.unexplained(shot.tracks.tracks, [None] * len(cameras)).any()


def places() -> Array:
    """(N, 2) pixels of tracks all over the picture: one in each cell of about 26 pixels, as the tracker takes them."""
    random = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(np.arange(13, SIZE[0], 26.0), np.arange(13, SIZE[1], 26.0)), -1).reshape(-1, 2)
    return cells + random.uniform(-10, 10, cells.shape)


def test_an_area_is_where_most_tracks_move() -> None:
    tracks = places()
    inside = ((tracks > (200, 60)) & (tracks < (420, 300))).all(axis=1)
    area = moving_objects.area(tracks, inside, SIZE)
    assert area.shape == (90, 160)
    true = np.zeros_like(area)
    true[15:75, 50:105] = True
    assert (area & true).sum() / (area | true).sum() > 0.8


def test_single_wrong_tracks_make_no_area() -> None:
    tracks = places()
    wrong = np.arange(len(tracks)) % 40 == 0
    assert not moving_objects.area(tracks, wrong, SIZE).any()


def test_short_tracks_and_those_that_slip_a_little_prove_nothing() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(), walking=0.25)
    tracks, cameras = shot.tracks.tracks, list(shot.cameras.values())
    independent, proven = moving_objects.moving_tracks(tracks, cameras)
    long = np.bincount(tracks.point) >= 8
    assert proven.mean() > 0.1
    assert not (proven & ~(independent & long)).any()
    still = synthetic_shots.shot(synthetic_shots.moving()).tracks.tracks
    slipping = np.where(np.arange(len(still)) % 3 == 0, 0.2, 0.0)[still.point] * still.camera  # px
    slipped = replace(still, pixels=still.pixels + slipping[:, None] * [0.0, 1.0])
    independent, proven = moving_objects.moving_tracks(slipped, cameras)
    assert independent.mean() > 0.1
    assert not proven.any()
