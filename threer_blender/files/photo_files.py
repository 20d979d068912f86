"""[S] Which files are photos or videos, by their suffixes, and what a choice of files and folders stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..model.errors import UserError

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".heic", ".heif", ".hif", ".webp", ".bmp"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm"})
CHOOSABLE = SUFFIXES | VIDEO_SUFFIXES


def find(paths: Iterable[str | Path]) -> list[Path]:
    """The photo and video files that files and folders stand for, absolute, in the given order and each once.

    A folder gives the photos directly in it, in natural order of their names (IMG_2 before IMG_10), but no videos:
    phones put one beside each photo. A file of another
    kind that was named by itself stays in, for `read` to say so. Raises UserError where something is missing, a folder
    holds no photo, or nothing chosen is a photo.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            files = _photos_in(path)
        elif path.is_file():
            files = [path]
        else:
            raise UserError(f"There is no file or folder {_quoted(path)}: check its name, or choose the photos again.")
        for file in files:
            found.setdefault(file.resolve(), file.absolute())
    if not found:
        raise UserError("No photo was chosen: choose at least two photos, or a folder of photos.")
    if not any(file.suffix.lower() in CHOOSABLE for file in found.values()):
        raise UserError(
            "None of the chosen files is a photo: choose JPEG, PNG, TIFF, HEIC, WebP or BMP files, or a video."
        )
    return list(found.values())


def _photos_in(folder: Path) -> list[Path]:
    try:
        names = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    except OSError as error:
        raise UserError(f"The folder {_quoted(folder)} cannot be read ({error.strerror}): check its rights.") from error
    # macOS leaves "._IMG_1.jpg" beside IMG_1.jpg on foreign disks; it is no picture.
    photos = [file for file in names if not file.name.startswith(".")]
    if not photos:
        raise UserError(
            f"There is no photo in the folder {_quoted(folder)}: choose a folder that directly holds JPEG, PNG, TIFF, "
            "HEIC, WebP or BMP files, or choose a video by itself."
        )
    return sorted(photos, key=lambda file: (_natural(file.name), file.name))


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())]


def _quoted(path: Path) -> str:
    """The path inside a sentence: one line, whatever its name holds."""
    return '"' + " ".join(str(path).split()) + '"'
