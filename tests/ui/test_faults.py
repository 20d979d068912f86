"""Faults: whatever is killed, hidden, hung or moved, the scene is untouched or complete, and the next run works.

Cancelling and mistakes in what was chosen are in tests/worker/test_bad_input.py.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import pytest

from tests import kernels
from tests.blender.drawn import panel
from tests.blender.dump import lines
from tests.blender.extension import ROOT, choose, part, roots, start, until
from tests.blender.world import CAMERAS, reconstruct, write_photos
from tests.processes import gone, group_gone
from tests.sample_photos import SAMPLE, shrunk
from threer_blender import __version__, bundle
from threer_blender.host.environment import Interpreter

pytest_plugins = ["tests.blender.extension"]

KILLED_WORKERS, KILLED_BLENDERS = 6, 2
Record = Callable[[str, object], None]  # says how many faults a test tried


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of three neighbouring photos, 259 pixels wide: reconstructed in a few seconds."""
    folder = tmp_path_factory.mktemp("small")
    shrunk(SAMPLE[:3], folder, factor=5)
    return folder


@pytest.fixture
def temporary(checkouts_kernels: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ARG001
    """The folder for temporary files of this process and of those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def run(work: Any, folder: Path, kill_after: Any = None) -> Any:
    """Reconstructs `folder` until that has ended; kills the worker after so many seconds. Returns the task."""
    bpy.context.scene.threer.options_colmap.quality = "preview"
    task = start(work, folder)
    before = lines()
    until(work, lambda: task.job or task.ended)
    began = time.monotonic()
    if kill_after is not None:
        until(work, lambda: task.ended or time.monotonic() - began > kill_after)
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            if task.ended is None:
                os.kill(task.job.pid, signal.SIGKILL)
    until(work, lambda: task.ended and not work.current().arrived)
    if work.current().error:
        assert roots() == []
        assert lines() == before
        assert_one_sentence(work.current().error)
    else:
        (root,) = roots()
        assert len(root.children) == len(list(folder.glob("*.jpg"))) + 1  # and the points
        bpy.ops.wm.read_homefile()
    return task


def assert_one_sentence(text: str) -> None:
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text


def assert_nothing_left(photos: Path, temporary: Path) -> None:
    """There is no unfinished file, and every result is whole."""
    assert list(temporary.glob("threer_*")) == []
    for folder in (photos / "3R results").glob("*"):
        assert not folder.name.startswith(".")
        assert len(bundle.read(folder).cameras) == 3


# The worker's death


def test_a_worker_killed_at_any_moment(work: ModuleType, small: Path, temporary: Path, record_property: Record) -> None:
    """Each moment is drawn from its own share of how long a whole run takes."""
    run(work, small)  # the first one may compile kernels
    began = time.monotonic()
    run(work, small)
    whole = time.monotonic() - began
    rng = random.Random(0)
    killed = 0
    for number in range(KILLED_WORKERS):
        task = run(work, small, kill_after=whole * (number + rng.random()) / KILLED_WORKERS)
        if work.current().error:
            killed += 1
            assert "SIGKILL" in work.current().error
            assert task.job.log.is_file()
        assert group_gone(task.job.pid)
        assert_nothing_left(small, temporary)
    run(work, small)
    assert work.current().error == ""
    record_property("tried", KILLED_WORKERS)
    assert killed > 0  # the rest were quicker than when they were measured


# Blender's death


@pytest.fixture(scope="session")
def profile(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Blender's profile with the add-on in it, whose code is the checkout's."""
    folder = tmp_path_factory.mktemp("profile")
    extension = folder / "extensions" / "user_default" / "threer_blender"
    extension.mkdir(parents=True)
    for path in (repository / "threer_blender").iterdir():
        (extension / path.name).symlink_to(ROOT / path.name) if path.is_dir() else shutil.copy(path, extension)
    kernels.share(data_folder_of(folder))
    return folder


def data_folder_of(profile: Path) -> Path:
    """The folder that Blender gives the add-on there."""
    return profile / "extensions" / ".user" / "user_default" / "threer_blender"


class AnotherBlender:
    """A process that runs another_blender.py in `profile`."""

    def __init__(self, profile: Path, temporary: Path, *photos: Path) -> None:
        command = [sys.executable, str(Path(__file__).parents[1] / "blender" / "another_blender.py"), *map(str, photos)]
        env = {**os.environ, "BLENDER_USER_RESOURCES": str(profile), "TMPDIR": str(temporary)}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

    def hear(self, is_wanted: Any) -> Any:
        """The next message that `is_wanted` accepts; waits for it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, values = line.partition(" ")
            if word == "said" and is_wanted(heard := json.loads(values)):
                return heard
        raise AssertionError(f"it ended with {self.process.wait()}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def offered(profile: Path, temporary: Path) -> Any:
    """The results that a new Blender offers to import."""
    blender = AnotherBlender(profile, temporary)
    actual = blender.hear(lambda messages: "offered" in messages)["offered"]
    blender.kill()
    return actual


def test_a_killed_blender_takes_its_worker_along(
    small: Path, profile: Path, temporary: Path, record_property: Record
) -> None:
    rng = random.Random(0)
    for number in range(KILLED_BLENDERS):
        reached = 0.9 * (number + rng.random()) / KILLED_BLENDERS
        blender = AnotherBlender(profile, temporary, small)
        heard = blender.hear(lambda messages, reached=reached: messages.get("fraction", -1) >= reached)
        blender.kill()
        assert group_gone(heard["worker"])
        assert_nothing_left(small, temporary)
        shutil.rmtree(heard["output"], ignore_errors=True)  # where it was quicker than the kill
    assert offered(profile, temporary) == []

    blender = AnotherBlender(profile, temporary, small)  # the next run works, and its result outlives Blender
    ended = blender.hear(lambda messages: "failed" in messages)
    blender.kill()
    assert ended["failed"] == ""
    assert offered(profile, temporary) == [ended["output"]]
    assert len(bundle.read(ended["output"]).cameras) == 3
    shutil.rmtree(ended["output"])
    record_property("tried", KILLED_BLENDERS + 1)


def test_two_blenders_share_one_folder(small: Path, profile: Path, temporary: Path) -> None:
    """Both compile kernels, name results and write logs in it at the same time."""
    local_kernels = data_folder_of(profile) / "kernels" / __version__
    local_kernels.unlink()
    blenders = [AnotherBlender(profile, temporary, small) for _ in range(2)]
    ended = [blender.hear(lambda messages: "failed" in messages) for blender in blenders]
    for blender in blenders:
        blender.kill()
    assert [heard["failed"] for heard in ended] == ["", ""]
    assert list(local_kernels.rglob("*.nbi"))
    assert ended[0]["output"] != ended[1]["output"]
    assert_nothing_left(small, temporary)
    assert sorted(offered(profile, temporary)) == sorted(heard["output"] for heard in ended)
    for heard in ended:
        shutil.rmtree(heard["output"])


# A full disk


def test_a_full_disk(work: ModuleType, small: Path, temporary: Path, tmp_path: Path) -> None:
    """The one that the photos are on, where the result goes; once there is room, the next run works."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        for photo in small.glob("*.jpg"):
            shutil.copy(photo, disk)
        task = run(work, disk)
        assert "is full; free some space and run again." in work.current().error
        assert group_gone(task.job.pid)
        assert_nothing_left(disk, temporary)
        subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)
        run(work, disk)
        assert work.current().error == ""
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


