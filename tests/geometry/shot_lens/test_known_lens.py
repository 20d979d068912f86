"""A lens that the artist knows stays as it is. Where the tracks would prefer another one, a note says so."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.adjustment.shot_problem import ShotLens
from threer_blender.geometry.shot_lens import known_lens
from threer_blender.geometry.shots import solver
from threer_blender.model.lens import Distortion, KnownLens

BARREL = Distortion("RADIAL", (-0.2, 0.03))


def solve_turning(shot: synthetic_shots.SyntheticShot, known: KnownLens) -> Any:
    return solver.solve_turning(shot.tracks, solver.kind_of(shot.tracks, known), known)


def solve_moving(shot: synthetic_shots.SyntheticShot, known: KnownLens) -> Any:
    """The solution from the true cameras of every fifth frame. No sentence (`""`) comes before its reason."""
    keys = {number: camera for number, camera in shot.cameras.items() if number % 5 == 1}
    return solver.solve_moving(shot.tracks, keys, "", known=known)


@pytest.mark.parametrize(
    ("poses", "solve"), [(synthetic_shots.turning(), solve_turning), (synthetic_shots.moving(), solve_moving)]
)
def test_the_true_lens_stays_and_nothing_is_said(poses: Any, solve: Any) -> None:
    shot = synthetic_shots.shot(poses, distortion=BARREL)
    known = KnownLens(synthetic_shots.FOCAL, (synthetic_shots.WIDTH / 2, synthetic_shots.HEIGHT / 2), BARREL, held=True)
    solution = solve(shot, known)
    for camera in solution.cameras.values():
        assert camera.fx == camera.fy == pytest.approx(synthetic_shots.FOCAL, rel=1e-12)
        assert (camera.cx, camera.cy) == known.centre
        assert camera.distortion == BARREL
    assert "prefer" not in solution.reason
    assert np.nanmedian(solution.errors.median) < 0.08


@pytest.mark.parametrize(
    ("poses", "solve"), [(synthetic_shots.turning(), solve_turning), (synthetic_shots.moving(), solve_moving)]
)
def test_a_wrong_focal_length_that_is_held_is_said(poses: Any, solve: Any) -> None:
    solution = solve(
        synthetic_shots.shot(poses),
        KnownLens(1.1 * synthetic_shots.FOCAL, held=True, name="The known focal length of 40 mm"),
    )
    assert all(camera.fx == pytest.approx(1.1 * synthetic_shots.FOCAL) for camera in solution.cameras.values())
    assert "The known focal length of 40 mm is held, but the tracks prefer one that is" in solution.reason
    assert "% shorter" in solution.reason


def test_a_known_distortion_is_where_solving_starts() -> None:
    """`start.start` are the lens' unknowns before the solve, focal length first. A `spread` of 0 holds an unknown."""
    start: ShotLens = known_lens.first_lens((640, 360), KnownLens(500.0, None, Distortion("SIMPLE_RADIAL", (-0.1,))))
    assert start.distortion(start.start) == Distortion("RADIAL", (-0.1, 0.0))
    assert (start.spread > 0).all()
    held = known_lens.first_lens((640, 360), replace(KnownLens(500.0), held=True))
    assert held.spread[0] == 0
    assert (held.spread[1:] > 0).all()
