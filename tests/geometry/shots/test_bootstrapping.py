"""Keys from tracks alone: of a camera that moves away while it zooms in, which looks like photos from one spot."""

import numpy as np

from threer_blender.geometry.shots import bootstrapping, solver

from . import synthetic_shots
from .test_solver import rotation_errors

FRAMES = 24


def test_a_dolly_zoom_is_solved_from_its_tracks() -> None:
    away = np.linspace(1, 2.2, FRAMES)
    poses = [synthetic_shots.look_at((0.5 * share, -1.5, 5 - 5 * share), (0, 0, 5)) for share in away]
    shot = synthetic_shots.shot(poses, 450 * away, points=400)
    keys = bootstrapping.keys(shot.tracks, 600.0)
    assert len(keys) == FRAMES
    solution = solver.solve_moving(shot.tracks, keys, "")
    assert solution.motion == "free zoom"
    assert rotation_errors(solution, shot).max() < 0.2
    focals = np.array([solution.cameras[number].fx / shot.cameras[number].fx for number in shot.cameras])
    assert np.ptp(focals) < 0.02
    assert abs(focals - 1).max() < 0.06


def test_a_camera_that_only_turns_gives_no_keys_that_move() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(3), points=60)
    assert bootstrapping.keys(shot.tracks, None) == {}