# A worker that is not as it should be


def test_a_missing_wheel(
    work: ModuleType,
    small: Path,
    temporary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
) -> None:
    """Hidden from the worker, where it is noticed at the latest; and from Blender, where the panel says it."""
    environment = part("host.environment")
    engine = part("engines.registry").engine("colmap")
    whole = environment.this_python(engine.requires)
    assert engine.requires
    for module in engine.requires:
        hiding = tmp_path / f"without {module}"
        hiding.mkdir()
        (hiding / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None")
        with monkeypatch.context() as patch:
            interpreter = Interpreter(whole.python, (hiding, *whole.search_path))
            patch.setattr(environment, "this_python", lambda _engine, interpreter=interpreter: interpreter)
            run(work, small)
            assert f"{module} cannot be imported; install the extension's zip" in work.current().error
            assert_nothing_left(small, temporary)
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            assert f"needs {module} first." in panel()
            assert "threer.reconstruct" not in panel()
    assert "threer.reconstruct" in panel()
    run(work, small)
    assert work.current().error == ""
    record_property("tried", len(engine.requires))


def test_a_worker_of_another_version(
    work: ModuleType, small: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another Blender has updated the extension, while this one has the earlier version in memory."""
    genuine = part("headless").reconstruction_request
    with monkeypatch.context() as patch:
        patch.setattr(
            part("headless"), "reconstruction_request", lambda *given: replace(genuine(*given), version="0.0.9")
        )
        run(work, small)
        assert f"version 0.0.9 of the extension, but {__version__} is installed now" in work.current().error
        assert "restart Blender" in work.current().error
        assert_nothing_left(small, temporary)
    run(work, small)
    assert work.current().error == ""


def test_a_hung_worker(
    work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch, record_property: Record
) -> None:
    """One worker lives and sends nothing, one is stopped altogether. The clock is set forward by a minute."""
    later = 0.0
    monkeypatch.setattr(part("ui.queue"), "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later))
    for stopped in (False, True):
        later = 0.0
        task = start(work, photo_folder)
        until(work, lambda task=task: task.progress.fraction > 0)
        before = lines()
        assert "No word" not in panel()
        (photo_folder / "silent").touch()
        if stopped:
            os.kill(task.job.pid, signal.SIGSTOP)
        time.sleep(0.3)  # until what was said before has arrived
        work.tick()
        later = 61.0
        assert "No word from the process for 6" in panel()
        assert "threer.cancel" in panel()
        bpy.ops.threer.cancel(position=0)
        until(work, lambda task=task: task.ended)
        assert task.ended.kind == "cancelled"
        assert gone(task.job.pid)
        assert lines() == before
        assert not (photo_folder / "3R results").exists()
        (photo_folder / "silent").unlink()
    (photo_folder / "go").touch()
    later = 0.0
    start(work, photo_folder)
    until(work, roots)
    record_property("tried", 2)


# A project that moves


@pytest.mark.usefixtures("addon", "photo_folder")
def test_a_project_moved_to_another_folder(tmp_path: Path) -> None:
    """Photos, plates and the result are found where the .blend is opened next; the result can be imported again."""
    project, moved = tmp_path / "project", tmp_path / "elsewhere" / "Küche 50%"
    (tmp_path / "plates").mkdir()
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "shot.blend"))
    photos = write_photos(project / "photos", CAMERAS)
    shutil.copy(photos[0].path, tmp_path / "plates")
    first, *others = CAMERAS
    cameras = [replace(first, undistorted=f"plates/{first.photo}"), *others]
    bundle.write(reconstruct(photos, cameras, step=8), project / "photos" / "bundle", tmp_path)
    (project / "photos" / "go").touch()
    choose(project / "photos")
    bpy.ops.threer.reconstruct()
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.read_homefile()
    moved.parent.mkdir()
    project.rename(moved)

    bpy.ops.wm.open_mainfile(filepath=str(moved / "shot.blend"))
    (root,) = roots()
    folder = part("ui.summary").bundle(root)
    assert moved in folder.parents
    for again in range(2):
        solved = part("scene.build").solved_cameras(root)
        images = [obj.data.background_images[0].image for obj in solved]
        assert len(images) == len(CAMERAS)
        for image in images:
            assert moved in Path(bpy.path.abspath(image.filepath)).parents
            assert tuple(image.size) != (0, 0)
        assert [Path(image.filepath).parent.name for image in images].count("plates") == 1
        if not again:
            bpy.ops.threer.import_result(directory=str(folder))
