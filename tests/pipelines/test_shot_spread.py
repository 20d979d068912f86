"""The spread tells how sure a solve is: solved again from other tracks, cameras differ as much as noise makes them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.geometry.shots import synthetic_shots
from tests.geometry.shots.test_solver import keys
from threer_blender.geometry.shots import solver
from threer_blender.model.lens import UNKNOWN
from threer_blender.model.reconstruction import Shot
from threer_blender.pipelines import shot_spread


def test_more_noise_is_more_spread() -> None:
    rotation = []
    for noise in (0.03, 0.3):
        shot = synthetic_shots.shot(synthetic_shots.turning(12), points=500, noise=noise)
        kind = solver.kind_of(shot.tracks, UNKNOWN)
        first = solver.solve_turning(shot.tracks, kind, UNKNOWN)
        others = [solver.solve_turning(shot_spread.random_half(shot.tracks, seed), kind, UNKNOWN) for seed in (1, 2)]
        actual = shot_spread.spread(first, others)
        assert list(actual.numbers) == sorted(shot.cameras)
        assert not actual.position.any()
        rotation.append(np.sqrt((actual.rotation**2).mean()))
    assert 4 < rotation[1] / rotation[0] < 25


def test_another_world_and_unit_count_nothing() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(12), points=300)
    first = solver.solve_moving(shot.tracks, keys(shot, 3), "")
    world = 2.0 * synthetic_shots.look_at((1, 2, 3), (4, 1, 9))
    cameras = {}
    for number, camera in first.cameras.items():
        pose = np.eye(4)
        pose[:3, :3] = world[:3, :3] @ camera.world_from_camera[:3, :3] / 2
        pose[:3, 3] = world[:3, :3] @ camera.world_from_camera[:3, 3] + world[:3, 3]
        cameras[number] = replace(camera, world_from_camera=pose, fx=1.01 * camera.fx)
    actual = shot_spread.spread(first, [replace(first, cameras=cameras)])
    assert actual.position.max() < 1e-9
    assert actual.rotation.max() < 1e-6
    assert actual.focal == pytest.approx(0.01)
    assert "1.00% of its focal length" in str(actual)


def test_the_spread_is_told_frame_by_frame() -> None:
    """The shot's arrays have a value for each frame from the first on, and NaN where a solve has no camera."""
    shot = synthetic_shots.shot(synthetic_shots.turning(12), points=500, noise=0.1)
    kind = solver.kind_of(shot.tracks, UNKNOWN)
    solved = shot_spread.with_spread(shot.tracks, 2, lambda tracks: solver.solve_turning(tracks, kind, UNKNOWN))
    assert solved is not None
    assert sorted(solved.spread) == sorted(shot.cameras)
    bare = Shot("clip", "/clip", Fraction(24), 12, solved.cameras)
    shot_with = shot_spread.applied(bare, {number: each for number, each in solved.spread.items() if number != 4})
    assert shot_with.rotation_spread is not None
    assert np.flatnonzero(np.isnan(shot_with.rotation_spread)).tolist() == [3]
    rms = np.sqrt(np.mean([rotation**2 for _, rotation, _ in solved.spread.values()]))
    assert f"differs by {rms:.3f}°" in solved.reason
    assert shot_spread.applied(bare, {}) is bare


def test_solutions_without_a_common_frame_have_no_spread() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(12), points=500)
    kind = solver.kind_of(shot.tracks, UNKNOWN)
    first = solver.solve_turning(shot.tracks, kind, UNKNOWN)
    elsewhere = replace(first, cameras={100 + number: camera for number, camera in first.cameras.items()})
    solutions = iter([first, elsewhere])
    assert shot_spread.with_spread(shot.tracks, 1, lambda _tracks: next(solutions)) is first


def test_seeds_choose_other_tracks() -> None:
    tracks = synthetic_shots.shot(synthetic_shots.turning(12), points=500).tracks
    one, other = (shot_spread.random_half(tracks, seed) for seed in (1, 2))
    assert 0.4 < len(one.tracks) / len(tracks.tracks) < 0.6
    assert len(one.tracks) != len(other.tracks)
