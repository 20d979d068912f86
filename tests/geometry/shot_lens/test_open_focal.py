"""The focal length of a dolly zoom: what its tracks leave open, and the search along the valley of its cost."""

from dataclasses import replace

import numpy as np

from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.adjustment.shot_adjustment import Adjusted, adjust
from threer_blender.geometry.adjustment.shot_problem import ShotProblem
from threer_blender.geometry.shot_lens import open_focal
from threer_blender.geometry.shots import kinds, moving
from threer_blender.model.arrays import Array

FRAMES = 16
AWAY = np.linspace(1, 2.2, FRAMES)  # distance from the target, over the first frame's
# Of the priors on log focal length, centre x and y (pixels), and on each of the two distortion terms.
SPREAD = np.array([0.3, 3.2, 3.2, 0.1])
FREEDOM = kinds.moving_freedom(np.arange(1, FRAMES + 1), True)  # the lens zooms


def dolly_zoom(noise: float, aside: float = 0.4) -> synthetic_shots.SyntheticShot:
    """A camera that goes back, and sways sideways by `aside`: straight back it would leave the focal length open."""
    places = [(aside * (away + np.sin(4 * away)), -aside * away, 5 - 5 * away) for away in AWAY]
    poses = [synthetic_shots.look_at(place, (0, 0, 5)) for place in places]
    return synthetic_shots.shot(poses, 450 * AWAY, points=250, noise=noise)


def adjusted_from_the_truth(shot: synthetic_shots.SyntheticShot) -> Adjusted:
    state, lens, _ = moving.start(shot.tracks.tracks, shot.tracks.numbers, shot.cameras, SPREAD)
    return adjust(shot.tracks.tracks, FRAMES, lens, FREEDOM, state)


def focal_errors(adjusted: Adjusted) -> Array:
    """(F,) logarithms of the focal lengths over the true ones."""
    focals = adjusted.lens.focal[0] * np.exp(adjusted.state.lens[0] + adjusted.state.log_zooms)
    return np.asarray(np.log(focals / (450 * AWAY)))


def test_a_camera_that_only_goes_back_sees_the_same_in_a_stretched_world() -> None:
    shot = dolly_zoom(0.0, aside=0.0)
    state, lens, _ = moving.start(shot.tracks.tracks, shot.tracks.numbers, shot.cameras, SPREAD)
    problem = ShotProblem(shot.tracks.tracks, FRAMES, lens, FREEDOM)
    stretched = open_focal.stretched(state, 0.2)
    assert abs(stretched.lens[0] - 0.2) < 1e-12
    np.testing.assert_allclose(problem.errors(stretched), problem.errors(state), atol=1e-6)


def test_the_search_comes_back_from_another_place_of_the_valley() -> None:
    best = adjusted_from_the_truth(dolly_zoom(0.04))
    deviation = open_focal.deviation(best, FRAMES, FREEDOM)
    assert abs(focal_errors(best)).max() < 3 * deviation
    astray = replace(best, state=open_focal.stretched(best.state, 5 * deviation))
    searched = open_focal.searched(astray, FRAMES, FREEDOM)
    assert abs(focal_errors(searched) - focal_errors(best)).max() < deviation


def test_what_is_left_open_grows_with_the_noise_and_is_said() -> None:
    exact, noisy = (
        open_focal.deviation(adjusted_from_the_truth(dolly_zoom(noise)), FRAMES, FREEDOM) for noise in (0.01, 0.1)
    )
    assert 5 * exact < noisy < 20 * exact
    assert open_focal.sentence(0.001) == ""
    assert "± 4.7%" in open_focal.sentence(0.047)


def test_a_focal_length_that_is_held_is_not_searched_for() -> None:
    best = adjusted_from_the_truth(dolly_zoom(0.2))
    # A spread of 0 holds the focal length, the first of the lens' unknowns.
    held = replace(best, lens=replace(best.lens, spread=best.lens.spread * [0, 1, 1, 1, 1]))
    assert open_focal.searched(held, FRAMES, FREEDOM) is held
