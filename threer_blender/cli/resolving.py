"""[S] The verb `resolve`: solves a shot of a result again without bad tracks and bad frames."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from .. import bundle, headless
from ..files import bounded
from ..host import environment
from ..jobs.messages import SolveAgain
from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction, Shot

LARGEST_FILE = 16 << 20  # bytes of a list of tracks


def add_verb(verbs: Any) -> None:
    """Adds the verb to those of a parser."""
    verb = verbs.add_parser("resolve", help="solve a result's shot again, without bad tracks and frames; no tracking")
    verb.add_argument("result", metavar="FOLDER", help="the bundle of a result with a video or an image sequence")
    verb.add_argument("--output", required=True, metavar="NEW", help="another folder, for the new bundle")
    verb.add_argument("--shot", type=int, default=1, metavar="N", help="the shot, from 1; default: %(default)s")
    verb.add_argument(
        "--without-tracks", metavar="TRACKS", help="numbers of tracks to leave out: 3,5,17, or a file with such numbers"
    )
    verb.add_argument("--worse-than", type=float, metavar="PIXELS", help="leave out tracks with a larger error")
    verb.add_argument(
        "--weigh", action="append", default=[], metavar="TRACK=WEIGHT", help="how much a track counts: 1 is usual"
    )
    verb.add_argument("--bad", metavar="FRAMES", help="frames to leave out: 1010-1020,1033; default: those so far")
    verb.set_defaults(run=_resolve)


def request_from(parsed: argparse.Namespace) -> SolveAgain:
    """The request that the verb's arguments ask for.

    Raises UserError where the result has no such shot, or where an argument cannot be read.
    """
    folder, output = Path(parsed.result).absolute(), Path(parsed.output).absolute()
    if output == folder:
        raise UserError("The result that is solved again stays; give another folder as --output.")
    shots = bundle.read(folder).shots
    if not 1 <= parsed.shot <= len(shots):
        raise UserError(f"The result in {quoted(folder)} has {len(shots)} shots, and none of number {parsed.shot}.")
    shot = shots[parsed.shot - 1]
    bad = [list(entry) for entry in shot.bad] if parsed.bad is None else _ranges(parsed.bad)
    weights = {**dict.fromkeys(_numbers(parsed.without_tracks), 0.0), **_worse_than(parsed.worse_than, shot)}
    weights |= dict(_weight(text) for text in parsed.weigh)
    return SolveAgain(str(folder), str(output), parsed.shot - 1, weights, bad)


def _resolve(parsed: argparse.Namespace) -> None:
    request = request_from(parsed)
    data_folder = parsed.data_folder or environment.user_folder()
    reconstruction = headless.result(headless.begin(request, data_folder), parsed.on_message)
    sys.stdout.write(f"{_last_note(reconstruction)}\nwritten: {request.output}\n")


def _last_note(reconstruction: Reconstruction) -> str:
    """The sentence about the second solve, which stands last among the result's notes; "" without any notes."""
    return reconstruction.notes[-1] if reconstruction.notes else ""


def _numbers(text: str | None) -> list[str]:
    """The numbers of tracks in a text such as "3,5,17", or in the file of that name."""
    if not text:
        return []
    if not re.fullmatch(r"[\d,\s]+", text):
        text = _content(Path(text))
    numbers = [number for number in re.split(r"[,\s]+", text) if number]
    wrong = next((number for number in numbers if not number.isdecimal()), None)
    if wrong is not None:
        raise UserError(f"{quoted(wrong[:40])} is no track's number; write numbers with commas or spaces between them.")
    return numbers


def _content(file: Path) -> str:
    try:
        return bounded.content(file, LARGEST_FILE).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"The list of tracks {quoted(file)} cannot be read; check the path.") from error


def _worse_than(pixels: float | None, shot: Shot) -> dict[str, float]:
    """Weight 0 for each track whose error is larger than `pixels`, by the track's number; none where that is None."""
    if pixels is None or shot.tracks is None:
        return {}
    with np.errstate(invalid="ignore"):  # errors may be NaN
        return {str(number): 0.0 for number in np.flatnonzero(shot.tracks.errors > pixels)}


def _weight(text: str) -> tuple[str, float]:
    number, equals, weight = text.partition("=")
    try:
        if equals and number.isdecimal():
            return number, float(weight)
    except ValueError:
        pass
    raise UserError(f"--weigh wants TRACK=WEIGHT, as 17=2.5, not {quoted(text)}.")


def _ranges(text: str) -> list[list[int]]:
    """Ranges [first, last] of frames, from a text such as 1010-1020,1033; none from an empty text."""
    ranges = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if match is None:
            raise UserError(f"--bad wants frames as 1010-1020,1033, not {quoted(part)}.")
        ranges.append([int(match[1]), int(match[2] or match[1])])
    return ranges
