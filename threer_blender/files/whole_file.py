"""[S] A file is replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from . import removal

LONGEST = 60  # letters of a name that a name beside it repeats, so that no disk finds it too long


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to. When the block ends, the file there takes the name `path`; when it
    raises, the file is removed. So readers see the old file or the new one.
    """
    beside = path.with_name(f".{path.name[:LONGEST]}.{os.urandom(6).hex()}{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        removal.remove_made_file(beside)


def put(made: Path, path: Path) -> None:
    """Gives a file that the caller has made, on the same disk, the name `path`. Raises OSError."""
    made.replace(path)


def write_text(path: Path, text: str) -> None:
    """Writes a small file whole."""
    with replacing(path) as beside:
        beside.write_text(text, "utf-8")
