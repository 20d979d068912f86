"""Repeated frames are named, and nothing else is taken for one."""

import pytest

from tests.geometry.shots import synthetic_shots
from threer_blender.pipelines import repeats


@pytest.mark.parametrize("every", [2, 4, 5])
def test_frames_that_repeat_the_one_before_are_named(every: int) -> None:
    poses = synthetic_shots.moving()
    shot = synthetic_shots.shot([poses[index - index // every] for index in range(len(poses))], noise=0.005)
    expected = [index + 1 for index in range(1, len(poses)) if index % every == 0]
    assert repeats.repeated(shot.tracks) == expected
    assert f"{len(expected)} of 24 frames repeat" in repeats.sentence(shot.tracks)


def test_a_camera_that_moves_slowly_or_stands_repeats_nothing() -> None:
    assert repeats.sentence(synthetic_shots.shot(synthetic_shots.moving(), noise=0.005).tracks) == ""
    assert repeats.repeated(synthetic_shots.shot([synthetic_shots.moving()[0]] * 12, noise=0.005).tracks) == []


def test_someone_who_walks_before_a_standing_camera_makes_no_repeat() -> None:
    assert (
        repeats.repeated(synthetic_shots.shot([synthetic_shots.moving()[0]] * 12, noise=0.02, walking=0.3).tracks) == []
    )
