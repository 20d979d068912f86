"""Poses of rows: a shot of a sensor that reads them one after the other is solved as exactly as a whole one."""

from typing import Any

import numpy as np
import pytest

from threer_blender.geometry.shots import moving, rolling_shutter, solver

from . import synthetic_shots
from .test_solver import keys, rotation_errors

FRAMES, READ_OUT = 24, 0.5  # the read-out of all rows takes half of the time from frame to frame


def shaking(time: float) -> Any:
    """A camera that goes to the side and shakes: its pose at a time in frames."""
    a = 2 * time / (FRAMES - 1) - 1
    centre = (1.2 * a, 0.2 * np.sin(4 * a), -1 + 0.4 * a * a)
    return synthetic_shots.look_at(centre, (0.3 * a + 0.15 * np.sin(0.9 * time), 0.12 * np.cos(0.7 * time), 5.0))


@pytest.fixture(scope="module")
def rolled() -> synthetic_shots.SyntheticShot:
    """The shaking camera, read row by row. `row` is -0.5 at the top and 0.5 at the bottom; the middle is in time."""
    return synthetic_shots.shot(
        [shaking(index) for index in range(FRAMES)],
        points=250,
        late=lambda index, row: shaking(index + READ_OUT * row),
    )


@pytest.mark.parametrize("read_out", [READ_OUT, 0.0], ids=["entered", "estimated"])
def test_rows_are_solved_by_poses_of_their_own(rolled: synthetic_shots.SyntheticShot, read_out: float) -> None:
    solution = solver.solve_moving(rolled.tracks, keys(rolled), "", read_out=read_out)
    assert solution.motion == "free"
    assert abs(solution.read_out - READ_OUT) < 0.06
    assert ("that is estimated" in solution.reason) == (not read_out)
    assert rotation_errors(solution, rolled).max() < 0.05
    assert np.nanmedian(solution.errors.median) < 0.06


def test_frames_that_are_read_at_once_get_no_rows() -> None:
    shot = synthetic_shots.shot([shaking(index) for index in range(FRAMES)], points=250)
    solution = solver.solve_moving(shot.tracks, keys(shot), "")
    assert solution.read_out == 0
    assert "show no rolling shutter" in solution.reason


def test_the_speed_within_a_frame_may_differ_from_the_one_between_frames() -> None:
    """Unrest faster than frames can show: a spline through their poses does not know it."""

    def trembling(time: float) -> Any:
        return synthetic_shots.look_at(
            (0.1 * time, 0.2 * np.sin(0.3 * time), -1), (0.1 * time + 0.02 * np.sin(2.4 * time), 0, 5.0)
        )

    shot = synthetic_shots.shot(
        [trembling(i) for i in range(16)], points=250, late=lambda i, row: trembling(i + READ_OUT * row)
    )
    solution = solver.solve_moving(shot.tracks, keys(shot), "", read_out=READ_OUT)
    assert np.nanmedian(solution.errors.median) < 0.06


def test_a_camera_that_rests_loses_nothing_by_its_rows() -> None:
    shot = synthetic_shots.shot([shaking(0)] * 6)
    state, lens, _ = moving.start(shot.tracks.tracks, shot.tracks.numbers, shot.cameras, np.ones(4))
    off = rolling_shutter.displacements(shot.tracks.tracks, shot.tracks.numbers, lens, state, READ_OUT)
    assert np.abs(off).max() < 1e-6
