"""Whether processes that a test started still run. For the tests of every folder."""

import os
import subprocess
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended, but that nobody has asked about yet, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Waits until a process has ended; whether that came about in time."""
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def group_gone(pid: int, seconds: float = 5.0) -> bool:
    """`gone` of everything in the process group that `pid` began."""
    deadline = time.monotonic() + seconds
    while (left := _group(pid)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not left


def _group(pid: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True)
    entries = [line.split() for line in listed.stdout.splitlines()]
    return [state for group, state in entries if int(group) == pid and not state.startswith("Z")]
