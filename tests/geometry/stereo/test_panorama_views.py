"""The views of a panorama have the points that they see, where they see them."""

import numpy as np

from tests import painted_room
from threer_blender.geometry.stereo import panorama_views
from threer_blender.model import lens
from threer_blender.model.reconstruction import Camera

WIDTH = 128


def test_points_lie_in_the_views_where_the_panorama_shows_them() -> None:
    random = np.random.default_rng(0)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]], (0.3, 0.1, -0.2)
    focal, distortion = WIDTH / (2 * np.pi), lens.Distortion(lens.PANORAMA)
    camera = Camera("round", WIDTH, WIDTH // 2, focal, focal, WIDTH / 2, WIDTH / 4, pose, distortion)
    points, ids = pose[:3, 3] + random.normal(size=(300, 3)), np.arange(300) + 7
    picture = painted_room.panorama(pose, WIDTH)
    views = panorama_views.cut(camera, picture, points, ids)
    assert set(np.concatenate([view.sparse_ids for view in views])) == set(ids)
    for view in views:
        assert (view.centre == pose[:3, 3]).all()
        local = (view.sparse_points - view.centre) @ view.world_from_camera[:3, :3]
        assert (local[:, 2] > 0).all()
        height, width = view.image.shape[:2]
        pixels = local @ view.intrinsics.T
        pixels = pixels[:, :2] / pixels[:, 2:]
        assert ((pixels > 0) & (pixels < (width, height))).all()
        column, row = pixels.astype(int).T
        pixels_there = camera.project(view.sparse_points).astype(int)
        colors = picture[pixels_there[:, 1].clip(0, WIDTH // 2 - 1), pixels_there[:, 0] % WIDTH]
        assert np.median(np.abs(view.image[row, column].astype(int) - colors)) < 20


def test_a_view_of_the_same_picture_is_as_it_was_cut() -> None:
    focal, distortion = WIDTH / (2 * np.pi), lens.Distortion(lens.PANORAMA)
    camera = Camera("round", WIDTH, WIDTH // 2, focal, focal, WIDTH / 2, WIDTH / 4, np.eye(4), distortion)
    picture = painted_room.panorama(np.eye(4), WIDTH)
    for view in panorama_views.cut(camera, picture, np.zeros((0, 3)), np.zeros(0, int)):
        assert np.abs(panorama_views.view_of(camera, view, picture).astype(int) - view.image).max() <= 1
