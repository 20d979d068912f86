"""Tracks: linked from matches, triangulated from rays and depths."""

from dataclasses import replace

import numpy as np

from threer_blender.geometry.adjustment.tracks import PairMatches, Tracks, link, triangulate
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera


def camera(x: float) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = x
    return Camera("a", 640, 480, 500.0, 500.0, 320.0, 240.0, pose)


def observed(cameras: list[Camera], points: Array, depths: float = np.nan) -> Tracks:
    """Every camera's exact observation of every point (P, 3).

    The observation's depth is the true one times `depths`; NaN stands for none.
    """
    number = np.repeat(np.arange(len(points)), len(cameras))
    index = np.tile(np.arange(len(cameras)), len(points))
    pixels = np.stack([c.project(points) for c in cameras], axis=1).reshape(-1, 2)
    return Tracks(number, index, pixels, depths * points[number, 2])


def test_tracks_are_linked_strongest_first_and_never_twice_in_a_photo() -> None:
    keypoints = [np.array([[1.0, 1], [2, 2]]), np.array([[3.0, 3], [4, 4]]), np.array([[5.0, 5]])]

    def pair(first: int, second: int, *matches: tuple[int, int], strength: float) -> PairMatches:
        table = np.array(matches)
        return PairMatches(first, second, table[:, 0], table[:, 1], strength)

    strong, wrong = pair(0, 1, (0, 0), (1, 1), strength=9), pair(1, 2, (0, 0), strength=5)
    clash = pair(0, 2, (1, 0), strength=1)
    tracks = link(keypoints, [clash, wrong, strong])
    assert tracks.camera.tolist() == [0, 1, 2, 0, 1]
    assert tracks.point.tolist() == [0, 0, 0, 1, 1]
    assert tracks.pixels[:, 0].tolist() == [1, 3, 5, 2, 4]


def test_rays_with_parallax_meet_at_their_point() -> None:
    cameras = [camera(0.0), camera(0.5), camera(1.0)]
    points = np.random.default_rng(0).uniform(-1, 1, (20, 3)) + (0, 0, 6)
    np.testing.assert_allclose(triangulate(cameras, observed(cameras, points)), points, atol=1e-6)


def test_without_parallax_a_depth_decides_and_without_both_nothing_does() -> None:
    cameras = [camera(0.0), camera(0.0)]
    points = np.array([[0.3, 0.2, 6.0], [-0.5, 0.1, 4.0]])
    np.testing.assert_allclose(triangulate(cameras, observed(cameras, points, depths=1.0)), points, rtol=1e-6)
    assert np.isnan(triangulate(cameras, observed(cameras, points))).all()


def test_points_behind_a_camera_are_no_points() -> None:
    cameras = [camera(0.0), camera(1.0)]
    points = np.array([[0.3, 0.2, -6.0]])
    number, index = np.zeros(2, int), np.arange(2)
    pixels = np.array([c.fx * (points[0, :2] - (c.world_from_camera[0, 3], 0)) / -6.0 + (320, 240) for c in cameras])
    assert np.isnan(triangulate(cameras, Tracks(number, index, pixels, np.full(2, np.nan)))).all()


def test_points_with_one_observation_left_are_dropped() -> None:
    cameras = [camera(0.0), camera(0.5), camera(1.0)]
    tracks = observed(cameras, np.random.default_rng(0).uniform(-1, 1, (3, 3)) + (0, 0, 6))
    few = tracks.only(np.array([True, True, False, True, False, False, True, True, True]))
    assert len(few) == 2
    assert few.point.tolist() == [0, 0, 1, 1, 1]


def test_new_pixels_replace_the_old_ones_of_the_same_observations() -> None:
    cameras = [camera(0), camera(1), camera(2)]
    tracks = observed(cameras, np.array([(0.0, 0.0, 4.0), (0.5, 0.1, 6.0)]))
    part = tracks.only(np.array([True, True, False, False, True, True]))
    changed = tracks.with_new_pixels(part, replace(part, pixels=part.pixels + 0.25))
    moved = np.array([True, True, False, False, True, True])
    assert np.array_equal(changed.pixels, tracks.pixels + 0.25 * moved[:, None])
    assert np.array_equal(changed.point, tracks.point)
