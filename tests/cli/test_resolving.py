"""The verb `resolve`: what it leaves out, what it says, and which mistakes it names."""

from pathlib import Path

import numpy as np
import pytest

from tests.geometry.shots import synthetic_shots
from tests.solved_shots import FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle
from threer_blender.cli import command_line, resolving


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resolve")
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), walking=0.15, numbers=np.arange(FIRST, FIRST + FRAMES))
    return bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


def test_tracks_and_frames_to_leave_out_are_asked_for(result: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("3, 5\n17")
    verb = ["resolve", str(result), "--output", str(tmp_path / "again")]
    more = ["--worse-than", "1.5", "--weigh", "4=2", "--bad", "1010-1012,1020"]
    tracks = bundle.read(result).shots[0].tracks
    assert tracks is not None
    worse = {str(number) for number in np.flatnonzero(tracks.errors > 1.5)}
    assert worse
    for listed in (str(tmp_path / "bad.txt"), "3,5,17"):
        parsed = command_line.parser().parse_args([*verb, "--without-tracks", listed, *more])
        request = resolving.request_from(parsed)
        assert {number for number, weight in request.weights.items() if not weight} == {"3", "5", "17", *worse} - {"4"}
        assert request.weights["4"] == 2
        assert request.bad == [[1010, 1012], [1020, 1020]]
        assert (request.bundle, request.output, request.shot) == (str(result), str(tmp_path / "again"), 0)
    assert resolving.request_from(command_line.parser().parse_args(verb)).weights == {}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--bad", "ten"], "--bad wants frames as 1010-1020,1033"),
        (["--without-tracks", "nowhere.txt"], "cannot be read"),
        (["--weigh", "3"], "--weigh wants TRACK=WEIGHT"),
        (["--shot", "2"], "has 1 shots, and none of number 2"),
    ],
)
def test_mistakes_are_named(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert command_line.main(["resolve", str(result), "--output", str(tmp_path / "again"), *more], tmp_path) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "again").exists()


def test_the_result_itself_is_not_overwritten(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["resolve", str(result), "--output", str(result)]) == 2
    assert "give another folder" in capsys.readouterr().err


def test_a_list_of_tracks_that_is_too_long_is_refused(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.txt").write_bytes(b"3 " + b" " * resolving.LARGEST_FILE)
    verb = ["resolve", str(result), "--output", str(tmp_path / "again"), "--without-tracks", str(tmp_path / "bad.txt")]
    assert command_line.main(verb, tmp_path) == 2
    assert "The list of tracks" in capsys.readouterr().err
