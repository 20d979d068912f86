"""[S] The tasks of a list of shots: each may run on a machine of its own, be killed at any moment, and run again.

The manifest of a result names the run that wrote it, and the run's name begins with the shot's key. So a finished shot
is known by its result alone, which appears whole or not at all. The row of each shot on the page has a file of its own,
so that tasks that run at once never write the same file. Only the page of all shots is written by each of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from .. import bundle, headless
from ..files import bounded, bundle_folder, whole_file
from ..files.bundle_folder import output_error
from ..model.errors import UserError, system_refusal
from ..model.reconstruction import Reconstruction
from ..reports import contact_sheet
from ..reports.contact_sheet import BUG, DONE, FAILED, GENERATOR, WAITING, SheetRow
from .shot_lists import ListedShot, ShotList

PAGE, RECORD = "shots.html", "shots.json"
ROWS = ".rows"  # the folder of the shots' rows: no shot's name begins with a dot
DISPLAYABLE = (".jpg", ".jpeg", ".png", ".webp", ".gif")  # pictures that browsers show


def prepare(shots: ShotList) -> None:
    """Makes the folder of the results, and reads all photos once.

    Raises UserError where a shot's photos cannot be read, an engine or an option is unknown, or a result's folder
    holds something else: before the first task of hours begins.
    """
    _make_folder(shots.output / ROWS)
    for shot in shots.shots:
        shot.key()
        headless.reconstruction_request(shot.photos, shots.output / shot.name, shot.engine, shot.options)


def solve(shot: ListedShot, output: Path, data_folder: Path, on_message: headless.OnMessage | None = None) -> SheetRow:
    """Reconstructs a shot into its folder below `output`, unless its result is there already. Returns its new row.

    Failures become rows, too. Raises Cancelled, and UserError where the row cannot be written.
    """
    _make_folder(output / ROWS)
    row = _solved(shot, output, data_folder, on_message)
    _write(_row_file(shot.name, output), json.dumps({"generator": GENERATOR, **asdict(row)}, ensure_ascii=False))
    return row


def rows(shots: ShotList) -> list[SheetRow]:
    """The rows of all shots. One that was not tried yet, or whose row is damaged, is waiting."""
    return [_recorded(shot.name, shots.output) for shot in shots.shots]


def write_page(shots: ShotList) -> list[SheetRow]:
    """Writes the page and the record of all shots, and returns their rows.

    Tasks that run at once all write them, and the last one to write has seen all rows. Raises UserError where they
    cannot be written.
    """
    written: Sequence[SheetRow] = ()
    while written != (now := rows(shots)):
        record = {"generator": GENERATOR, "shots": [asdict(row) for row in now]}
        _write(shots.output / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        _write(shots.output / PAGE, contact_sheet.page(now))
        written = now
    return now


def _solved(shot: ListedShot, output: Path, data_folder: Path, on_message: headless.OnMessage | None) -> SheetRow:
    folder = output / shot.name
    started = time.monotonic()
    try:
        key = shot.key()
        manifest = bundle_folder.read_manifest(folder) if bundle_folder.is_bundle(folder) else None
        if manifest is not None and manifest.run.startswith(key):
            return replace(_row(shot.name, bundle.read(folder), output), seconds=_recorded(shot.name, output).seconds)
        request = headless.reconstruction_request(shot.photos, folder, shot.engine, shot.options)
        request = replace(request, run=key + request.run)
        result = headless.result(headless.begin(request, data_folder), on_message)
    except UserError as error:
        return SheetRow(shot.name, FAILED, sentence=str(error))
    except OSError as error:
        return SheetRow(shot.name, FAILED, sentence=system_refusal(error))
    except RuntimeError as error:
        return SheetRow(shot.name, BUG, sentence=str(error))
    return replace(_row(shot.name, result, output), seconds=time.monotonic() - started)


def _row(name: str, result: Reconstruction, output: Path) -> SheetRow:
    errors = [each.reprojection_error for each in result.cameras if each.reprojection_error is not None]
    unregistered = [f"{each.photo}: {each.reason}" for each in result.unregistered]
    return SheetRow(
        name,
        DONE,
        picture=_picture(name, result, output),
        registered=len(result.cameras),
        chosen=len(result.cameras) + len(result.unregistered),
        error=sum(errors) / len(errors) if errors else None,
        sentence=next(iter([*unregistered, *result.notes]), ""),
    )


def _picture(name: str, result: Reconstruction, output: Path) -> str:
    """The path of a picture of the shot that a browser shows, from `output` on; "" where there is none."""
    undistorted = [f"{name}/{camera.undistorted}" for camera in result.cameras if camera.undistorted]
    plates = [f"{name}/{shot.written_plate}" for shot in result.shots if shot.written_plate]
    photos = [photo.path for photo in result.photos if photo.frame is None]
    for path in [*undistorted, *plates, *photos]:
        if Path(path).suffix.lower() in DISPLAYABLE and (output / path).is_file():
            return Path(path).as_posix()
    return ""


def _row_file(name: str, output: Path) -> Path:
    return output / ROWS / f"{name}.json"


def _recorded(name: str, output: Path) -> SheetRow:
    """The row that the last task of a shot has written; a waiting one where there is none, or it is damaged."""
    try:
        values = bounded.parsed(bounded.content(_row_file(name, output)))
        if values.pop("generator") == GENERATOR and values["name"] == name:
            row = SheetRow(**values)
            contact_sheet.page([row])  # raises where a value is of another kind
            return row
    except (OSError, *bounded.FAULTS):
        pass
    return SheetRow(name, WAITING)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder.parent, error) from error


def _write(path: Path, text: str) -> None:
    try:
        whole_file.write_text(path, text)
    except OSError as error:
        raise output_error(path.parent, error) from error
