"""[S] Reading untrusted files: regular files only, and memory in proportion to their size.

A file may be damaged, or made to do harm. `check` bounds each number in it before memory is allocated by that number.
`as_damage` turns all errors that a file's bytes cause into one. A MemoryError is not the file's fault and passes.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any

from ..model.errors import UserError

ALWAYS_ALLOWED = 32 << 20  # bytes that the content of any file may take
EXPANSION = 128  # times a file's size that its content may take; real splats take up to 40 times as much
LONGEST_JSON = 16 << 20  # bytes; its objects take some thirty times as much
# Errors of the standard library and of numpy on bytes without sense.
FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Damaged(ValueError):
    """A file is damaged. The text is the rest of a sentence that begins with the file's name."""


@contextmanager
def as_damage(rest: str = "is damaged; get it again") -> Iterator[None]:
    """Within it, errors that a file's bytes cause become Damaged, with the text `rest`."""
    try:
        yield
    except Damaged:
        raise
    except FAULTS as error:
        raise Damaged(rest) from error


@contextmanager
def as_refusal(name: str) -> Iterator[None]:
    """Within it, Damaged becomes a UserError whose sentence begins with the file's `name`."""
    try:
        yield
    except Damaged as error:
        raise UserError(f"{name} {error}.") from error


def check(needed: int, size: int) -> None:
    """Raises Damaged where `needed` bytes of memory are more than the content of a file of `size` bytes can be."""
    if not 0 <= needed <= max(ALWAYS_ALLOWED, EXPANSION * size):
        raise Damaged(f"claims to hold {needed:,} bytes, which its {size:,} cannot; get it again")


def open_regular(path: Path) -> BufferedReader:
    """The file, opened for reading bytes. Raises Damaged where it is a folder, a device or a pipe, and OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged("is no regular file; choose one")
    return os.fdopen(descriptor, "rb")


def content(path: Path, most: int | None = None) -> bytes:
    """All bytes of a file. Raises OSError, and Damaged where it is no regular file or holds more than `most` bytes."""
    with open_regular(path) as file:
        data = file.read(-1 if most is None else most + 1)
    if most is not None and len(data) > most:
        raise Damaged(f"holds more than {most:,} bytes; choose another file")
    return data


def inside(folder: Path, name: str) -> Path:
    """The path of the file `name`, which another file in `folder` names. Raises Damaged where it leads outside."""
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    leads_out = not parts or set(name) & {"\\", ":", "\0"} or ".." in parts or parts[0].startswith("/")
    if leads_out or not _is_below(path, folder):
        raise Damaged(f"names a file outside of its folder ({name!r:.60}); do not trust it")
    return path


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle
        return False


def parsed(text: bytes, longest: int = LONGEST_JSON) -> Any:
    """The value of a JSON text. Raises Damaged where it is longer than `longest` bytes, or no JSON."""
    if len(text) > longest:
        raise Damaged("holds a description too long to be one; get it again")
    with as_damage("is damaged; get it again"):
        return json.loads(text)


class Inflation:
    """Unpacks the gzip file `data` piece by piece, in no more memory than a piece takes."""

    def __init__(self, data: bytes) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._rest = data

    @property
    def ended(self) -> bool:
        """Whether all of the content was read and its checksum is right."""
        return self._stream.eof

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer where the content ends. Raises Damaged."""
        with as_damage("is cut off or damaged; get it again"):
            piece = self._stream.decompress(self._rest, count) if count else b""
        self._rest = self._stream.unconsumed_tail
        return piece


@contextmanager
def zipped(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file at `path`, opened. Errors that its bytes cause become Damaged. Raises OSError, too."""
    try:
        with (
            as_damage("is cut off or damaged; get it again"),
            open_regular(path) as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield archive
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise Damaged("is cut off or damaged; get it again") from error  # a member's place is before the file's start


def unzipped(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """The content of the member `name` of a zip that `zipped` opened and that is `size` bytes long.

    Raises Damaged where the member has a password, a compression other than deflate, or a content too large for the
    file, and ValueError where its size is not the size that the zip states.
    """
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
        raise Damaged("is a zip with a password, or with a compression that cannot be read; get it again")
    check(entry.file_size, size)
    with archive.open(entry) as member:
        data = member.read(entry.file_size)
        if len(data) < entry.file_size or member.read(1):
            raise ValueError("a member of another size")
    return data
