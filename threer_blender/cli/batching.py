"""[S] The verbs `batch`, which reconstructs many shots, and `farm`, which writes a job that does so on a farm."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from ..farm import flamenco, job, open_job, path_mapping, shot_lists, slurm, tasks
from ..farm.progress import OpenJobLines
from ..farm.shot_lists import ListedShot, ShotList
from ..files import whole_folder
from ..host import environment, store
from ..model.errors import UserError, quoted
from ..reports.contact_sheet import BUG, DONE, FAILED, SheetRow
from . import exit_status

SCHEDULERS = ("openjd", "flamenco", "slurm")


def add_verbs(verbs: Any) -> None:
    """Adds the verbs to those of a parser."""
    batch = verbs.add_parser("batch", help="reconstruct many shots; run it again to go on where it ended")
    _add_list(batch)
    task = batch.add_mutually_exclusive_group()
    task.add_argument("--prepare", action="store_true", help="only check the list and read all photos once")
    task.add_argument("--only", metavar="SHOT", help="only the shot of this name; other machines may do the others")
    task.add_argument("--page", action="store_true", help="only write the page of all shots")
    batch.add_argument("--weights-folder", metavar="FOLDER", help="the learned engines' weights; default: this user's")
    batch.add_argument("--path-mapping", metavar="FILE", help="Open Job Description's rules for the list's paths")
    batch.add_argument("--open-job", action="store_true", help="print progress as Open Job Description reads it")
    batch.set_defaults(run=_batch)

    farm = verbs.add_parser("farm", help="write a job that reconstructs many shots on a farm")
    _add_list(farm)
    farm.add_argument("--scheduler", required=True, choices=SCHEDULERS, help="openjd is for AWS Deadline Cloud, too")
    farm.add_argument("--job", required=True, metavar="NEW", help="a new folder for the job's files")
    farm.add_argument("--python", default=sys.executable, help="the farm's Python that has threer_blender")
    farm.add_argument("--blender", default="", help="the farm's Blender with the extension: a .blend of each shot, too")
    farm.add_argument("--weights-folder", default="", metavar="FOLDER", help="the learned engines' weights on the farm")
    farm.set_defaults(run=_farm)


def _add_list(verb: Any) -> None:
    verb.add_argument("shots", metavar="SHOTS", help="a list of shots (TOML), or a folder of shots")
    verb.add_argument("--output", metavar="FOLDER", help="the folder of the results; default: the list's own")


def _batch(parsed: argparse.Namespace) -> int:
    """Does the task, or all of them. Returns the worst exit status of the shots."""
    rules = path_mapping.read(Path(parsed.path_mapping)) if parsed.path_mapping else []
    listed = shot_lists.read(Path(parsed.shots), Path(parsed.output) if parsed.output else None, rules)
    if parsed.weights_folder:
        os.environ[store.WEIGHTS_VARIABLE] = str(Path(parsed.weights_folder).absolute())
    if parsed.prepare:
        tasks.prepare(listed)
        sys.stdout.write(f"{len(listed.shots)} shots are ready.\n")
        return exit_status.OK
    solved = [] if parsed.page else _solve(listed, parsed)
    rows = tasks.write_page(listed)
    sys.stdout.write(f"written: {listed.output / tasks.PAGE}\n")
    return _status(rows if parsed.page else solved)


def _solve(listed: ShotList, parsed: argparse.Namespace) -> list[SheetRow]:
    """Reconstructs the shots that are asked for, and returns their rows."""
    lines = OpenJobLines() if parsed.open_job else None
    data_folder = parsed.data_folder or environment.user_folder()
    solved = []
    for shot in listed.shots if parsed.only is None else [_named(parsed.only, listed)]:
        row = tasks.solve(shot, listed.output, data_folder, lines or parsed.on_message)
        solved.append(row)
        tasks.write_page(listed)
        sys.stdout.write(f"{shot.name}: {row.state} {row.sentence}".rstrip() + "\n")
        sys.stdout.flush()
        if lines is not None and row.state != DONE:
            lines.failed(row.sentence)
    return solved


def _named(name: str, listed: ShotList) -> ListedShot:
    shot = next((shot for shot in listed.shots if shot.name == name), None)
    if shot is None:
        known = ", ".join(shot.name for shot in listed.shots)
        raise UserError(f"There is no shot {quoted(name)} in the list; it has {known}.")
    return shot


def _status(rows: list[SheetRow]) -> int:
    states = {row.state for row in rows}
    return exit_status.BUG if BUG in states else exit_status.USER if FAILED in states else exit_status.OK


def _farm(parsed: argparse.Namespace) -> None:
    path = Path(parsed.shots).absolute()
    listed = shot_lists.read(path, Path(parsed.output) if parsed.output else None)
    described = job.describe(path, listed, parsed.python, parsed.blender, parsed.weights_folder)
    files = {
        "openjd": lambda: open_job.files(described),
        "flamenco": lambda: flamenco.files(described, sys.platform),
        "slurm": lambda: slurm.files(described),
    }[parsed.scheduler]()
    with whole_folder.replacing(Path(parsed.job).absolute()) as new:
        for name, text in files.items():
            (new.path / name).write_text(text, "utf-8")
    for sentence in new.sentences("the job's files"):
        sys.stdout.write(f"{sentence}\n")
    sys.stdout.write(f"written: {new.place}\n")
