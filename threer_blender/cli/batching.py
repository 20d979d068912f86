"""[S] The verb `batch`: reconstructs many shots one after the other, and goes on where an earlier run ended.

The manifest of a result names the run that wrote it, and the run's name begins with the shot's key. So a finished shot
is known by its result alone, which appears whole or not at all: a run may be killed at any moment.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import bundle, headless
from ..files import bounded, bundle_folder, whole_file
from ..files.bundle_folder import output_error
from ..host import environment
from ..model.errors import UserError, system_refusal
from ..model.reconstruction import Reconstruction
from ..reports import contact_sheet
from ..reports.contact_sheet import BUG, DONE, FAILED, GENERATOR, WAITING, SheetRow
from . import shot_lists
from .shot_lists import ListedShot

PAGE, RECORD = "shots.html", "shots.json"
EXIT_FAILED, EXIT_USER = 1, 2  # as those of the command line
DISPLAYABLE = (".jpg", ".jpeg", ".png", ".webp", ".gif")  # pictures that browsers show


def add_verb(verbs: Any) -> None:
    """Adds the verb to those of a parser."""
    verb = verbs.add_parser("batch", help="reconstruct many shots; run it again to go on where it ended")
    verb.add_argument("shots", metavar="SHOTS", help="a list of shots (TOML), or a folder of shots")
    verb.set_defaults(run=_batch)


def _batch(parsed: argparse.Namespace) -> int:
    """Reconstructs the shots. Returns the worst exit status of them."""
    listed = shot_lists.read(Path(parsed.shots))
    try:
        listed.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(listed.output, error) from error
    recorded = _recorded(listed.output / RECORD)
    rows = {shot.name: recorded.get(shot.name, SheetRow(shot.name, WAITING)) for shot in listed.shots}
    for shot in listed.shots:
        rows[shot.name] = _done(shot, listed.output, rows[shot.name], parsed)
        _write(list(rows.values()), listed.output)
        sys.stdout.write(f"{shot.name}: {rows[shot.name].state} {rows[shot.name].sentence}".rstrip() + "\n")
        sys.stdout.flush()
    states = {row.state for row in rows.values()}
    sys.stdout.write(f"written: {listed.output / PAGE}\n")
    return EXIT_FAILED if BUG in states else EXIT_USER if FAILED in states else 0


def _done(shot: ListedShot, output: Path, before: SheetRow, parsed: argparse.Namespace) -> SheetRow:
    """The row of a shot that is reconstructed now, unless its result is there already. Failures become rows, too."""
    folder = output / shot.name
    started = time.monotonic()
    try:
        key = shot.key()
        manifest = bundle_folder.read_manifest(folder) if bundle_folder.is_bundle(folder) else None
        if manifest is not None and manifest.run.startswith(key):
            return replace(_row(shot.name, bundle.read(folder), output), seconds=before.seconds)
        request = headless.reconstruction_request(shot.photos, folder, shot.engine, shot.options)
        request = replace(request, run=key + request.run)
        data_folder = parsed.data_folder or environment.user_folder()
        result = headless.result(headless.begin(request, data_folder), parsed.on_message)
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


def _recorded(path: Path) -> dict[str, SheetRow]:
    """The rows of an earlier run, by the shots' names; none where there was none, or its record is damaged."""
    try:
        data = bounded.parsed(bounded.content(path))
        if data["generator"] == GENERATOR:
            return {row["name"]: SheetRow(**row) for row in data["shots"]}
    except (OSError, *bounded.FAULTS):
        pass
    return {}


def _write(rows: list[SheetRow], output: Path) -> None:
    """Writes the record and the page. Raises UserError where they cannot be written."""
    record = {"generator": GENERATOR, "shots": [asdict(row) for row in rows]}
    try:
        whole_file.write_text(output / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        whole_file.write_text(output / PAGE, contact_sheet.page(rows))
    except OSError as error:
        raise output_error(output, error) from error
