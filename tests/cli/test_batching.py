"""The verb `batch` ends right whatever happens: failures, kills, and a second run. A stand-in for the worker solves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.listed_shots import COMMAND_LINE, ROOT, make
from threer_blender import bundle
from threer_blender.cli import exit_status
from threer_blender.farm import shot_lists
from threer_blender.files import bundle_folder
from threer_blender.model.errors import UserError

SHOTS = 3
KILLS = 2


def start(folder: Path, shots: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COMMAND_LINE, str(folder), "batch", str(shots)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(folder: Path, shots: Path) -> int:
    process = start(folder, shots)
    process.communicate()
    return process.returncode


def record(folder: Path) -> dict[str, dict[str, object]]:
    data = json.loads((folder / "results" / "shots.json").read_text("utf-8"))
    return {row["name"]: row for row in data["shots"]}


def solved(folder: Path) -> list[str]:
    return (folder / "solved.txt").read_text().splitlines()


def test_a_second_run_solves_only_what_has_changed(tmp_path: Path) -> None:
    shots = make(tmp_path)
    (tmp_path / "photos" / "shot 1" / "b.jpg").write_text("This shot is too dark; light it.")
    assert run(tmp_path, shots) == exit_status.USER
    assert [row["state"] for row in record(tmp_path).values()] == ["done", "failed", "done"]
    assert record(tmp_path)["shot 1"]["sentence"] == "This shot is too dark; light it."
    assert record(tmp_path)["shot 0"]["sentence"] == "last.jpg: It is dark."
    page = (tmp_path / "results" / "shots.html").read_text("utf-8")
    assert all(text in page for text in ("shot 2", "2 of 3", "0.25 px", "2 done, 1 failed", "too dark; light it"))
    (tmp_path / "photos" / "shot 1" / "b.jpg").write_bytes(b"good")
    (tmp_path / "photos" / "shot 2" / "b.jpg").write_bytes(b"new")
    assert run(tmp_path, shots) == exit_status.OK
    assert solved(tmp_path) == ["shot 0", "shot 2", "shot 1", "shot 2"]
    assert run(tmp_path, shots) == exit_status.OK
    assert len(solved(tmp_path)) == 4
    shots.write_text(shots.read_text().replace("preview", "standard"))
    assert run(tmp_path, shots) == exit_status.OK
    assert len(solved(tmp_path)) == 7


def survive(folder: Path, count: int, kills: int) -> None:
    """Kills a batch of `count` shots so often, at random moments, and lets it end at last. All is there then, once."""
    shots = make(folder, count)
    delays = random.Random(1)
    for _ in range(kills):
        process = start(folder, shots)
        time.sleep(delays.uniform(0.4, 2.0))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert run(folder, shots) == exit_status.OK
    names = [f"shot {number}" for number in range(count)]
    assert [row["state"] for row in record(folder).values()] == ["done"] * count
    for name in names:
        assert len(bundle.read(folder / "results" / name).cameras) == 2
        assert bundle_folder.foreign(folder / "results" / name) is None
    assert sorted(set(solved(folder))) == sorted(names)
    assert len(solved(folder)) <= count + kills  # a finished shot is not solved again


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_batch_survives_kills(tmp_path: Path) -> None:
    survive(tmp_path, SHOTS, KILLS)


def test_a_folder_of_shots(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").touch()
    (tmp_path / "c.mp4").touch()
    (tmp_path / "notes").mkdir()
    listed = shot_lists.read(tmp_path)
    assert [shot.name for shot in listed.shots] == ["a", "b", "c.mp4"]
    assert listed.output == tmp_path / shot_lists.RESULTS


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("= 3", "is no list of shots in TOML"),
        ("", "names no shot"),
        ("shots = 3", "has 'shots'; known are"),
        ("[[shot]]\nname = 'a'", "names no photos"),
        ("[[shot]]\nname = '../a'\nphotos = 'p'", "cannot be a result's name"),
        ("[[shot]]\nname = 'a'\nphotos = 3", "names no photos"),
        ("[[shot]]\nname = 'a'\nphotos = [3]", "where a text should stand"),
        ("[[shot]]\nname = 'a'\nphotos = 'p'\n[[shot]]\nname = 'A'\nphotos = 'q'", "Two shots of"),
    ],
)
def test_mistakes_in_a_list(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "shots.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        shot_lists.read(tmp_path / "shots.toml")


def test_no_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file or folder"):
        shot_lists.read(tmp_path / "gone.toml")
    with pytest.raises(UserError, match="holds no shots"):
        shot_lists.read(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can handle")
def test_sigterm_stops_a_task_cleanly(tmp_path: Path) -> None:
    shots = make(tmp_path)
    worker = tmp_path / "fake" / "threer_blender" / "worker" / "__main__.py"
    worker.write_text(worker.read_text().replace("time.sleep(0.1)", "time.sleep(100)"))
    process = start(tmp_path, shots)
    while not (tmp_path / "results" / ".rows").is_dir():
        time.sleep(0.05)
    time.sleep(0.5)  # the worker is asleep now
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == exit_status.CANCELLED
    assert "SIGTERM" in errors
    assert [path.name for path in (tmp_path / "results").iterdir()] == [".rows"]
