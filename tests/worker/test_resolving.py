"""A shot solved again from the tracks that its result keeps.

Without bad tracks its error falls, bad frames lose their cameras, and all else stays as it was.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.geometry.shots import synthetic_shots
from tests.solved_shots import FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle
from threer_blender.geometry.shots import moving_objects
from threer_blender.jobs.messages import Done, SolveAgain
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction, Shot
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import resolving


def rotation_error(solved: Shot, shot: synthetic_shots.SyntheticShot) -> float:
    numbers = sorted(solved.cameras)
    return float(
        np.median(
            synthetic_shots.rotation_errors([solved.cameras[n] for n in numbers], [shot.cameras[n] for n in numbers])
        )
    )


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[synthetic_shots.SyntheticShot, Path]:
    """A shot in which many points walk, and the result that does not know which."""
    folder = tmp_path_factory.mktemp("walked")
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), walking=0.3, numbers=np.arange(FIRST, FIRST + FRAMES))
    return shot, bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[synthetic_shots.SyntheticShot, Path]:
    """A shot in which nothing moves, and its result."""
    folder = tmp_path_factory.mktemp("clean")
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), numbers=np.arange(FIRST, FIRST + FRAMES))
    return shot, bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


def again(folder: Path, output: Path, **changes: Any) -> Reconstruction:
    done = resolving.run(SolveAgain(str(folder), str(output), **changes), MessageReport(lambda _message: None))
    assert isinstance(done, Done)
    return bundle.read(done.bundle)


def test_without_bad_tracks_the_camera_is_nearer_to_the_truth(
    walked: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path
) -> None:
    shot, folder = walked
    before = bundle.read(folder)
    tracks = before.shots[0].tracks
    assert tracks is not None
    bad = np.flatnonzero(moving_objects.unexplained(shot.tracks.tracks, list(shot.cameras.values())))
    assert 40 < len(bad) < len(tracks) / 2
    assert (before.shots[0].motion, rotation_error(before.shots[0], shot) > 1) == ("nodal", True)  # they mislead it
    after = again(folder, tmp_path / "again", weights={str(number): 0.0 for number in bad})
    solved = after.shots[0]
    assert solved.motion == "free"
    assert rotation_error(solved, shot) < 0.02
    assert solved.median_error is not None
    assert np.nanmax(solved.median_error) < 0.1
    assert solved.tracks is not None
    assert np.median(solved.tracks.errors[bad]) > 10 * np.nanmedian(solved.tracks.errors)  # which their errors show
    np.testing.assert_array_equal(np.flatnonzero(solved.tracks.weights == 0), bad)
    np.testing.assert_array_equal(solved.tracks.pixels, tracks.pixels)  # what was left out may come back
    assert after.notes[0] == "A note."
    assert after.notes[1].startswith(f"plate: solved again without {len(bad)} of {len(tracks)} tracks: median error ")
    once_more = again(tmp_path / "again", tmp_path / "more", weights={str(number): 1.0 for number in bad})
    assert once_more.shots[0].tracks is not None
    assert (once_more.shots[0].tracks.weights == 1).all()
    assert len(once_more.notes) == 2  # those of the last solve alone


def test_bad_frames_have_no_cameras_and_the_rest_stays(
    clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path
) -> None:
    shot, folder = clean
    before = bundle.read(folder)
    after = again(folder, tmp_path / "again", bad=[[1010, 1012], [1024, 1024]])
    solved = after.shots[0]
    assert set(solved.cameras) == set(shot.cameras) - {1010, 1011, 1012, 1024}
    assert solved.bad == ((1010, 1012), (1024, 1024))
    assert solved.median_error is not None
    assert np.flatnonzero(np.isnan(solved.median_error)).tolist() == [9, 10, 11, 23]
    assert rotation_error(solved, shot) < 0.03
    assert "without frames 1010-1012, 1024-1024: median error " in after.notes[1]
    assert [camera.photo for camera in after.cameras] == [camera.photo for camera in before.cameras]
    for solved_again, original in zip(after.cameras, before.cameras, strict=True):
        np.testing.assert_array_equal(solved_again.world_from_camera, original.world_from_camera)
    back = again(tmp_path / "again", tmp_path / "back")
    assert set(back.shots[0].cameras) == set(shot.cameras)


def test_weights_are_remembered_and_told(clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path) -> None:
    after = again(clean[1], tmp_path / "again", weights={"3": 10.0, "5": 0.5})
    tracks = after.shots[0].tracks
    assert tracks is not None
    assert np.flatnonzero(tracks.weights != 1).tolist() == [3, 5]
    assert tracks.weights[[3, 5]].tolist() == [10.0, 0.5]
    assert "solved again 2 tracks weighed: median error " in after.notes[1]


def test_another_shot_of_the_place_stays(clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path) -> None:
    before = bundle.read(clean[1])
    other = str(write_plate(tmp_path / "other"))
    names = {photo.name: f"other {photo.frame}" for photo in before.photos}
    photos = [replace(each, name=names[each.name], path=other, sha256=each.sha256[::-1]) for each in before.photos]
    cameras = [replace(camera, photo=names[camera.photo]) for camera in before.cameras]
    shots = [before.shots[0], replace(before.shots[0], video="other", path=other)]
    both = replace(before, photos=before.photos + photos, cameras=before.cameras + cameras, shots=shots)
    bundle.write(both, tmp_path / "result")
    after = again(tmp_path / "result", tmp_path / "again", shot=1, bad=[[1010, 1012]])
    assert (after.shots[0].bad, after.shots[1].bad) == ((), ((1010, 1012),))
    for number, camera in after.shots[0].cameras.items():
        np.testing.assert_array_equal(camera.world_from_camera, before.shots[0].cameras[number].world_from_camera)
    assert set(after.shots[1].cameras) == set(before.shots[0].cameras) - {1010, 1011, 1012}
    assert after.notes[-1].startswith("other: solved again")


def test_a_turning_camera_keeps_its_world_and_renews_its_points(tmp_path: Path) -> None:
    """The shot's own cameras are those of the result (`alone`). Its points lie on a dome, 5 units around the camera."""
    shot = synthetic_shots.shot(synthetic_shots.turning(FRAMES), numbers=np.arange(FIRST, FIRST + FRAMES))
    before = result_of(shot, write_plate(tmp_path / "frames"), alone=True)
    assert before.shots[0].tracks is not None
    bundle.write(before, tmp_path / "result")
    after = again(tmp_path / "result", tmp_path / "again", weights={"0": 0.0, "1": 0.0}, bad=[[1001, 1002]])
    assert after.shots[0].motion == "nodal"
    for number, camera in after.shots[0].cameras.items():
        np.testing.assert_allclose(
            camera.world_from_camera, before.shots[0].cameras[number].world_from_camera, atol=2e-3
        )
    centre = after.shots[0].cameras[1010].world_from_camera[:3, 3]
    assert after.cloud is not None
    assert len(after.cloud) > 100
    np.testing.assert_allclose(np.linalg.norm(after.cloud.positions - centre, axis=1), 5.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"shot": 1}, "has 1 shots, and none of that number"),
        ({"weights": {"99999": 0.0}}, "no track .99999.; its tracks are 0 to"),
        ({"weights": {"0": -1.0}}, "give one from 0 to 100"),
        ({"bad": [[1020, 1010]]}, "1020-1010 is no range of the shot's frames, which are 1001 to 1024"),
        ({"bad": [[900, 1010]]}, "is no range"),
        ({"bad": [[1002, 1024]]}, "Fewer than two solved frames are left"),
    ],
)
def test_what_cannot_be_is_refused(
    clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        again(clean[1], tmp_path / "again", **changes)
    assert not (tmp_path / "again").exists()


def test_a_result_without_tracks_says_so(clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path) -> None:
    before = bundle.read(clean[1])
    bundle.write(replace(before, shots=[replace(before.shots[0], tracks=None)]), tmp_path / "result")
    with pytest.raises(UserError, match="keeps no tracks of this shot"):
        again(tmp_path / "result", tmp_path / "again")


@pytest.mark.skipif(os.name == "nt", reason="links take a right on Windows")
def test_plates_are_copied_and_links_in_their_place_are_not(
    clean: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path
) -> None:
    (tmp_path / "pictures" / "plates").mkdir(parents=True)
    (tmp_path / "pictures" / "plates" / "0.png").write_bytes(b"picture")
    bundle.write(bundle.read(clean[1]), tmp_path / "result", tmp_path / "pictures")
    (tmp_path / "private").write_bytes(b"private")
    (tmp_path / "result" / "plates" / "1.png").symlink_to(tmp_path / "private")
    again(tmp_path / "result", tmp_path / "again")
    assert [path.name for path in (tmp_path / "again" / "plates").iterdir()] == ["0.png"]
    (tmp_path / "result" / "plates" / "0.png").unlink()
    (tmp_path / "result" / "plates" / "0.png").symlink_to(tmp_path / "private")
    with pytest.raises(UserError, match="do not trust it"):
        again(tmp_path / "result", tmp_path / "third")
