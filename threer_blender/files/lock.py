"""[S] A lock between processes, on a file. The system releases it when its holder's process ends, however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

BEYOND = 1 << 30  # the byte that is locked on Windows: a locked byte cannot be read, so it lies behind all content


class Held(Exception):
    """Another process holds the lock."""


class Lock:
    """A lock, held from its construction until `release`. Raises Held where another process holds it, and OSError."""

    def __init__(self, path: Path) -> None:
        """The file `path` is made where it is missing, and stays."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _take(self._file)
        except OSError as error:
            self.release()
            if isinstance(error, BlockingIOError | PermissionError):  # on Linux and macOS; on Windows
                raise Held(str(path)) from error
            raise
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Releases the lock. Further calls do nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()


@contextlib.contextmanager
def waiting(path: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Holds the lock on `path` for the length of a `with`. Until it is free, `wait` is called again and again.

    `wait` should sleep, and may raise to give up.
    """
    while True:
        try:
            lock = Lock(path)
            break
        except Held:
            wait()
    with lock:
        yield


if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        """Locks an open file. Raises OSError at once where another process holds the lock."""
        os.lseek(file, BEYOND, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
