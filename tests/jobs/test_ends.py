"""However a job ends: its result is not lost, and neither a process nor a file is left behind."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.processes import alive, gone
from tests.test_bundle import example
from threer_blender import bundle
from threer_blender.files import removal
from threer_blender.files.bundle_folder import Staging
from threer_blender.host.environment import Interpreter
from threer_blender.jobs.messages import Done, Failed, ReconstructionRequest
from threer_blender.jobs.process import Job

ROOT = Path(__file__).parents[2]
INTERPRETER = Interpreter(Path(sys.executable), (Path(__file__).parent / "fake_worker",))


def start(tmp_path: Path, run: str = "a run", leave_staged: bool = False, **options: object) -> Job:
    """Starts a worker that puts a finished bundle in place, and then ends without saying so."""
    finished = tmp_path / "made"
    if not finished.exists():
        bundle.write(example(tmp_path), finished, run="a run")
    output = tmp_path / "out" / "result"
    staging = Staging(output, run)
    options |= {"staging": str(staging.path), "marker": removal.TEXT, "made": str(finished)}
    options |= {"place": str(staging.new if leave_staged else output)}
    return Job(
        ReconstructionRequest([], "fake", str(output), options, run=run, leave_staged=leave_staged),
        INTERPRETER,
        tmp_path / "home",
    )


def finish(job: Job) -> None:
    while job.ended is None:
        job.wait(30)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()


@pytest.mark.parametrize("crash", ["segv", "exit", "kill"])
@pytest.mark.parametrize("leave_staged", [False, True])
def test_a_worker_that_dies_after_its_result_is_in_place_has_delivered_it(
    tmp_path: Path, crash: str, leave_staged: bool
) -> None:
    job = start(tmp_path, crash=crash, leave_staged=leave_staged)
    finish(job)
    place = Staging(tmp_path / "out" / "result", "a run").new if leave_staged else tmp_path / "out" / "result"
    assert job.ended == Done(str(place), 2, 3, 11)
    assert len(bundle.read(place).cameras) == 2
    if not leave_staged:
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["result"]


def test_a_result_of_another_run_is_not_taken_for_its_own(tmp_path: Path) -> None:
    job = start(tmp_path, run="another run", crash="segv")
    finish(job)
    assert isinstance(job.ended, Failed)
    assert "SIGSEGV" in job.ended.text


def test_a_start_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    request = ReconstructionRequest([], "fake", str(tmp_path / "out" / "result"))
    for python in (tmp_path / "no such python", tmp_path):  # a folder may not be run
        with pytest.raises(OSError, match=r"No such file|Permission denied"):
            Job(request, Interpreter(python, ()), tmp_path / "home")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list((tmp_path / "home" / "logs").iterdir()) == []


UV = """
import sys
from pathlib import Path
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import set_up
folders = set_up.Folders(Path(sys.argv[1]))
folders.working.mkdir(parents=True)
report = MessageReport(lambda message: None)
report.plan([set_up.PREPARING])
set_up.Uv(Path(sys.argv[2]), folders, report)(set_up.PREPARING, "pip")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it ends with its worker's group")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_uv_ends_with_its_worker(tmp_path: Path, end: signal.Signals) -> None:
    """A killed worker cannot end uv itself, so the system must."""
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho $$ > "{tmp_path}/pid"\nexec sleep 600\n')
    uv.chmod(0o755)
    worker = subprocess.Popen([sys.executable, "-c", UV, str(tmp_path / "home"), str(uv)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").is_file() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    os.kill(worker.pid, end)
    worker.wait()
    assert gone(pid, 20)
