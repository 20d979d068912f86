"""The principal point of a shot: held in the middle unless the tracks tell that it is elsewhere."""

from dataclasses import replace

import numpy as np

from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.shots import solver
from threer_blender.model.arrays import Array

FRAMES = 24
MIDDLE = np.array([synthetic_shots.WIDTH, synthetic_shots.HEIGHT]) / 2


def solved_centre(off: Array, noise: float) -> tuple[Array, str]:
    """The solved principal point of a moving shot, in pixels from the picture's middle, and the solution's reason.

    The true one is `off`. The key cameras have theirs in the middle, as an engine's have.
    """
    poses = [
        synthetic_shots.look_at((0.06 * i - 0.7, 0.2 * np.sin(0.5 * i), 0.02 * i), (0, 0, 5)) for i in range(FRAMES)
    ]
    shot = synthetic_shots.shot(poses, points=500, noise=noise)
    tracks = replace(shot.tracks.tracks, pixels=shot.tracks.tracks.pixels + off)
    keys = {number: camera for number, camera in shot.cameras.items() if number % 4 == 1}
    solution = solver.solve_moving(replace(shot.tracks, tracks=tracks), keys, "")
    camera = solution.cameras[FRAMES // 2]
    return np.array([camera.cx, camera.cy]) - MIDDLE, solution.reason


def test_noise_does_not_move_it() -> None:
    centre, reason = solved_centre(np.zeros(2), noise=0.3)
    np.testing.assert_array_equal(centre, 0)
    assert "held in the middle" in reason


def test_it_is_solved_where_the_tracks_tell_it() -> None:
    off = np.array([7.0, -4.0])
    centre, reason = solved_centre(off, noise=0.05)
    # Not exactly: the keys were posed with it in the middle.
    assert np.linalg.norm(centre - off) < 0.5 * np.linalg.norm(off)
    assert "held in the middle" not in reason
