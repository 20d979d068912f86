"""The camera of every frame from synthetic tracks: each kind of motion is named, and as exact as the noise allows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from threer_blender.geometry.shots import kinds, moving, solver
from threer_blender.model.errors import UserError
from threer_blender.model.lens import UNKNOWN, Distortion, KnownLens

from . import synthetic_shots


def solve_turning(shot: synthetic_shots.SyntheticShot, focal: Any = None, held: bool = False) -> Any:
    known = KnownLens(focal, held=held)
    kind = solver.kind_of(shot.tracks, known)
    assert not kind.translates
    return solver.solve_turning(shot.tracks, kind, known)


def keys(
    shot: synthetic_shots.SyntheticShot, every: int = 5, focal: float = 1.01, place: float = 0.01, seed: int = 0
) -> Any:
    """Every `every`-th true camera by frame, as wrong as an engine's.

    Focal lengths are `focal` times as long. Places are off by `place` on each axis, as a standard deviation.
    """
    random = np.random.default_rng(seed)
    solved = {}
    for number, camera in list(shot.cameras.items())[::every]:
        pose = camera.world_from_camera.copy()
        pose[:3, 3] += place * random.standard_normal(3)
        solved[number] = replace(camera, fx=focal * camera.fx, fy=focal * camera.fy, world_from_camera=pose)
    return solved


def focal_errors(solution: Any, shot: synthetic_shots.SyntheticShot) -> Any:
    return np.array([abs(camera.fx / shot.cameras[number].fx - 1) for number, camera in solution.cameras.items()])


def rotation_errors(solution: Any, shot: synthetic_shots.SyntheticShot) -> Any:
    return synthetic_shots.rotation_errors(
        solution.cameras.values(), [shot.cameras[number] for number in solution.cameras]
    )


def test_a_camera_that_only_turns() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning())
    solution = solve_turning(shot)
    assert solution.motion == "nodal"
    assert sorted(solution.cameras) == sorted(shot.cameras)
    assert rotation_errors(solution, shot).max() < 0.02
    assert focal_errors(solution, shot).max() < 0.003
    assert all((camera.world_from_camera[:3, 3] == 0).all() for camera in solution.cameras.values())
    assert np.allclose(np.linalg.norm(solution.points, axis=1), 5.0)  # a dome


def test_a_zoom_is_told_from_a_move_and_its_focal_lengths_are_found() -> None:
    focals = 500 * 1.8 ** np.linspace(0, 1, 24) ** 2
    shot = synthetic_shots.shot(synthetic_shots.turning(), focals)
    solution = solve_turning(shot)
    assert solution.motion == "zoom"
    assert "by a factor of 1.8" in solution.reason
    assert focal_errors(solution, shot).max() < 0.005
    assert rotation_errors(solution, shot).max() < 0.02


def test_a_change_of_the_focal_length_that_nobody_sees_is_no_zoom() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(), 500 * np.linspace(1, 1.0013, 24), points=3000)
    solution = solve_turning(shot)
    assert solution.motion == "nodal"
    assert "no corner shifts by half a pixel" in solution.reason
    assert np.ptp([camera.fx for camera in solution.cameras.values()]) == 0


def test_distortion_is_solved() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(), [450.0] * 24, distortion=Distortion("RADIAL", (-0.2, 0.03)))
    solution = solve_turning(shot)
    assert solution.motion == "nodal"
    assert focal_errors(solution, shot).max() < 0.005
    assert rotation_errors(solution, shot).max() < 0.03


def test_a_camera_that_moves() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving())
    kind = solver.kind_of(shot.tracks, UNKNOWN)
    assert kind.translates
    solution = solver.solve_moving(shot.tracks, keys(shot), kind.reason)
    assert solution.motion == "free"
    assert sorted(solution.cameras) == sorted(shot.cameras)
    assert rotation_errors(solution, shot).max() < 0.03
    assert focal_errors(solution, shot).max() < 0.004
    centres, true = (
        np.array([cameras[number].world_from_camera[:3, 3] for number in shot.cameras])
        for cameras in (solution.cameras, shot.cameras)
    )
    # The solution takes its world from the keys, which are 0.01 off on each axis.
    assert np.linalg.norm(centres - true, axis=1).max() < 0.03
    assert np.nanmedian(solution.errors.median) < 0.15


@pytest.mark.parametrize("every", [2, 5])
def test_frames_that_repeat_the_one_before_have_its_camera(every: int) -> None:
    """Pulldown repeats one frame in five, animation on twos every second one."""
    poses = synthetic_shots.moving()
    shot = synthetic_shots.shot([poses[index - index // every] for index in range(len(poses))])
    kind = solver.kind_of(shot.tracks, UNKNOWN)
    solution = solver.solve_moving(shot.tracks, keys(shot, 3), kind.reason)
    assert sorted(solution.cameras) == sorted(shot.cameras)
    assert rotation_errors(solution, shot).max() < 0.03
    places = np.array([solution.cameras[n].world_from_camera[:3, 3] for n in sorted(solution.cameras)])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    repeats = np.arange(1, len(poses)) % every == 0
    assert steps[repeats].max() < 0.05 * np.median(steps[~repeats])


def test_a_move_with_a_zoom() -> None:
    focals = 500 * 1.5 ** np.linspace(0, 1, 24)
    shot = synthetic_shots.shot(synthetic_shots.moving(), focals)
    solution = solver.solve_moving(shot.tracks, keys(shot, focal=1.02), "")
    assert solution.motion == "free zoom"
    assert focal_errors(solution, shot).max() < 0.005


def test_a_move_that_ends_in_a_pan() -> None:
    poses = synthetic_shots.moving(14)
    centre, aim = poses[-1][:3, 3], poses[-1][:3, 3] + 5 * poses[-1][:3, 2]
    poses += [
        synthetic_shots.look_at(centre, (aim[0] + 5 * a, aim[1] + np.sin(4 * a), aim[2]))
        for a in np.linspace(0, 1, 15)[1:]
    ]
    shot = synthetic_shots.shot(poses, points=2000, longest=12)
    solved = {number: camera for number, camera in keys(shot, every=3).items() if number <= 14}  # none of the pan
    solution = solver.solve_moving(shot.tracks, solved, "")
    assert solution.motion == "free"
    assert len(solution.cameras) == 28
    assert rotation_errors(solution, shot).max() < 0.04
    assert "It only turns, or rests, in the frames" in solution.reason
    assert len({tuple(solution.cameras[number].world_from_camera[:3, 3]) for number in range(17, 28)}) == 1


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_whether_a_long_shot_zooms_is_decided_from_short_tracks(factor: float) -> None:
    frames = np.arange(400)
    poses = [synthetic_shots.look_at((1.2 * np.sin(0.06 * i), 0.2 * np.sin(0.23 * i), -1), (0, 0, 5)) for i in frames]
    focals = synthetic_shots.FOCAL * factor ** (frames / 400)
    shot = synthetic_shots.shot(poses, focals, points=12000, longest=6)
    # The last argument is the spread of focal length, principal point (2) and distortion, as of an engine's lens.
    state, lens, _ = moving.start(shot.tracks.tracks, shot.tracks.numbers, shot.cameras, np.array([0.3, 3.2, 3.2, 0.1]))
    zooms, _ = kinds.choose_zoom(shot.tracks.tracks, shot.tracks.numbers, lens, state, lens_known=False)
    assert zooms == (factor > 1)


def test_a_known_lens_stays() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving())
    solution = solver.solve_moving(shot.tracks, keys(shot, focal=1.0), "", lens_known=True)
    assert all(camera.fx == synthetic_shots.FOCAL for camera in solution.cameras.values())


def test_someone_who_walks_does_not_matter() -> None:
    plain, walked = (
        synthetic_shots.shot(synthetic_shots.turning()),
        synthetic_shots.shot(synthetic_shots.turning(), walking=0.3),
    )
    solution = solve_turning(walked)
    assert solution.motion == "nodal"
    assert rotation_errors(solution, walked).max() < 0.02
    assert np.nanmax(solution.errors.inliers) < 0.85 * np.nanmax(solve_turning(plain).errors.inliers)


def test_frame_numbers_and_holes_stay() -> None:
    numbers = [n for n in range(1001, 1027) if n not in (1007, 1008)]
    shot = synthetic_shots.shot(synthetic_shots.turning(), numbers=numbers)
    assert sorted(solve_turning(shot).cameras) == numbers


def test_a_camera_that_stands_still_has_one_pose() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(1) * 12, walking=0.2, longest=12)
    assert solver.stands_still(shot.tracks)
    solution = solver.solve_standing(shot.tracks, UNKNOWN)
    assert solution.motion == "locked off"
    assert sorted(solution.cameras) == sorted(shot.cameras)
    assert len({camera.world_from_camera.tobytes() for camera in solution.cameras.values()}) == 1
    assert "a guess" in solution.reason
    assert "a guess" not in solver.solve_standing(shot.tracks, KnownLens(focal=600.0)).reason
    assert np.nanmedian(solution.errors.median) < 0.1
    assert 0.7 < len(solution.points) / len(shot.tracks.tracks) < 0.85  # without what walks
    camera = next(iter(solution.cameras.values()))
    first = shot.tracks.numbers[0] == solution.first_frame
    off = camera.project(solution.points[first]) - solution.first_pixel[first]
    assert np.abs(off).max() < 0.3


@pytest.mark.parametrize("poses", [synthetic_shots.turning(), synthetic_shots.moving()], ids=["turning", "moving"])
def test_a_camera_that_turns_or_moves_does_not_stand_still(poses: Any) -> None:
    assert not solver.stands_still(synthetic_shots.shot(poses, walking=0.2).tracks)


def test_a_turn_too_small_for_the_focal_length_says_so() -> None:
    focals = 500 * 1.5 ** np.linspace(0, 1, 24)
    shot = synthetic_shots.shot(synthetic_shots.turning(1) * 24, focals)
    solution = solve_turning(shot)
    assert solution.motion == "zoom"
    assert "a guess" in solution.reason
    known = solve_turning(shot, focal=float(np.median(focals)))
    assert focal_errors(known, shot).max() < 0.05


def test_a_cut_is_refused_with_its_frame() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning())
    tracks = shot.tracks.tracks
    # Each track ends at the cut and a new one begins. `only` drops those that are left with one observation.
    parted = replace(tracks, point=2 * tracks.point + (tracks.camera >= 12)).only(np.ones(len(tracks.point), bool))
    cut = replace(shot.tracks, tracks=replace(parted, point=np.unique(parted.point, return_inverse=True)[1]))
    assert solver.cuts(cut) == [13]
    kind = solver.kind_of(cut, UNKNOWN)
    with pytest.raises(UserError, match="frame 12 to frame 13"):
        solver.solve_turning(cut, kind, UNKNOWN)


def test_three_frames_are_enough() -> None:
    turned = synthetic_shots.shot(synthetic_shots.turning(3), points=2000, longest=6)
    assert len(solve_turning(turned).cameras) == 3
    moved = synthetic_shots.shot(synthetic_shots.moving(3), points=2000, longest=6)
    solution = solver.solve_moving(moved.tracks, keys(moved, 1), "")
    assert rotation_errors(solution, moved).max() < 0.05


def test_beyond_a_cut_a_move_has_no_cameras() -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving())
    tracks = shot.tracks.tracks
    # Each track ends at the cut and a new one begins. `only` drops those that are left with one observation.
    parted = replace(tracks, point=2 * tracks.point + (tracks.camera >= 12)).only(np.ones(len(tracks.point), bool))
    before = {number: camera for number, camera in keys(shot, 3).items() if number <= 12}
    solution = solver.solve_moving(replace(shot.tracks, tracks=parted), before, "")
    assert sorted(solution.cameras) == list(range(1, 13))


def test_nothing_to_follow_is_refused() -> None:
    shot = synthetic_shots.shot(synthetic_shots.turning(3), points=20)
    with pytest.raises(UserError, match="can be followed"):
        solver.kind_of(shot.tracks, UNKNOWN)
