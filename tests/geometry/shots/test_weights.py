"""Weights of tracks: a track of weight 2 counts as if it were there twice, and a track that slips counts little."""

from dataclasses import replace

import numpy as np
import pytest

from threer_blender.geometry.adjustment import shot_adjustment
from threer_blender.geometry.adjustment.shot_problem import ShotProblem, ShotState
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.shot_lens import known_lens
from threer_blender.geometry.shots import kinds, moving
from threer_blender.model.arrays import Array
from threer_blender.model.lens import KnownLens

from . import synthetic_shots


def test_a_weight_of_two_is_the_track_twice() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(6), points=150, noise=1.0)
    tracks, count = shot.tracks.tracks, len(shot.tracks.tracks)
    heavy = tracks.point < count // 3
    twice = Tracks(
        np.concatenate([tracks.point, tracks.point[heavy] + count]),
        np.concatenate([tracks.camera, tracks.camera[heavy]]),
        np.concatenate([tracks.pixels, tracks.pixels[heavy]]),
        np.full(len(tracks.point) + int(heavy.sum()), np.nan),  # depths, of which none is known
    )
    weighed = replace(tracks, weight=np.where(heavy, 2.0, 1.0))
    random = np.random.default_rng(0)
    points = random.uniform([-6, -4, 2], [6, 4, 9], (count, 3))
    points = np.concatenate([points, np.ones((count, 1))], axis=1)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    poses = np.array([camera.camera_from_world for camera in shot.cameras.values()])
    centres = -np.einsum("nji,nj->ni", poses[:, :3, :3], poses[:, :3, 3])
    lens = known_lens.first_lens(shot.tracks.size, KnownLens(synthetic_shots.FOCAL))
    freedom = kinds.moving_freedom(shot.tracks.numbers, False)

    def cost(of: Tracks, points: Array) -> float:
        state = ShotState(poses[:, :3, :3], centres, np.zeros(6), lens.start, points)
        return ShotProblem(of, 6, lens, freedom).cost(state, 50.0)  # the loss's scale in px: these points are random

    assert cost(weighed, points) == pytest.approx(cost(twice, np.concatenate([points, points[: count // 3]])))
    assert cost(weighed, points) > 1.2 * cost(tracks, points)
    retained = weighed.only(heavy)
    assert retained.weight is not None
    assert (retained.weight == 2).all()


def test_tracks_that_slip_hardly_change_the_lens() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(), points=400)
    tracks = shot.tracks.tracks
    begins = np.searchsorted(tracks.point, np.arange(len(tracks)))
    age = tracks.camera - tracks.camera[begins][tracks.point]
    slip = 0.04 * np.random.default_rng(0).normal(size=(len(tracks), 2))  # px a frame, of a quarter of the tracks
    slip[np.arange(len(tracks)) % 4 > 0] = 0.0
    slipped = replace(tracks, pixels=tracks.pixels + slip[tracks.point] * age[:, None])
    spread = np.array([0.3, 3.2, 3.2, 0.1])  # of focal length, principal point (2), distortion
    state, lens, _ = moving.start(slipped, shot.tracks.numbers, shot.cameras, spread)
    freedom = kinds.moving_freedom(shot.tracks.numbers, False)
    adjusted = shot_adjustment.adjust(slipped, len(shot.cameras), lens, freedom, state)
    assert abs(adjusted.state.lens[0]) < 0.003  # 0.0046 where all tracks count alike
    weights = shot_adjustment.weighed(adjusted.tracks, adjusted.errors).weight
    assert weights is not None
    assert weights.max() <= 1
    assert np.median(weights) > 0.4
