"""A track's weight: one of two counts as a track that is there twice."""

from dataclasses import replace

import numpy as np
import pytest

from threer_blender.geometry.adjustment.shot_problem import ShotProblem, ShotState
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.shots import kinds, known_lens
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
        np.full(len(tracks.point) + int(heavy.sum()), np.nan),
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
        return ShotProblem(of, 6, lens, freedom).cost(state, 50.0)

    assert cost(weighed, points) == pytest.approx(cost(twice, np.concatenate([points, points[: count // 3]])))
    assert cost(weighed, points) > 1.2 * cost(tracks, points)
    retained = weighed.only(heavy)
    assert retained.weight is not None
    assert (retained.weight == 2).all()
