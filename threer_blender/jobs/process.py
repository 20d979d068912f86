"""[S] Starts, polls and cancels a worker: a child process that speaks `messages` on its pipes. Stdlib only, no bpy.

A worker never outlives this process: it stops at the end of its stdin, so even a killed Blender leaves none behind. Its
temporary files lie in one folder, which is removed here when it ends, for whatever reason. Two threads, a writer and a
reader, do everything that may take a while. At the end the reader also tidies up, and passes the worker's last message
on only then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

from .. import __version__
from ..files import bundle_folder, removal
from ..files.bundle_folder import Staging
from ..host import environment, hardware
from ..host.environment import TEMPORARY, Interpreter
from ..model.errors import UserError, cause, quoted
from .messages import (
    Bundled,
    Cancel,
    Done,
    Ended,
    Failed,
    Finished,
    MakeMesh,
    Message,
    Progress,
    ReconstructionRequest,
    Request,
    from_line,
    to_line,
)

GRACE = 1.5  # seconds between asking the worker to stop and killing it
MOST_LOGS = 20  # the oldest logs beyond these are deleted
KERNELS, LOGS = "kernels", "logs"  # folders in `data_folder`
LOG_BEGINS = b"A log of threer_blender\n"
LONGEST_LINE = 1 << 20  # bytes; a message usually has a few hundred
FULL = 10e6  # bytes: a disk with less free space is as good as full
# Neither the working folder nor the user's site-packages may shadow what the worker imports.
ISOLATED = ("-P", "-s")
_living: set[Job] = set()  # jobs whose workers have not been tidied up yet


class Job:
    """A worker and its request. `poll` never blocks. `ended` is the worker's last message, None while it runs."""

    def __init__(self, request: Request, interpreter: Interpreter, data_folder: Path) -> None:
        """Starts the worker. `data_folder` is the folder for compiled kernels and the log, `self.log`.

        Raises UserError where nothing can be written there, and OSError where the worker cannot be started. Then no
        file is left behind.
        """
        self.request = request
        self.ended: Ended | None = None
        self.log = _new_log(data_folder / LOGS)
        self._queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._cancelling = False  # the worker was asked to stop, and will be killed
        self._finishing = False  # the worker was asked to deliver its result
        self._closing = False  # this process ends: the worker was killed
        self._cancel_delivers = False  # the last Progress says so: a cancel would end in a result
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(removal.remove_made_file, self.log)
            self._temporary = removal.temporary(TEMPORARY)
            on_failure.callback(removal.discard, self._temporary)
            self._child = _start(interpreter, self._temporary, data_folder, self.log)
            on_failure.pop_all()
        _living.add(self)
        self._writer = threading.Thread(target=self._write, name="threer-worker-writer", daemon=True)
        self._reader = threading.Thread(target=self._read, name="threer-worker-reader", daemon=True)
        self._outgoing.put(request)
        self._writer.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """The worker's process id, which is also the id of its process group."""
        return self._child.pid

    def poll(self) -> list[Message]:
        """The messages since the last call. The last message of a job is an Ended. Never blocks."""
        arrived: list[Message] = []
        while self.ended is None:
            try:
                message = self._queue.get_nowait()
            except queue.Empty:
                break
            if isinstance(message, Done | Finished | Failed):
                self.ended = message
            elif isinstance(message, Progress):
                self._cancel_delivers = message.cancel_delivers
            arrived.append(message)
        return arrived

    def wait(self, seconds: float | None = None) -> list[Message]:
        """Blocks until messages arrive, the job ends or `seconds` pass. Returns the messages.

        For `blender -b`, where timers never run.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while not (arrived := self.poll()) and self.ended is None:
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return arrived

    def cancel(self) -> None:
        """Asks the worker to stop, and kills its process group GRACE seconds later if it has not. Returns at once.

        A worker that has a result to keep is asked to deliver that instead, and gets the time it needs. Once it reports
        that it is delivering, a second cancel ends it like any other.
        """
        if self.ended is not None or self._cancelling:
            return
        if self._cancel_delivers:
            if not self._finishing:
                self._finishing = True
                self._outgoing.put(Cancel())
            return
        self._cancelling = True
        self._outgoing.put(Cancel())
        timer = threading.Timer(GRACE, self._kill)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Kills the worker now and waits until what it had not finished is removed. For the end of this process."""
        if self.ended is None:
            self._closing = True
            self._kill()
            self._reader.join(5 * GRACE)
            self.poll()

    def _write(self) -> None:
        """The writer thread. Writing may block: a request may be longer than a pipe holds while the worker is busy."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # a broken pipe: the child has died, as the reader reports
            while (message := self._outgoing.get()) is not None:
                self._child.stdin.write(to_line(message).encode())
                self._child.stdin.flush()
        with contextlib.suppress(OSError):
            self._child.stdin.close()

    def _read(self) -> None:
        """The reader thread: passes all messages but the last on, tidies up, and then passes the last one on."""
        assert self._child.stdout is not None
        last: Ended | None = None
        try:
            last = self._pass_on(self._child.stdout)
        except Exception as error:  # the edge of this thread: without a last message the job would never end
            last = Failed(f"The worker could not be heard: {cause(error)}.", "bug")
        finally:
            self._queue.put(self._tidied(last))

    def _pass_on(self, lines: BinaryIO | Any) -> Ended | None:
        """Passes the messages on and returns the last one; None where the worker ended without a last message."""
        while line := lines.readline(LONGEST_LINE):
            try:
                message = from_line(line.decode("utf-8"))
            except ValueError as error:
                return Failed(f"The worker said something unexpected: {error}.", "bug")
            if isinstance(message, Done | Finished | Failed):
                return message
            self._queue.put(message)
        return None

    def _tidied(self, last: Ended | None) -> Ended:
        """Ends the worker and removes what it left behind.

        Returns its `last` message, or else a message about its death; Done where its result was complete all the same.
        """
        self._outgoing.put(None)
        try:
            if last is None or self._closing:
                self._kill()
            self._child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._kill()
        kill_group(self._child.pid)
        self._child.wait()
        last = last or self._crashed()
        self._writer.join(GRACE)
        if self._child.stdout is not None:
            self._child.stdout.close()
        removal.discard(self._temporary)
        if isinstance(self.request, Bundled):
            output = Path(self.request.output).absolute()
            if isinstance(last, Failed):
                last = self._completed(output) or last
            if not (self.request.leave_staged and isinstance(last, Done)):
                Staging(output, self.request.run).discard()
        if isinstance(self.request, MakeMesh):
            bundle_folder.mesh_staging(Path(self.request.bundle), self.request.run).discard()
        _living.discard(self)
        return last

    def _completed(self, output: Path) -> Done | None:
        """The Done of a worker that completed its bundle and died before it could say so; None without a bundle."""
        assert isinstance(self.request, Bundled)
        folder = Staging(output, self.request.run).new if self.request.leave_staged else output
        manifest = bundle_folder.written_by(folder, self.request.run)
        if manifest is None:
            return None
        return Done(str(folder), manifest.registered, manifest.chosen, manifest.points)

    def _crashed(self) -> Failed:
        """The last message in place of a worker that ended without one."""
        if self._closing:
            return Failed(f"The {self.request.noun} was stopped.", "cancelled")
        if self._cancelling:
            return Failed(f"The {self.request.noun} was cancelled.", "cancelled")
        if hardware.free_disk(self._temporary) < FULL:  # SQLite's errors then end the process inside pycolmap
            return Failed(disk_full(self._temporary), "user")
        code = self._child.wait()
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        if how == "SIGKILL":
            how += ", as when the memory runs out"  # Linux then kills the process
        lighter = ", and if that does not help, with fewer photos or at a lower quality"
        return Failed(
            f"The {self.request.noun} process ended unexpectedly ({how}); run it again"
            f"{lighter if isinstance(self.request, ReconstructionRequest) else ''}. Its log is {quoted(self.log)}.",
            "bug",
        )

    def _kill(self) -> None:
        if self._child.poll() is None:
            kill_group(self._child.pid)


def kill_group(leader: int) -> None:
    """Kills what is left of the process group of the process `leader`: itself, and whatever it started."""
    if sys.platform == "win32":
        command = [hardware.system_program("taskkill"), "/T", "/F", "/PID", str(leader)]
        subprocess.run(command, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def _start(interpreter: Interpreter, temporary: Path, data_folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """The worker's process, started in an empty folder of its own. Raises OSError where it cannot be started."""
    folder = temporary / "working folder"
    folder.mkdir()
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [str(interpreter.python), *ISOLATED, "-m", f"{__package__.split('.')[-2]}.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=folder,
            env=_environment(interpreter, temporary, data_folder),
            **_process_group(),
        )


