"""[S] Where the add-on's results lie, and which of them nobody has imported yet. Stdlib only, no bpy.

A result of a saved .blend lies beside it, so that both move together; of an unsaved one, beside its photos. Blender
deletes the add-on's own folder with the add-on, so nothing that cannot be made again is kept there: only a note of
where a result lies, from its start until its import, so that it is found again after a crash, a quit, in another file.
"""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

from .. import bundle
from ..model.errors import UserError

FOLDER, NOTES = "3R results", "not imported"


def new_folder(photos: list[str], blend: str, home: Path) -> Path:
    """A name that is still free for the result of `photos`, asked for in the file `blend` ("" while it is unsaved).

    Notes it as not imported. Raises UserError where nothing can be written there.
    """
    parent = Path(blend or photos[0]).parent / FOLDER
    name = re.sub(r"[^\w -]+", "_", Path(photos[0]).parent.name)[:60] or "photos"
    stem = f"{time.strftime('%Y%m%d-%H%M%S')} {name}"
    notes = home / NOTES
    try:
        parent.mkdir(parents=True, exist_ok=True)
        notes.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):
            folder = parent / (stem if number == 1 else f"{stem} {number}")
            try:
                with (notes / folder.name).open("x", encoding="utf-8") as note:  # two Blenders may ask at once
                    note.write(str(folder))
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        refused = str(bundle.output_error(parent / stem, error))
        if not blend:
            refused += " Or save this file in Blender: its results then lie beside it."
        raise UserError(refused) from error
    raise AssertionError("a thousand results in one second")


def forget(folder: Path, home: Path) -> None:
    """The result was imported, or nobody wants to be reminded of it, or it will never come."""
    (home / NOTES / folder.name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # it holds a result, or is gone
        folder.parent.rmdir()


def waiting(home: Path) -> list[Path]:
    """The finished results that nobody has imported, oldest first."""
    if not (home / NOTES).is_dir():
        return []
    folders = [Path(note.read_text("utf-8")) for note in sorted((home / NOTES).iterdir())]
    return [folder for folder in folders if (folder / bundle.SCENE).is_file()]
