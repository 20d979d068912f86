"""[S] Which files are photos, videos or frames of a shot, and what a choice of files and folders stands for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ..model.errors import UserError, quoted
from . import sequence_files
from .sequence_files import PLATE_SUFFIXES

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".tif", ".tiff", ".heic", ".heif", ".hif", ".webp", ".bmp"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".qt", ".3gp", ".3g2", ".insv", ".lrv", ".mkv", ".webm", ".avi", ".divx", ".gif", ".apng"}
    | {".ts", ".mts", ".m2ts", ".m2t", ".tod", ".mpg", ".mpeg", ".mpe", ".m2v", ".mod", ".vob", ".wmv", ".asf", ".wtv"}
    | {".flv", ".f4v", ".ogv", ".mxf", ".gxf", ".dv", ".y4m", ".mjpeg", ".mjpg", ".h264", ".h265", ".hevc", ".ivf"}
)
PICTURES = SUFFIXES | PLATE_SUFFIXES
CHOOSABLE = PICTURES | VIDEO_SUFFIXES


def find(paths: Iterable[str | Path]) -> list[Path]:
    """The photos, videos and image sequences that files and folders stand for, absolute, in order and each once.

    A folder gives the photos and sequences directly in it, in natural order of their names (IMG_2 before IMG_10), but
    no videos: phones put one beside each photo. A file of another kind that was named by itself stays in, for `read`
    to say so. Raises UserError where something is missing, a folder holds no photo, or nothing chosen is a photo.

    Frames of a shot become the pattern of their sequence, `plate.####.exr`; the rule is `_shot_of`'s. A pattern may
    also be given itself, as may `plate.%04d.exr`.
    """
    chosen = [sequence_files.from_notation(Path(path)) for path in paths]
    alone = len(chosen) == 1
    found: dict[Path, Path] = {}
    for path in chosen:
        if path.is_dir():
            files = _photos_in(path)
        elif path.is_file() or (sequence_files.is_pattern(path) and sequence_files.exists(path)):
            files = [path]
        else:
            raise UserError(f"There is no file or folder {quoted(path)}: check its name, or choose the photos again.")
        for file in files:
            file = _shot_of(file.absolute(), alone and path.is_file()) or file
            found.setdefault(file.resolve(), file.absolute())
    if not found:
        raise UserError("No photo was chosen: choose at least two photos, or a folder of photos.")
    if not any(file.suffix.lower() in CHOOSABLE for file in found.values()):
        raise UserError(
            "None of the chosen files is a photo: choose JPEG, PNG, TIFF, HEIC, WebP or BMP files, a video, or a frame "
            "of an image sequence."
        )
    return list(found.values())


def _shot_of(file: Path, alone: bool) -> Path | None:
    """The pattern of the shot that a file is a frame of; None where it is a photo, a video or anything else.

    EXR and DPX files with a number are frames, however few there are. So are pictures that are numbered as frames are
    (`name.1001.png`) in a sequence of three or more. A picture with another number (`name_0001.png`) is a frame only
    where it was chosen `alone` from a sequence of eight or more: one photo alone would be of no use.
    """
    if file.suffix.lower() not in sequence_files.SUFFIXES or sequence_files.is_pattern(file):
        return None
    always, by_name = file.suffix.lower() in PLATE_SUFFIXES, sequence_files.is_plate_name(file)
    if not (always or by_name or alone):
        return None
    pattern = sequence_files.pattern(file)
    if pattern is None or always:
        return pattern
    fewest = sequence_files.FEWEST if by_name else sequence_files.ALONE
    return pattern if len(sequence_files.frames(pattern)) >= fewest else None


def _photos_in(folder: Path) -> list[Path]:
    try:
        names = [file for file in folder.iterdir() if file.suffix.lower() in PICTURES and file.is_file()]
    except OSError as error:
        raise UserError(f"The folder {quoted(folder)} cannot be read ({error.strerror}): check its rights.") from error
    # macOS leaves "._IMG_1.jpg" beside IMG_1.jpg on foreign disks; it is no picture.
    photos = [file for file in names if not file.name.startswith(".")]
    if not photos:
        raise UserError(
            f"There is no photo in the folder {quoted(folder)}: choose a folder that directly holds JPEG, PNG, TIFF, "
            "HEIC, WebP or BMP files, or choose a video by itself."
        )
    return sorted(photos, key=lambda file: (_natural(file.name), file.name))


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())]
