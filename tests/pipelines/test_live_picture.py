"""The live picture shows the newest photo, and the way of the cameras, whatever part of the capture they are in."""

from itertools import count

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.view_prediction import ViewPrediction
from threer_blender.model.arrays import Array
from threer_blender.model.similarity import Similarity
from threer_blender.pipelines import live_picture
from threer_blender.pipelines.live_picture import SIDE, WAY, LivePicture

SIZE = (30, 40)
BLUE = np.full((*SIZE, 3), (0, 0, 200), np.uint8)


def in_first_frame(truth: list[oracle.View], first: int, unit: float) -> list[ViewPrediction]:
    """The true views from number `first` on, in the frame of that one, in a `unit` of their own."""
    pose = np.linalg.inv(truth[first].world_from_camera)
    frame = Similarity(unit, pose[:3, :3], unit * pose[:3, 3])
    views = []
    for view in truth[first:]:
        depth = view.depth.astype(np.float32)
        whole = ViewPrediction(view.intrinsics, view.world_from_camera, depth, np.full(SIZE, 5.0, np.float32))
        views.append(whole.transformed(frame))
    return views


def test_parts_with_frames_of_their_own_continue_the_way() -> None:
    truth = oracle.orbit(12, SIZE, 200)
    live = LivePicture(lambda _picture: None)
    for index, view in enumerate(in_first_frame(truth[:8], 0, 0.4)):
        live.add(0, index, view, BLUE)
    for index, view in enumerate(in_first_frame(truth, 6, 3.0), 6):
        live.add(1, index, view, BLUE)
    expected = np.stack([view.world_from_camera[:3, 3] for view in in_first_frame(truth, 0, 0.4)])
    np.testing.assert_allclose(live.way(), expected, atol=1e-5)


def test_picture_shows_the_photo_and_the_way_ahead() -> None:
    """A camera that goes ahead draws an upright line."""
    live = LivePicture(lambda _picture: None)
    for index in range(5):
        pose = np.eye(4)
        pose[2, 3] = index
        lens = np.array([[30.0, 0, 20], [0, 30, 15], [0, 0, 1]])
        live.add(0, index, ViewPrediction(lens, pose, np.full(SIZE, 6.0), np.ones(SIZE)), BLUE)
    picture = live.picture(BLUE)
    assert picture.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(picture[SIDE // 2, SIDE // 2], (0, 0, 200))
    rows, columns = np.nonzero((picture == WAY).all(axis=-1))
    assert np.ptp(columns) <= 3
    assert np.ptp(rows) > 50


def test_a_view_without_points_and_a_still_camera_have_a_picture() -> None:
    live = LivePicture(lambda _picture: None)
    nothing = np.full(SIZE, np.nan, np.float32)
    for part in range(2):
        live.add(part, part, ViewPrediction(np.eye(3), np.eye(4), nothing, np.zeros(SIZE)), BLUE)
    assert live.picture(BLUE).shape == (SIDE, 2 * SIDE, 3)


def test_pictures_come_every_two_seconds_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_picture, "MOST_POINTS", 5000)
    pictures: list[Array] = []
    ticks = count()
    live = LivePicture(pictures.append, clock=lambda: next(ticks) / 10)
    (view,) = in_first_frame(oracle.orbit(1, SIZE), 0, 1.0)
    for index in range(100):
        live.add(0, index, view, BLUE)
    assert 4 <= len(pictures) <= 6
