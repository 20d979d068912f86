"""[R] Photos of lens grids -> a lens file, with a lens for each size and focal length of the photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..files import photo_files
from ..geometry.grids import boards, calibration, dots
from ..geometry.grids.boards import Board
from ..geometry.grids.calibration import Calibration
from ..jobs.messages import Calibrate, Finished
from ..lenses import export, grid_files
from ..model.engine import Stage
from ..model.errors import UserError, quoted
from ..model.lens import NO_DISTORTION
from ..model.reconstruction import Camera, Photo
from ..pictures import photos as photo_reader
from ..runtime.report import MessageReport

READING = Stage("reading", "Reading the photos", 1.0)
FINDING = Stage("corners", "Finding corners", 2.0)
CALIBRATING = Stage("calibrating", "Solving the lens", 1.0)
OPEN_FOCAL = 0.05  # the focal length is unknown where twice its standard deviation is a larger share of it
POOR = 1.0  # px RMS; a lens with a larger error is doubtful
SAME_FOCAL = 0.01  # share by which the focal lengths of photos of one lens differ at most


@dataclass(frozen=True)
class _Group:
    """Photos of one lens, and the boards that each of them shows."""

    photos: list[Photo]
    boards: list[list[Board]]


def run(request: Calibrate, report: MessageReport) -> Finished:
    """Writes the lens file `request.output`. Returns sentences about the lenses.

    Raises UserError where a file that is no lens file has that name, no photo can be read, or no photo shows a board;
    and what `report` raises.
    """
    output = Path(request.output)
    grid_files.check_output(output)
    report.plan([READING, FINDING, CALIBRATING])
    files = photo_files.find(request.photos).files
    chosen = photo_reader.read(files, report.warn, lambda done: report(READING, done, 1)).accepted
    if not chosen:
        raise UserError(
            "None of the chosen files is a photo that can be read: choose photos of a checkerboard or a grid of dots."
        )
    views = []
    for done, photo in enumerate(chosen):
        report(FINDING, done, len(chosen))
        picture = photo_reader.pixels(photo)
        views.append(boards.find(picture) or dots.find(picture))
        if not views[-1]:
            report.warn("It shows no checkerboard or grid of dots of 3 × 4 or more.", photo.name)
    if not any(views):
        raise UserError(
            "None of the photos shows the corners of a checkerboard or a grid of dots: choose sharp photos of a flat "
            "board of black and white squares, with at least 3 × 4 inner corners in view, or of at least 3 × 4 dots."
        )
    entries, sentences = [], []
    groups = _groups(chosen, views)
    for done, group in enumerate(groups):
        check = partial(report, CALIBRATING, done, len(groups))
        solved = calibration.calibrate(
            [board for each in group.boards for board in each],
            (group.photos[0].width, group.photos[0].height),
            group.photos[0].focal,
            check=check,
        )
        entries.append(_entry(group, solved))
        sentences.append(_sentence(entries[-1]["name"], group, solved))
    grid_files.write(output, entries)
    return Finished("\n".join([*sentences, f"written: {output}"]))


def _groups(photos: Sequence[Photo], views: Sequence[list[Board]]) -> list[_Group]:
    """The photos that show a board, grouped by size and EXIF focal length, or by folder where EXIF has none."""
    groups: list[_Group] = []
    for photo, each in zip(photos, views, strict=True):
        if not each:
            continue
        group = next((group for group in groups if _is_same_lens(group.photos[0], photo)), None)
        if group is None:
            groups.append(group := _Group([], []))
        group.photos.append(photo)
        group.boards.append(each)
    return groups


def _is_same_lens(first: Photo, second: Photo) -> bool:
    if (first.width, first.height) != (second.width, second.height):
        return False
    if first.focal is None or second.focal is None:
        return first.focal == second.focal and Path(first.path).parent == Path(second.path).parent
    return abs(first.focal / second.focal - 1) < SAME_FOCAL


def _millimetres(photo: Photo, solved: Calibration) -> float | None:
    """The solved focal length in mm; None where the width of the photo's sensor is unknown."""
    return None if photo.sensor_width is None else solved.focal * photo.sensor_width / photo.width


def _entry(group: _Group, solved: Calibration) -> dict[str, Any]:
    """The entry of a lens in the lens file."""
    photo = group.photos[0]
    camera = Camera(
        photo.name,
        *solved.size,
        solved.focal,
        solved.focal,
        *solved.centre,
        np.eye(4),
        solved.distortion or NO_DISTORTION,
    )
    nominal = (
        None if photo.sensor_width is None or photo.focal is None else photo.focal * photo.sensor_width / photo.width
    )
    name = f"{nominal:.4g} mm" if nominal else Path(photo.path).parent.name or photo.name
    lens = export.Lens(name, {each.name: camera for each in group.photos}, photo.sensor_width)
    return {
        **export.description(lens),
        grid_files.GRID: {
            "boards": sum(len(each) for each in group.boards),
            "corners": solved.corners,
            "all_corners": solved.all_corners,
            "rms_px": solved.rms,
            "focal_deviation": solved.focal_deviation,
            "focal_mm": _millimetres(photo, solved),
        },
    }


def _sentence(name: str, group: _Group, solved: Calibration) -> str:
    """Sentences for the artist on the lens `name`: its focal length, its errors, and advice."""
    millimetres = _millimetres(group.photos[0], solved)
    named = "" if millimetres is None else f" ({millimetres:.2f} mm)"
    text = (
        f"{name}: focal length {solved.focal:.1f} px{named} ± {2 * solved.focal_deviation:.2%}, "
        f"{solved.distortion.model}, RMS {solved.rms:.2f} px over {solved.corners} of {solved.all_corners} corners in "
        f"{len(group.photos)} photos."
    )
    if 2 * solved.focal_deviation > OPEN_FOCAL:
        text += (
            " The photos tell the distortion but not the focal length: add photos of the board tilted by 20 to 40 "
            "degrees."
        )
    if solved.rms > POOR:
        text += " The error is large: use a flat board, and keep zoom and focus."
    photo_of_board = [photo for photo, boards in zip(group.photos, group.boards, strict=True) for _ in boards]
    skipped = {photo.name for photo, error in zip(photo_of_board, solved.errors, strict=True) if np.isnan(error)}
    if skipped:
        text += f" Left out, because they do not fit the others: {', '.join(quoted(each) for each in sorted(skipped))}."
    return text
