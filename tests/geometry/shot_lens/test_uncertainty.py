"""How exactly tracks tell a lens: the covariance agrees with the scatter of solves from other noise."""

from dataclasses import replace

import numpy as np

from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.adjustment.shot_adjustment import adjust
from threer_blender.geometry.adjustment.shot_problem import ShotProblem
from threer_blender.geometry.shot_lens import uncertainty
from threer_blender.geometry.shots import kinds, moving

FRAMES, SEEDS = 8, 10
FREEDOM = kinds.moving_freedom(np.arange(1, FRAMES + 1), False)  # the lens does not zoom
SPREAD = np.array([0.3, 20.0, 20.0, 0.1])  # of the priors on log focal length, centre x and y (pixels), distortion


def test_the_deviations_are_those_of_solves_from_other_noise() -> None:
    poses = [synthetic_shots.look_at((0.2 * i - 0.7, 0.2 * np.sin(i), 0.05 * i), (0, 0, 5)) for i in range(FRAMES)]
    exact = synthetic_shots.shot(poses, points=150, noise=0.0)
    tracks, random = exact.tracks.tracks, np.random.default_rng(1)
    begin, lens, _ = moving.start(tracks, exact.tracks.numbers, exact.cameras, SPREAD)
    solved, computed = [], []
    for _ in range(SEEDS):
        noisy = replace(tracks, pixels=tracks.pixels + 0.05 * random.standard_normal(tracks.pixels.shape))
        adjusted = adjust(noisy, FRAMES, lens, FREEDOM, begin)
        noise = uncertainty.noise_of(adjusted)
        problem = ShotProblem(adjusted.tracks, FRAMES, lens, FREEDOM, noise)
        # Two covariances: for errors that are independent, and for errors that go together along a track.
        both = uncertainty.covariances(problem, adjusted.state, uncertainty.loss_scale_of(adjusted), (0, 1, 2))
        solved.append(adjusted.state.lens[:3])
        computed.append([np.sqrt(np.diagonal(each)) for each in both])
    scatter = np.std(solved, axis=0, ddof=1)
    for deviations in np.median(computed, axis=0):
        assert np.all((deviations > 0.5 * scatter) & (deviations < 2 * scatter))
