"""[S] Files that are replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from . import removal

LONGEST = 60  # letters of the final name that the temporary name repeats; more could be too long for the disk


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary name beside `path` to write to. At the end of the block, that file takes the name `path`.

    Where the block raises, the temporary file is removed. So readers always see the whole old file or the whole new
    one. Raises OSError.
    """
    unfinished = path.with_name(f".{path.name[:LONGEST]}.{os.urandom(6).hex()}{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        removal.remove_made_file(unfinished)


def put(made: Path, path: Path) -> None:
    """Renames a file that the caller has made to `path`, on the same disk. Raises OSError."""
    made.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all. Raises OSError."""
    with replacing(path) as unfinished:
        unfinished.write_text(text, "utf-8")
