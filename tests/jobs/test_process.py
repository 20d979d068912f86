"""Jobs end as they should, whatever the worker does, and leave neither processes nor files behind."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.processes import alive, gone
from threer_blender import __version__
from threer_blender.files import removal
from threer_blender.files.bundle_folder import Staging
from threer_blender.host import hardware
from threer_blender.host.environment import Interpreter
from threer_blender.jobs.messages import Done, Failed, Message, Notice, Progress, ReconstructionRequest
from threer_blender.jobs.process import GRACE, KERNELS, LOG_BEGINS, MOST_LOGS, Job
from threer_blender.model.errors import UserError

INTERPRETER = Interpreter(Path(sys.executable), (Path(__file__).parent / "fake_worker",))


def start(tmp_path: Path, **options: object) -> Job:
    """A job of the fake worker, whose docstring lists the `options`."""
    output = tmp_path / "out" / "result"
    options |= {"staging": str(Staging(output, "a run").path), "marker": removal.TEXT}
    return Job(ReconstructionRequest([], "fake", str(output), options, run="a run"), INTERPRETER, tmp_path / "home")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()


def finish(job: Job) -> list[Message]:
    messages = []
    while job.ended is None:
        messages += job.wait(30)
    return messages


def until_progress(job: Job) -> list[Message]:
    messages: list[Message] = []
    while not any(isinstance(m, Progress) for m in messages):
        assert job.ended is None, job.ended
        messages += job.wait(10)
    return messages


def assert_nothing_left(job: Job, messages: list[Message], tmp_path: Path) -> None:
    temporary = next(Path(m.text) for m in messages if isinstance(m, Notice) and os.sep in m.text)
    assert not temporary.exists()
    assert list((tmp_path / "out").iterdir()) == []
    assert gone(job.pid)


def test_progress_then_done(tmp_path: Path) -> None:
    job = start(tmp_path)
    messages = finish(job)
    assert [m.fraction for m in messages if isinstance(m, Progress)] == [0.0, 0.1, 0.2]
    assert job.ended == messages[-1] == Done(str(tmp_path / "out" / "result"), 1, 2, 3)
    assert_nothing_left(job, messages, tmp_path)
    assert job.poll() == []


def test_each_version_compiles_kernels_of_its_own(tmp_path: Path) -> None:
    """Kernels of another version may name types that are gone, at which numba fails."""
    folders = [m.text for m in finish(start(tmp_path, kernels=True)) if isinstance(m, Notice) and "kernels" in m.text]
    assert folders == [str(tmp_path / "home" / KERNELS / __version__)]


def test_poll_never_blocks(tmp_path: Path) -> None:
    job = start(tmp_path, steps=1, pause=600)
    for _ in range(100):
        job.poll()
    assert job.ended is None
    job.close()
    assert job.ended == Failed("The reconstruction was stopped.", "cancelled")
    assert gone(job.pid)


@pytest.mark.parametrize(("crash", "how"), [("segv", "SIGSEGV"), ("exit", "exit status 1")])
def test_a_crash_is_one_sentence_and_a_log(tmp_path: Path, crash: str, how: str) -> None:
    job = start(tmp_path, crash=crash)
    messages = finish(job)
    assert isinstance(job.ended, Failed)
    assert how in job.ended.text
    assert str(job.log) in job.ended.text
    assert job.log.read_text()
    assert_nothing_left(job, messages, tmp_path)


def test_a_crash_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "free_disk", lambda _: 4096)
    job = start(tmp_path, crash="segv")
    messages = finish(job)
    place = tempfile.gettempdir()
    sentence = f"The disk of {place!r}, for temporary files, is full; free some space and run again."
    assert job.ended == Failed(sentence, "user")
    assert_nothing_left(job, messages, tmp_path)


def test_killed_from_outside(tmp_path: Path) -> None:
    job = start(tmp_path, steps=100, pause=0.1)
    messages = until_progress(job)
    os.kill(job.pid, signal.SIGKILL)
    messages += finish(job)
    assert isinstance(job.ended, Failed)
    assert "SIGKILL" in job.ended.text
    assert_nothing_left(job, messages, tmp_path)


@pytest.mark.parametrize("deaf", [False, True], ids=["listening", "deaf"])
def test_cancel(tmp_path: Path, deaf: bool) -> None:
    job = start(tmp_path, steps=100, pause=0.5, grandchild=True, deaf=deaf)
    messages = until_progress(job)
    job.cancel()
    job.cancel()  # impatient artists click twice
    messages += finish(job)
    assert isinstance(job.ended, Failed)
    assert job.ended.kind == "cancelled"
    assert_nothing_left(job, messages, tmp_path)
    grandchild = next(int(m.text) for m in messages if isinstance(m, Notice) and m.text.isdigit())
    assert gone(grandchild)


def test_a_cancel_delivers_what_the_worker_has(tmp_path: Path) -> None:
    job = start(tmp_path, steps=100, pause=2 * GRACE, delivers=True)
    messages = until_progress(job)
    job.cancel()
    job.cancel()  # impatient artists click twice
    messages += finish(job)
    assert isinstance(job.ended, Done)
    assert_nothing_left(job, messages, tmp_path)


def test_a_second_cancel_ends_what_takes_too_long_to_finish(tmp_path: Path) -> None:
    job = start(tmp_path, steps=100, pause=0.1, delivers=True, slow=True)
    messages = until_progress(job)
    job.cancel()
    while not (isinstance(messages[-1], Progress) and not messages[-1].cancel_delivers):
        messages += job.wait(10)
    job.cancel()
    messages += finish(job)
    assert isinstance(job.ended, Failed)
    assert job.ended.kind == "cancelled"
    assert_nothing_left(job, messages, tmp_path)


def test_what_a_library_prints_is_reported_not_believed(tmp_path: Path) -> None:
    job = start(tmp_path, babble=True)
    finish(job)
    assert isinstance(job.ended, Failed)
    assert "unexpected" in job.ended.text


def test_worker_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from threer_blender.jobs.process import Job; from threer_blender.jobs.messages import ReconstructionRequest;"
        "from threer_blender.host.environment import Interpreter; import time;"
        "options = {'steps': 1000, 'pause': 0.1, 'staging': sys.argv[3] + '.partial', 'marker': ''};"
        "job = Job(ReconstructionRequest([], 'fake', sys.argv[3], options),"
        " Interpreter(Path(sys.executable), (Path(sys.argv[2]),)), Path(sys.argv[4]));"
        "print(job.pid, flush=True); time.sleep(600)"
    )
    root = Path(__file__).parents[2]
    arguments = [str(root), str(INTERPRETER.search_path[0]), str(tmp_path / "out" / "result"), str(tmp_path / "home")]
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # this worker leaves its temporary files behind
    parent = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=env)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, where a folder should be made")
    with pytest.raises(UserError, match="the folder for logs, cannot be written to"):
        start(tmp_path)


def test_only_the_last_logs_are_kept(tmp_path: Path) -> None:
    for _ in range(MOST_LOGS + 3):
        folder = tmp_path / "home" / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"2020-{len(list(folder.iterdir())):03}.log").write_bytes(LOG_BEGINS + b"old")
    (folder / "1999 my own.log").write_text("precious")
    job = start(tmp_path)
    finish(job)
    logs = set((tmp_path / "home" / "logs").iterdir())
    assert len(logs) == MOST_LOGS + 1
    assert {job.log, folder / "1999 my own.log"} < logs
