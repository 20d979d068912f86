"""[S] Reads and writes two text lists: survey points, and the pixels where photos show them.

Fields are separated by commas, semicolons, tabs or spaces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..model.errors import UserError, quoted
from ..model.reconstruction import SurveyPoint
from . import bounded, checked, whole_file

LARGEST = 16 << 20  # bytes of a list
MOST_NAME = 200  # letters of a point's name; more are cut off

# What a line of a list should hold, for a sentence to the artist.
POINTS = "a name and three coordinates on each line: name, x, y, z"
MARKS = "on each line a point's name, the photo's name or the frame's number, and the pixel: name, photo, u, v"


@dataclass(frozen=True)
class SurveyMark:
    """A mark in a list: the photo `photo` shows the survey point `name` at the pixel (`u`, `v`).

    `photo` is the photo's name, or the number of its frame. The centre of the top-left pixel is (0.5, 0.5).
    """

    name: str
    photo: str
    u: float
    v: float


def read_points(path: Path) -> dict[str, tuple[float, float, float]]:
    """The coordinates (x, y, z) of each point by name, in the survey's units.

    Raises UserError where the file cannot be read as such a list, or names a point twice.
    """
    points: dict[str, tuple[float, float, float]] = {}
    for line, fields in _rows(path, 4, 1, POINTS):
        if fields[0] in points:
            raise UserError(f"{quoted(path.name)} names the point {quoted(fields[0])} twice, again in line {line}.")
        points[fields[0]] = (float(fields[1]), float(fields[2]), float(fields[3]))
    return points


def without_zeros(photo: str) -> str:
    """The frame's number of a mark as results name it: without zeros before it. Other names stay as they are."""
    return str(int(photo)) if photo.isascii() and photo.isdecimal() else photo


def read_marks(path: Path) -> list[SurveyMark]:
    """The marks in a list. Raises UserError where the file cannot be read as such a list."""
    return [
        SurveyMark(fields[0], fields[1], float(fields[2]), float(fields[3])) for _, fields in _rows(path, 4, 2, MARKS)
    ]


def write(
    points_file: Path, marks_file: Path, points: Mapping[str, tuple[tuple[float, float, float], list[SurveyMark]]]
) -> None:
    """Writes both lists of points by name, each with its coordinates and its marks. Raises OSError."""
    rows = [f"{name},{x:.9g},{y:.9g},{z:.9g}\n" for name, ((x, y, z), _) in points.items()]
    mark_rows = [
        f"{each.name},{each.photo},{each.u:.3f},{each.v:.3f}\n" for _, marks in points.values() for each in marks
    ]
    whole_file.write_text(points_file, "".join(rows))
    whole_file.write_text(marks_file, "".join(mark_rows))


def _rows(path: Path, count: int, texts: int, form: str) -> list[tuple[int, Sequence[str]]]:
    """The number and the fields of each line that is neither empty nor a comment.

    `count` fields are wanted: `texts` of them are text, the others numbers. The first such line may be a header without
    numbers. `form` tells the artist what a line should hold. Raises UserError where a line cannot be understood.
    """
    try:
        text = bounded.content(path, LARGEST).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"{quoted(path.name)} cannot be read as a list of text; it should have {form}.") from error
    rows: list[tuple[int, Sequence[str]]] = []
    may_be_header = True
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        fields = _fields(line, count)
        if len(fields) >= count and fields[0] and all(map(_is_number, fields[texts:count])):
            rows.append((number, [fields[0][:MOST_NAME], *fields[1:count]]))
        elif not may_be_header:
            raise UserError(f"Line {number} of {quoted(path.name)} is not understood; it should have {form}.")
        may_be_header = False
    if not rows:
        raise UserError(f"{quoted(path.name)} holds no points; it should have {form}.")
    return rows


def _fields(line: str, count: int) -> list[str]:
    for separator in (";", "\t", ","):
        fields = [field.strip().strip('"') for field in line.split(separator)]
        if len(fields) >= count:
            return fields
    return re.split(r"\s+", line)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def from_bundle(entry: Any) -> SurveyPoint:
    """The point that a bundle's JSON `entry` describes. Raises ValueError, KeyError or TypeError where it is none."""
    x, y, z = map(checked.number, checked.typed(checked.typed(entry, dict)["position"], list))
    return SurveyPoint(
        name=checked.typed(entry["name"], str),
        position=(x, y, z),
        agrees=checked.typed(entry["agrees"], bool),
        error=checked.optional(entry["error"]),
        pixel_error=checked.optional(entry["pixel_error"]),
        mark_count=checked.frame(entry["sightings"]),
    )


def to_bundle(point: SurveyPoint) -> dict[str, Any]:
    """The JSON entry of a point in a bundle, as `from_bundle` reads it: there the count of marks is `sightings`."""
    entry = asdict(point)
    entry["sightings"] = entry.pop("mark_count")
    return entry
