"""[S] Reading of files that nobody vouches for: regular files only, and memory in proportion to their size.

A file may be damaged, or made to do harm. Every number in it that memory is taken for goes through `check` first, and
`as_damage` turns whatever its bytes lead to into one error. A MemoryError is no damage and passes.
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
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..model.errors import UserError

LEAST = 32 << 20  # bytes that the content of any file may take
EXPANSION = 128  # times a file's size that its content may take; real splats take up to 40 times as much
LONGEST_JSON = 16 << 20  # bytes; its objects take some thirty times as much
# Errors of the standard library and of numpy on bytes without sense.
FAULTS = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError,
    struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class Damaged(ValueError):
    """The fault of a file, as the rest of a sentence that starts with its name."""


@contextmanager
def as_damage(rest: str = "is damaged; get it again") -> Iterator[None]:
    """Raises Damaged with the sentence `rest` instead of any error that comes from a file's bytes."""
    try:
        yield
    except Damaged:
        raise
    except FAULTS as error:
        raise Damaged(rest) from error


@contextmanager
def as_refusal(name: str) -> Iterator[None]:
    """Raises UserError instead of Damaged: the sentence about the file, with its `name` at the start."""
    try:
        yield
    except Damaged as error:
        raise UserError(f"{name} {error}.") from error


def check(needed: int, size: int) -> None:
    """Raises Damaged where a file of `size` bytes asks for `needed` bytes of memory, more than its content can be."""
    if not 0 <= needed <= max(LEAST, EXPANSION * size):
        raise Damaged(f"claims to hold {needed:,} bytes, which its {size:,} cannot; get it again")


def open_regular(path: Path) -> BinaryIO:
    """The file, opened to read its bytes; raises Damaged where it is a folder, a device or a pipe, and OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Damaged("is no regular file; choose one")
    return os.fdopen(descriptor, "rb")


def content(path: Path, most: int | None = None) -> bytes:
    """All bytes of a regular file; raises Damaged where there are more than `most`, without reading them."""
    with open_regular(path) as file:
        data = file.read(-1 if most is None else most + 1)
    if most is not None and len(data) > most:
        raise Damaged(f"holds more than {most:,} bytes; choose another file")
    return data


def inside(folder: Path, name: str) -> Path:
    """The path of the file that another one in `folder` names; raises Damaged where it lies outside of the folder."""
    parts = PurePosixPath(name).parts
    path = folder.joinpath(*parts)
    if not parts or set(name) & {"\\", ":", "\0"} or not {"..", "/"}.isdisjoint(parts) or not _is_below(path, folder):
        raise Damaged(f"names a file outside of its folder ({name!r:.60}); do not trust it")
    return path


def _is_below(path: Path, folder: Path) -> bool:
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle
        return False


def parsed(text: bytes, longest: int = LONGEST_JSON) -> Any:
    """The value of a JSON text of at most `longest` bytes."""
    if len(text) > longest:
        raise Damaged("holds a description too long to be one; get it again")
    with as_damage("is damaged; get it again"):
        return json.loads(text)


class Inflation:
    """The content of gzipped `data`, piece by piece, in no more memory than the pieces take."""

    def __init__(self, data: bytes) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._rest = data

    @property
    def ended(self) -> bool:
        """Whether the content was read to its end, and its checksum is right."""
        return self._stream.eof

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer where the content ends before."""
        with as_damage("is cut off or damaged; get it again"):
            piece = self._stream.decompress(self._rest, count) if count else b""
        self._rest = self._stream.unconsumed_tail
        return piece


@contextmanager
def zipped(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip at `path`, opened; whatever its bytes lead to is raised as Damaged."""
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
        raise Damaged("is cut off or damaged; get it again") from error  # a member that lies before the file


def unzipped(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """A member of a zip of `size` bytes that `zipped` opened; it may be stored or deflated."""
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
        raise Damaged("is a zip with a password, or with a compression that cannot be read; get it again")
    check(entry.file_size, size)
    with archive.open(entry) as member:
        data = member.read(entry.file_size)
        if len(data) < entry.file_size or member.read(1):
            raise ValueError("a member of another size")
    return data