def disk_full(temporary: Path) -> str:
    """The sentence for the user where the disk of a worker's folder for temporary files is full."""
    return f"The disk of {quoted(temporary.parent)}, for temporary files, is full; free some space and run again."


def _process_group() -> dict[str, Any]:
    """Popen arguments that put the child in a process group of its own, so that all of it can be ended at once."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _environment(interpreter: Interpreter, temporary: Path, data_folder: Path) -> dict[str, str]:
    variables = {
        "PYTHONPATH": os.pathsep.join(str(folder.absolute()) for folder in interpreter.search_path),
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",
        # Each version has its own: numba fails at kernels whose types are gone or have another name.
        "NUMBA_CACHE_DIR": str(data_folder.absolute() / KERNELS / __version__),
        "GLOG_minloglevel": "2",  # of COLMAP's log, errors only
        "OMP_WAIT_POLICY": "passive",  # torch's idle threads would spin and take the cores from ours
        "THREER_HOME": str(data_folder.absolute()),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
    }
    return {**environment.child_variables(), **variables}


def _new_log(folder: Path) -> Path:
    """A new log in `folder`, whose oldest logs are deleted. Marks the folder of compiled kernels beside it as ours.

    Raises UserError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _claim_kernels(folder.with_name(KERNELS))
        ours = logs(folder)
        for old in ours[: max(0, len(ours) - MOST_LOGS + 1)]:
            removal.remove_made_file(old)
        handle, name = tempfile.mkstemp(".log", time.strftime("%Y%m%d-%H%M%S-"), folder)
        with os.fdopen(handle, "wb") as log:
            log.write(LOG_BEGINS)
    except OSError as error:
        raise UserError(
            f"{quoted(folder)}, the folder for logs, cannot be written to ({error.strerror}): free some space, give "
            "yourself the right to write there, or name another folder as THREER_HOME."
        ) from error
    return Path(name)


def logs(folder: Path) -> list[Path]:
    """Our logs in a folder, oldest first. A log (*.log) is ours if it begins with LOG_BEGINS, whatever its name."""
    return [path for path in sorted(folder.glob("*.log")) if _is_log(path)]


def remove_logs(folder: Path) -> None:
    """Deletes our logs. Raises UserError where one cannot be deleted."""
    try:
        for log in logs(folder):
            removal.remove_made_file(log)
        removal.remove_empty(folder)
    except OSError as error:
        raise UserError(f"{quoted(folder)} could not be cleared: {error.strerror}.") from error


def _is_log(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not path.is_symlink() and path.is_file() and file.read(len(LOG_BEGINS)) == LOG_BEGINS
    except OSError:
        return False


def _claim_kernels(folder: Path) -> None:
    """Marks the folder of compiled kernels as ours, so that it may be removed.

    A folder that somebody else made is used too, but it stays.
    """
    with contextlib.suppress(UserError):
        removal.claim(folder)


@atexit.register
def _end_all() -> None:
    for job in list(_living):
        job.close()
