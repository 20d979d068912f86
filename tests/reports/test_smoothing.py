"""A smoothed camera: what is smooth stays, what shakes shakes less, and the cost is that of the moved picture."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.geometry.shots import synthetic_shots
from tests.oracle import look_at
from threer_blender.geometry.shots import solver
from threer_blender.model.reconstruction import Camera, PointCloud, Shot
from threer_blender.reports import smoothing
from threer_blender.worker import tracked_points

FRAMES = 40


def shot(shake: float = 0.0, sway: float = 0.0, glides: bool = True) -> Shot:
    """A camera that glides on a parabola and turns.

    `shake` is the standard deviation of its position in metres, `sway` that of its direction in radians.
    """
    random = np.random.default_rng(3)
    cameras = {}
    for index in range(FRAMES):
        time = index / FRAMES
        shift = shake * random.standard_normal(3)
        target = np.array([0.4 * time, 0.2 * time * time, 5.0]) + 5 * sway * random.standard_normal(3) + shift
        centre = glides * np.array([time, 0.5 * time * time, 0.0]) + shift
        cameras[1001 + index] = Camera("", 640, 360, 500.0, 500.0, 320.0, 180.0, look_at(centre, target))
    return Shot("plate", "/plate", Fraction(24), FRAMES, cameras, first_frame=1001)


def cloud() -> PointCloud:
    positions = np.random.default_rng(1).uniform((-2, -1, 4.9), (2, 1, 5.1), (300, 3)).astype(np.float32)
    return PointCloud(positions, positions, positions.astype(np.uint8), positions[:, 0], np.zeros(300, np.int32))


def test_what_is_smooth_stays() -> None:
    cost = smoothing.cost(shot(), smoothing.smoothed(shot(), 2.0), cloud())
    assert cost.moved < 0.01
    assert cost.most[1] < 0.05


@pytest.mark.parametrize(("shake", "sway"), [(0.004, 0.0), (0.0, 0.0008)])
def test_what_shakes_shakes_less_and_the_cost_is_told(shake: float, sway: float) -> None:
    """4 mm at 5 m, or 0.8 mrad, are 0.4 px at a focal length of 500 px."""
    before = shot(shake, sway)
    cost = smoothing.cost(before, smoothing.smoothed(before, 2.0), cloud())
    assert cost.jitter[1] < 0.2 * cost.jitter[0]
    assert 0.3 < cost.moved < 0.8
    assert cost.most[1] > cost.moved
    assert f"in frame {cost.most[0]}; jitter" in str(cost)


def test_a_wider_smoothing_moves_the_picture_more() -> None:
    before = shot(0.004)
    costs = [smoothing.cost(before, smoothing.smoothed(before, width), cloud()).moved for width in (0.5, 1.0, 3.0)]
    assert costs == sorted(costs)


def test_a_tripod_stays_where_it_stands_and_frames_without_a_camera_get_none() -> None:
    whole = shot(sway=0.001, glides=False)
    before = replace(whole, cameras={n: c for n, c in whole.cameras.items() if n not in (1010, 1011, 1020)})
    after = smoothing.smoothed(before, 2.0)
    assert sorted(after.cameras) == sorted(before.cameras)
    assert {tuple(each.world_from_camera[:3, 3]) for each in after.cameras.values()} == {(0.0, 0.0, 0.0)}
    for each in after.cameras.values():
        assert np.allclose(each.world_from_camera[:3, :3] @ each.world_from_camera[:3, :3].T, np.eye(3), atol=1e-12)


def test_no_width_and_few_frames_change_nothing() -> None:
    some = shot(0.01)
    assert smoothing.smoothed(some, 0.0) is some
    three = replace(some, cameras=dict(list(some.cameras.items())[:3]))
    assert smoothing.smoothed(three, 2.0) is three


def test_the_tracks_tell_what_it_costs_them() -> None:
    """Tracks of a hand that shakes on purpose: smoothing leaves the picture, and their errors grow."""
    rng = np.random.default_rng(0)
    poses = [look_at((0.05 * i, 0, -1) + 0.01 * rng.standard_normal(3), (0.02 * i, 0, 5)) for i in range(24)]
    filmed = synthetic_shots.shot(poses)
    solution = solver.solve_moving(filmed.tracks, {n: filmed.cameras[n] for n in (1, 8, 16, 24)}, "")
    tracks = tracked_points.all_of(filmed.tracks, solution.cameras)
    solved = Shot("plate", "/plate", Fraction(24), 24, solution.cameras, tracks=tracks)
    cost = smoothing.cost(solved, smoothing.smoothed(solved, 2.0), None)
    assert cost.error[0] < 0.1
    assert cost.error[1] > 5 * cost.error[0]
    assert "median error 0.0" in str(cost)
