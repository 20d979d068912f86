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

from threer_blender import bundle
from threer_blender.cli import command_line, shot_lists
from threer_blender.files import bundle_folder
from threer_blender.model.errors import UserError

ROOT = Path(__file__).parents[2]
SHOTS = 3
KILLS = 2
# Solves nothing: it writes a bundle with a camera for each photo, and a line into solved.txt. It fails where a photo
# holds a sentence in place of a picture, and ends when its parent is gone.
WORKER = f"""
import json, os, sys, threading, time
from pathlib import Path
request = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(4)), daemon=True).start()
for name in [name for name in sys.modules if name.partition(".")[0] == "threer_blender"]:
    del sys.modules[name]
sys.path.insert(0, {str(ROOT)!r})
import numpy as np
from threer_blender import bundle
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction, Unregistered

files = [file for chosen in map(Path, request["photos"]) for file in sorted(chosen.iterdir())]
sentence = next((file.read_text() for file in files if file.stat().st_size > 8), "")
if sentence:
    print(json.dumps({{"type": "failed", "text": sentence, "kind": "user"}}), flush=True)
    os._exit(1)
time.sleep(0.1)
photos = [Photo(file.name, str(file), 64, 48, "0" * 64) for file in files]
cameras = [Camera(p.name, 64, 48, 50.0, 50.0, 32.0, 24.0, np.eye(4), reprojection_error=0.25) for p in photos]
last = [Unregistered("last.jpg", "It is dark.", "Take another.")]
output = bundle.write(Reconstruction("colmap", "test", photos, cameras, unregistered=last), request["output"],
                      run=request["run"])
with open(Path(request["output"]).parent.parent / "solved.txt", "a") as log:
    log.write(Path(request["output"]).name + "\\n")
print(json.dumps({{"type": "done", "bundle": str(output), "registered": len(cameras), "chosen": len(cameras) + 1,
                  "points": 0}}), flush=True)
os._exit(0)
"""
BATCH = """
import sys
from pathlib import Path
from threer_blender.cli import command_line
from threer_blender.host import environment
from threer_blender.host.environment import Interpreter

folder = Path(sys.argv[1])
interpreter = Interpreter(Path(sys.executable), (folder / "fake",))
environment.this_python = lambda *_: interpreter
environment.choose = lambda *_: interpreter
sys.exit(command_line.main(["batch", sys.argv[2]], folder / "home"))
"""


def make(folder: Path, count: int = SHOTS) -> Path:
    """A folder with the stand-in for the worker and a list of `count` shots, which is returned."""
    package = folder / "fake" / "threer_blender" / "worker"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text(WORKER)
    lines = ['output = "results"', "[options]", 'quality = "preview"']
    for number in range(count):
        photos = folder / "photos" / f"shot {number}"
        photos.mkdir(parents=True)
        for name in ("a.jpg", "b.jpg"):
            (photos / name).write_bytes(f"{number}{name}".encode())
        lines += ["[[shot]]", f'name = "shot {number}"', f'photos = "photos/shot {number}"']
    (folder / "shots.toml").write_text("\n".join(lines) + "\n")
    return folder / "shots.toml"


def start(folder: Path, shots: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BATCH, str(folder), str(shots)]
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
    shots = make(tmp_path, 3)
    (tmp_path / "photos" / "shot 1" / "b.jpg").write_text("This shot is too dark; light it.")
    assert run(tmp_path, shots) == command_line.EXIT_USER
    assert [row["state"] for row in record(tmp_path).values()] == ["done", "failed", "done"]
    assert record(tmp_path)["shot 1"]["sentence"] == "This shot is too dark; light it."
    assert record(tmp_path)["shot 0"]["sentence"] == "last.jpg: It is dark."
    page = (tmp_path / "results" / "shots.html").read_text("utf-8")
    assert all(text in page for text in ("shot 2", "2 of 3", "0.25 px", "2 done, 1 failed", "too dark; light it"))
    (tmp_path / "photos" / "shot 1" / "b.jpg").write_bytes(b"good")
    (tmp_path / "photos" / "shot 2" / "b.jpg").write_bytes(b"new")
    assert run(tmp_path, shots) == command_line.EXIT_OK
    assert solved(tmp_path) == ["shot 0", "shot 2", "shot 1", "shot 2"]
    assert run(tmp_path, shots) == command_line.EXIT_OK
    assert len(solved(tmp_path)) == 4
    shots.write_text(shots.read_text().replace("preview", "standard"))
    assert run(tmp_path, shots) == command_line.EXIT_OK
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
    assert run(folder, shots) == command_line.EXIT_OK
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
