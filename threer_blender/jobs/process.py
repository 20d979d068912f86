"""[S] Start, poll and cancel a runtime: a child process that speaks `messages` on its pipes. Stdlib only, no bpy.

The child never outlives us: it stops at the end of its stdin, so even a killed Blender leaves none behind. Its
temporary files live in one folder that is removed here at its end, whatever the end was.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from .. import bundle
from ..host import hardware
from ..host.environment import TEMPORARY, Runtime
from ..model.errors import UserError
from .messages import Asked, Cancel, Done, Ended, Failed, Finished, Message, Progress, Request, from_line, to_line

GRACE = 1.5  # seconds between asking the runtime to stop and killing it
KEPT_LOGS = 20
FULL = 10e6  # bytes free on a disk that is as good as full
# Neither the working folder nor the user's site-packages may shadow what the runtime imports.
ISOLATED = ("-P", "-s")
_living: set[Job] = set()


class Job:
    """What was asked of a runtime. `poll` never blocks; `ended` is its last word, None while it runs."""

    def __init__(self, asked: Asked, runtime: Runtime, home: Path) -> None:
        """Starts the runtime. `home` is the folder for compiled kernels and the log, `self.log`.

        Raises UserError where nothing can be written there.
        """
        self.asked = asked
        self.ended: Ended | None = None
        self.log = _new_log(home / "logs")
        self._temporary = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        self._queue: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._cancelling = self._finishing = False
        self._keeps = False  # by the last word of the runtime: a cancel would end in a result
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [str(runtime.python), *ISOLATED, "-m", f"{__package__.split('.')[-2]}.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(runtime, self._temporary, home),
                **_own_group(),
            )
        _living.add(self)
        self._reader = threading.Thread(target=self._read, name="threer-runtime-reader", daemon=True)
        self._reader.start()
        self._say(asked)

    @property
    def pid(self) -> int:
        """Process id of the runtime, which is also its process group's."""
        return self._child.pid

    def poll(self) -> list[Message]:
        """What arrived since the last call; at the end this includes exactly one that Ended. Never blocks."""
        arrived: list[Message] = []
        while self.ended is None:
            try:
                message = self._queue.get_nowait()
            except queue.Empty:
                break
            if message is None:
                message = self._crashed()
            if isinstance(message, Done | Finished | Failed):
                self._finish(message)
            elif isinstance(message, Progress):
                self._keeps = message.keeps
            arrived.append(message)
        return arrived

    def wait(self, seconds: float | None = None) -> list[Message]:
        """Blocks until something arrives, the job ends or `seconds` pass. For `blender -b`, where timers never run."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while not (arrived := self.poll()) and self.ended is None:
            if deadline is not None and time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return arrived

    def cancel(self) -> None:
        """Asks the runtime to stop, and kills its process group GRACE seconds later if it has not. Returns at once.

        A runtime that has a result to keep is asked to deliver it instead, and given the time; once it has said that
        it does, cancelling again ends it like any other.
        """
        if self.ended is not None or self._cancelling:
            return
        if self._keeps:
            if not self._finishing:
                self._finishing = True
                self._say(Cancel())
            return
        self._cancelling = True
        self._say(Cancel())
        timer = threading.Timer(GRACE, self._kill)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Kills the runtime now and removes what it had not finished. For the end of this process."""
        if self.ended is None:
            self._kill()
            self._finish(Failed(f"The {self.asked.noun} was stopped.", "cancelled"))

    def _say(self, message: Message) -> None:
        assert self._child.stdin is not None
        # A broken pipe means that the child has died: the reader reports that.
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.write(to_line(message).encode())
            self._child.stdin.flush()

    def _read(self) -> None:
        """The reader thread: messages into the queue, then None."""
        assert self._child.stdout is not None
        for line in self._child.stdout:
            try:
                self._queue.put(from_line(line.decode("utf-8")))
            except ValueError as error:
                self._queue.put(Failed(f"The runtime said something unexpected: {error}.", "bug"))
        self._child.wait()
        self._queue.put(None)

    def _crashed(self) -> Failed:
        if self._cancelling:
            return Failed(f"The {self.asked.noun} was cancelled.", "cancelled")
        if hardware.free_disk(self._temporary) < FULL:  # at which SQLite's errors end the process inside pycolmap
            return Failed(disk_full(self._temporary), "user")
        code = self._child.wait()
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        if how == "SIGKILL":
            how += ", as when the memory runs out"
        lighter = ", and if that does not help, with fewer photos or at a lower quality"
        return Failed(
            f"The {self.asked.noun} process ended unexpectedly ({how}); run it again"
            f"{lighter if isinstance(self.asked, Request) else ''}. Its log is {str(self.log)!r}.",
            "bug",
        )

    def _finish(self, ended: Ended) -> None:
        self.ended = ended
        if self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.close()
        try:
            self._child.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._kill()
            self._child.wait()
        self._kill_group()
        self._reader.join()
        if self._child.stdout is not None:
            self._child.stdout.close()
        _living.discard(self)
        shutil.rmtree(self._temporary, ignore_errors=True)
        if isinstance(self.asked, Request):
            bundle.abandon(Path(self.asked.output).absolute())

    def _kill(self) -> None:
        if self._child.poll() is None:
            self._kill_group()

    def _kill_group(self) -> None:
        """Kills what is left of the child's process group: the child, and whatever it started."""
        if sys.platform == "win32":
            command = ["taskkill", "/T", "/F", "/PID", str(self._child.pid)]
            subprocess.run(command, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child.pid, signal.SIGKILL)


def disk_full(temporary: Path) -> str:
    """The user's sentence where the disk of a runtime's folder for temporary files has no room."""
    return f"The disk of {str(temporary.parent)!r}, for temporary files, is full; free some space and run again."


def _own_group() -> dict[str, Any]:
    """Popen arguments that put the child in a process group of its own, so that all of it can be ended at once."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _environment(runtime: Runtime, temporary: Path, home: Path) -> dict[str, str]:
    own = {
        "PYTHONPATH": os.pathsep.join(map(str, runtime.search_path)),
        "PYTHONUTF8": "1",
        "PYTHONFAULTHANDLER": "1",
        "NUMBA_CACHE_DIR": str(home / "kernels"),
        "GLOG_minloglevel": "2",  # of COLMAP's log, errors only
        "OMP_WAIT_POLICY": "passive",  # torch's idle threads would spin and take the cores from ours
        "THREER_HOME": str(home),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
    }
    return {**os.environ, **own}


def _new_log(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        logs = sorted(folder.glob("*.log"))
        for old in logs[: max(0, len(logs) - KEPT_LOGS + 1)]:
            old.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(".log", time.strftime("%Y%m%d-%H%M%S-"), folder)
    except OSError as error:
        raise UserError(
            f"{str(folder)!r}, the folder for logs, cannot be written to ({error.strerror}): free some space, give "
            "yourself the right to write there, or name another folder as THREER_HOME."
        ) from error
    os.close(handle)
    return Path(name)


@atexit.register
def _end_all() -> None:
    for job in list(_living):
        job.close()
