"""[S] Chooses folders for the panel's results, and lists the results that nobody has imported yet. Stdlib only, no bpy.

A result of a saved .blend lies beside the .blend, so that both move together. A result of an unsaved one lies beside
its photos. None lies in the add-on's own folder, which Blender deletes with the add-on. That folder holds only a note
for each result, from its start until its import. So a result is found again after a crash, after a quit and from
another .blend.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path

from ..files import bundle_folder, photo_files, removal, sequence_files
from ..model.errors import UserError

FOLDER = "3R results"  # beside a .blend, or beside photos
NOTES = "not imported"  # the folder of notes, in the add-on's own folder


def results_folder(photo: str | Path, blend: str) -> Path:
    """The folder for results of a photo or a clip that belong to the file `blend` ("" while that is unsaved)."""
    return Path(blend or photo).parent / FOLDER


def new_folder(photos: list[str], blend: str, data_folder: Path) -> Path:
    """A free path for the result of `photos` that was asked for in the file `blend` ("" while that is unsaved).

    The folder itself is not made, but a note of it is: it counts as not imported. Raises UserError where nothing can be
    written there.
    """
    parent = results_folder(photos[0], blend)
    name = re.sub(r"[^\w -]+", "_", _subject(Path(photos[0])))[:60] or "photos"
    stem = f"{time.strftime('%Y%m%d-%H%M%S')} {name}"
    notes = data_folder / NOTES
    try:
        makes_parent = not parent.exists()
        parent.mkdir(parents=True, exist_ok=True)
        notes.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = parent / (stem if number == 1 else f"{stem} {number}")
            try:
                with (notes / folder.name).open("x", encoding="utf-8") as note:  # two Blenders may ask at once
                    made_parent = makes_parent or _is_made(parent, data_folder)
                    json.dump({"result": str(folder), "made parent": made_parent}, note)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        refused = str(bundle_folder.output_error(parent / stem, error))
        if not blend:
            refused += " Or save this file in Blender: its results then lie beside it."
        raise UserError(refused) from error
    raise AssertionError("a thousand results in one second")


def title(folder: Path) -> str:
    """The name of a result's folder as an artist reads it: its subject, and the time of day at which it was begun."""
    stamped = re.fullmatch(r"\d{8}-(\d\d)(\d\d)\d\d (.+)", folder.name)
    return f"{stamped[3]}, begun at {stamped[1]}:{stamped[2]}" if stamped else folder.name


def _subject(path: Path) -> str:
    """The name of a shot without its number and suffix, else that of the photos' folder."""
    if path.suffix.lower() in photo_files.VIDEO_SUFFIXES:
        return path.stem
    return path.stem.rstrip("#._- ") if sequence_files.is_pattern(path) else path.parent.name


def forget(folder: Path, data_folder: Path) -> None:
    """Removes the note of a result that was imported or dismissed, or that will never come. Its files stay."""
    for note, result, made_parent in _notes(data_folder):
        if result == folder:
            if made_parent and not folder.exists():
                removal.remove_empty(folder.parent)
            removal.remove_made_file(note)


def waiting(data_folder: Path) -> list[Path]:
    """The finished results that nobody has imported, oldest first."""
    return [result for _, result, _ in _notes(data_folder) if (result / bundle_folder.SCENE).is_file()]


def _is_made(parent: Path, data_folder: Path) -> bool:
    """Whether we made the folder `parent`, for an earlier result that is not imported yet."""
    return any(made and result.parent == parent for _, result, made in _notes(data_folder))


def _notes(data_folder: Path) -> list[tuple[Path, Path, bool]]:
    """Our notes, each with the result that it names, and whether we made that result's parent folder."""
    notes = []
    with contextlib.suppress(OSError):
        for note in sorted((data_folder / NOTES).iterdir()):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # none of ours
                values = json.loads(note.read_text("utf-8"))
                notes.append((note, Path(values["result"]), values["made parent"] is True))
    return notes
