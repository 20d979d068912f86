"""[S] All deletions of this extension. A file that is not proven to be ours stays, whatever its name.

There are three proofs: the marker in a folder that was made here; the size and hash of a file in a list of our files;
and that the caller has just made the file itself. Links are never followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from ..model.errors import UserError, quoted
from . import digest

MARKER = ".threer_blender"
JUNCTION = 0xA0000003  # IO_REPARSE_TAG_MOUNT_POINT
OTHER_DISK = 17  # ERROR_NOT_SAME_DEVICE of Windows
TEXT = "The extension threer_blender made this folder and deletes it with all that is in it.\n"


class Entry(NamedTuple):
    """A file's entry in a list: its size in bytes and its sha256."""

    size: int
    sha256: str


# ------------------------------------------------------------------ folders of our own


def make(folder: Path) -> None:
    """Makes a new folder that may be removed later. Raises FileExistsError where the name is taken, and OSError."""
    folder.mkdir(parents=True)
    mark(folder)


def claim(folder: Path) -> Path:
    """Makes the folder ours where it is missing or empty, and returns it.

    Raises UserError where it holds files and is not ours, and OSError.
    """
    if is_ours(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    theirs = folder.is_symlink() or any(not path.name.startswith(MARKER) for path in folder.iterdir())
    if theirs and not is_ours(folder):  # another process may have made it ours just now
        raise UserError(f"{quoted(folder)} was not made by this extension; move it away, or choose another place.")
    mark(folder)
    return folder


def mark(folder: Path) -> None:
    """Marks a folder that the caller has just made, so that it may be removed later. Raises OSError."""
    marker = folder / f"{MARKER}.{os.urandom(6).hex()}"  # several processes may do so at once
    marker.write_text(TEXT, "utf-8")
    marker.replace(folder / MARKER)


def temporary(prefix: str) -> Path:
    """A new folder for temporary files, which may be removed later. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    mark(folder)
    return folder


def is_ours(folder: Path) -> bool:
    """Whether this is a folder, not a link, with our marker in it."""
    marker = folder / MARKER
    try:
        return _is_folder(folder) and stat.S_ISREG(marker.lstat().st_mode) and marker.read_text("utf-8") == TEXT
    except (OSError, ValueError):
        return False


def remove(folder: Path) -> None:
    """Deletes a folder of ours, if there is one. Raises UserError where it is not ours, or cannot be deleted."""
    if not os.path.lexists(folder):
        return
    if not is_ours(folder):
        raise UserError(f"{quoted(folder)} was not made by this extension and stays; delete it yourself.")
    try:
        _empty(folder, _raise)
        (folder / MARKER).unlink()  # last, so that a deletion that was killed can be continued
        folder.rmdir()
    except OSError as error:
        raise UserError(f"{quoted(error.filename or folder)} could not be deleted: {error.strerror}.") from error


def discard(folder: Path) -> None:
    """Deletes what it can of a folder of ours and reports no failure: for leftovers."""
    if is_ours(folder):
        _empty(folder, lambda *_: None)
        with contextlib.suppress(OSError):
            if list(folder.iterdir()) == [folder / MARKER]:
                (folder / MARKER).unlink()
                folder.rmdir()


def _raise(_function: object, _path: object, error: Any) -> None:
    raise error[1]


def _empty(folder: Path, failed: Callable[..., None]) -> None:
    """Deletes all in a folder but the marker. `failed` is called for each failure, as `onerror` of shutil.rmtree is."""
    for entry in sorted(folder.iterdir()):
        if entry.name == MARKER:
            continue
        if _is_folder(entry):
            shutil.rmtree(entry, onerror=failed)
        else:
            try:
                entry.unlink()
            except OSError as error:
                failed(entry.unlink, entry, (type(error), error, None))


# ------------------------------------------------------------------ files on a list


def foreign(folder: Path, files: Mapping[str, Entry]) -> Path | None:
    """The first file or folder in `folder` that is not on the list or has changed since; None where there is none."""
    for path in _everything(folder):
        name = path.relative_to(folder).as_posix()
        if _is_folder(path):
            if not _holds_listed(name, files):
                return path
        elif name not in files or not _is_as_listed(path, files[name]):
            return path
    return None


def remove_listed(folder: Path, files: Mapping[str, Entry]) -> bool:
    """Deletes the listed files in `folder` that have not changed since, and the folders that are empty then.

    Returns whether `folder` itself is gone.
    """
    with contextlib.suppress(OSError):
        for path in sorted(_everything(folder), reverse=True):  # reversed: the content of a folder before the folder
            name = path.relative_to(folder).as_posix()
            if _is_folder(path):
                if _holds_listed(name, files):
                    remove_empty(path)
            elif name in files and _is_as_listed(path, files[name]):
                path.unlink()
    return remove_empty(folder)


def remove_listed_file(path: Path, entry: Entry) -> bool:
    """Deletes one file if it has not changed since it was listed. Returns whether it is gone. Raises OSError."""
    if _is_as_listed(path, entry):
        path.unlink()
    return not os.path.lexists(path)


def listed(folder: Path) -> dict[str, Entry]:
    """The list of all files in a folder that the caller has just written. Raises OSError."""
    files = [path for path in _everything(folder) if not _is_folder(path)]
    return {path.relative_to(folder).as_posix(): entry_of(path) for path in files}


def entry_of(path: Path) -> Entry:
    """The entry of a file in a list. Raises OSError."""
    return Entry(path.stat().st_size, digest.sha256(path))


def _holds_listed(folder: str, files: Mapping[str, Entry]) -> bool:
    """Whether a listed file lies in the folder of this name, or deeper."""
    return any(PurePosixPath(folder) in PurePosixPath(file).parents for file in files)


def _everything(folder: Path) -> Iterator[Path]:
    """Yields all files and folders in a folder, each folder before its content."""
    for path in sorted(folder.iterdir()):
        yield path
        if _is_folder(path):
            yield from _everything(path)


def _is_as_listed(path: Path, entry: Entry) -> bool:
    try:
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_size == entry.size and entry_of(path) == entry
    except OSError:
        return False


# ------------------------------------------------------------------ single things


def relocate(folder: Path, target: Path) -> None:
    """Moves a folder that the caller made, even to another disk. Raises OSError."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV and getattr(error, "winerror", 0) != OTHER_DISK:
            raise
        shutil.copytree(folder, target)
        shutil.rmtree(folder, ignore_errors=True)


def remove_empty(folder: Path) -> bool:
    """Deletes a folder if it is empty. Returns whether it is gone."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not os.path.lexists(folder)


def remove_made_file(path: Path) -> None:
    """Deletes a file, if it is still there, that the caller made itself under a name that nobody else uses."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _is_folder(path: Path) -> bool:
    """Whether this is a folder. Links to folders, and junctions on Windows, are not."""
    status = path.lstat()
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != JUNCTION
