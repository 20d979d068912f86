"""[S] Finds the photos, videos and frames of shots in a choice of files and folders, by their names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..model.errors import UserError, quoted
from . import bundle_folder, removal, sequence_files, single_pictures
from .sequence_files import PLATE_SUFFIXES

# JPEG XL is included so that the reader can say that it cannot read it.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".bmp"}
    | {".heic", ".heif", ".hif", ".avif", ".jxl"}
)
RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"})
VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".qt", ".3gp", ".3g2", ".insv", ".lrv", ".mkv", ".webm", ".avi", ".divx", ".gif", ".apng"}
    | {".ts", ".mts", ".m2ts", ".m2t", ".tod", ".mpg", ".mpeg", ".mpe", ".m2v", ".mod", ".vob", ".wmv", ".asf", ".wtv"}
    | {".flv", ".f4v", ".ogv", ".mxf", ".gxf", ".dv", ".y4m", ".mjpeg", ".mjpg", ".h264", ".h265", ".hevc", ".ivf"}
)
PICTURES = SUFFIXES | RAW_SUFFIXES | PLATE_SUFFIXES
CHOOSABLE = PICTURES | VIDEO_SUFFIXES
KINDS = "JPEG, PNG, TIFF, HEIC, AVIF, WebP, BMP, EXR or raw files"
MOST_PIXELS = 500_000_000  # of a picture
MOST_ENTRIES = 50_000  # files in a folder and its subfolders; more is probably a whole disk
MOST_NAMES = 10  # of skipped files that a sentence lists


class Chosen(NamedTuple):
    """The files to read, and the files in chosen folders that are skipped, by reason."""

    files: list[Path]
    skipped: dict[str, list[Path]]


MASK_FOLDERS = frozenset({"mask", "masks"})  # names of folders that hold masks, no photos
# Reasons why a file in a chosen folder is skipped.
NO_PHOTO = "no photo"
HIDDEN = "hidden"
VIDEO = "video: choose it by itself"
TWIN = "raw, of a photo beside it"
UNREADABLE = "cannot be read: check the rights"
MASK = "in a folder of masks"


def find(paths: Iterable[str | Path]) -> Chosen:
    """The photos, videos and image sequences in a choice of files and folders: absolute paths, in order, each once.

    A folder stands for the photos and sequences in it and its subfolders, in natural order of their names (IMG_2 before
    IMG_10). It does not stand for videos, since phones put one beside each photo. Nor does it for raw files beside a
    photo of the same name, hidden files, masks, and results of this extension. A file that was chosen by itself is
    returned whatever its kind; `pictures.photos.read` refuses it. Frames of a shot become the pattern of their
    sequence, such as `plate.####.exr` (`_shot_of`). A pattern may be chosen itself, also as `plate.%04d.exr`.

    Raises UserError where a path is missing, a folder holds no photo, or no chosen file is one.
    """
    chosen = [sequence_files.from_notation(Path(path)) for path in paths]
    is_only_choice = len(chosen) == 1
    photos: dict[Path, Path] = {}  # the path without links -> the path as it was chosen
    skipped: dict[str, list[Path]] = {}
    for path in chosen:
        if path.is_dir():
            files = _photos_in(path, skipped)
        elif path.is_file() or (sequence_files.is_pattern(path) and sequence_files.exists(path)):
            files = [path]
        else:
            raise UserError(f"There is no file or folder {quoted(path)}: check its name, or choose the photos again.")
        for file in files:
            file = _shot_of(file.absolute(), is_only_choice and path.is_file()) or file
            photos.setdefault(file.resolve(), file.absolute())
    if not photos:
        raise UserError("No photo was chosen: choose at least two photos, or a folder of photos.")
    if not any(file.suffix.lower() in CHOOSABLE for file in photos.values()):
        raise UserError(
            f"None of the chosen files is a photo: choose {KINDS}, a video, or a frame of an image sequence."
        )
    return Chosen(list(photos.values()), skipped)


def skipped_sentence(skipped: dict[str, list[Path]]) -> str:
    """A sentence that names the skipped files of chosen folders by reason; empty where there are none."""
    parts = [f"{_names(files)} ({reason})" for reason, files in skipped.items()]
    count = sum(map(len, skipped.values()))
    return f"Left out of the folder, {count} {'file' if count == 1 else 'files'}: {'; '.join(parts)}." if parts else ""


def _names(files: Sequence[Path]) -> str:
    names = ", ".join(quoted(file.name) for file in files[:MOST_NAMES])
    return names + (f" and {len(files) - MOST_NAMES} more" if len(files) > MOST_NAMES else "")


def _shot_of(file: Path, is_only_choice: bool) -> Path | None:
    """The pattern of the shot that a file is a frame of; None where the file is no frame.

    EXR and DPX files with a number are frames, however few there are. So are pictures that are numbered as frames are
    (`name.1001.png`) in a sequence of FEWEST_NAMED or more. A picture with another number (`name_0001.png`) is a frame
    only where it was the only choice, belongs to a sequence of FEWEST_NUMBERED or more, and is no single picture by its
    name or EXIF.
    """
    if file.suffix.lower() not in sequence_files.SUFFIXES or sequence_files.is_pattern(file):
        return None
    always, by_name = file.suffix.lower() in PLATE_SUFFIXES, sequence_files.is_plate_name(file)
    if not (always or by_name or is_only_choice):
        return None
    pattern = sequence_files.pattern(file)
    if pattern is None or always:
        return pattern
    if not by_name and single_pictures.is_single_picture(file):
        return None
    fewest = sequence_files.FEWEST_NAMED if by_name else sequence_files.FEWEST_NUMBERED
    return pattern if len(sequence_files.frames(pattern)) >= fewest else None


def _photos_in(folder: Path, skipped: dict[str, list[Path]]) -> list[Path]:
    """The photos in a folder and its subfolders; other files go to `skipped`. Raises UserError where there is none."""
    if _is_bundle(folder):
        raise UserError(f"The folder {quoted(folder)} is a result of this extension: choose the folder of its photos.")
    files = _files_in(folder, skipped)
    developed = {(file.parent, file.stem.casefold()) for file in files if file.suffix.lower() in SUFFIXES}
    photos = []
    for file in files:
        reason = _reason(file, developed, file.relative_to(folder).parts[:-1])
        if reason:
            skipped.setdefault(reason, []).append(file)
        else:
            photos.append(file)
    if not photos:
        raise UserError(
            f"There is no photo in the folder {quoted(folder)}: choose a folder with {KINDS} in it, or choose a video "
            f"by itself. {skipped_sentence(skipped)}".rstrip()
        )
    return photos


def _reason(file: Path, developed: set[tuple[Path, str]], folders: Sequence[str]) -> str:
    """The reason why a file in a folder is skipped; empty for a photo.

    `developed` holds the folder and the name, without its ending, of each photo that is not raw. `folders` are the
    names of the folders that lead from the chosen one to the file.
    """
    suffix = file.suffix.lower()
    if file.name.startswith("."):  # such as "._IMG_1.jpg", which macOS leaves beside IMG_1.jpg on other disks
        return HIDDEN
    if suffix in VIDEO_SUFFIXES:
        return VIDEO
    if suffix in RAW_SUFFIXES and (file.parent, file.stem.casefold()) in developed:
        return TWIN
    if suffix in PICTURES and any(name.casefold() in MASK_FOLDERS for name in folders):
        return MASK
    return "" if suffix in PICTURES else NO_PHOTO


def _files_in(top: Path, skipped: dict[str, list[Path]]) -> list[Path]:
    """All files in a folder and its subfolders, except in hidden folders and in results of this extension."""

    def unreadable(error: OSError) -> None:
        if Path(error.filename) == top:
            reason = error.strerror
            raise UserError(f"The folder {quoted(top)} cannot be read ({reason}): check its rights.") from error
        skipped.setdefault(UNREADABLE, []).append(Path(error.filename))

    files: list[Path] = []
    visited: set[Path] = set()  # links may lead in circles
    for place, folders, names in os.walk(top, onerror=unreadable, followlinks=True):
        folder = Path(place)
        inner = [name for name in folders if not name.startswith(".")]
        results = [name for name in inner if _is_result(folder / name)]
        ours = {name for result in results for name in bundle_folder.names_beside(folder / result)}
        folders[:] = sorted(
            (n for n in inner if n not in results and not removal.is_ours(folder / n)), key=in_natural_order
        )
        if folder.resolve() in visited:
            folders.clear()
            continue
        visited.add(folder.resolve())
        files += [folder / name for name in sorted(names, key=in_natural_order) if name not in ours]
        if len(files) > MOST_ENTRIES:
            raise UserError(
                f"The folder {quoted(top)} holds more than {MOST_ENTRIES} files: choose the photos' own folder."
            )
    return [file for file in files if file.is_file()]


def _is_bundle(folder: Path) -> bool:
    """Whether a folder holds a reconstruction, perhaps of an early version, which has no manifest."""
    return all((folder / name).is_file() for name in (bundle_folder.SCENE, bundle_folder.ARRAYS))


def _is_result(folder: Path) -> bool:
    """Whether this extension wrote a folder: a reconstruction, undistorted plates, or the maps of a lens."""
    return bundle_folder.read_manifest(folder) is not None or _is_bundle(folder)


def in_natural_order(name: str) -> tuple[list[str | int], str]:
    """The key by which names are sorted in natural order: IMG_2 before IMG_10."""
    return _natural(name), name


def _natural(name: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.casefold())]
