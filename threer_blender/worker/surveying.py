"""[R] Brings a result into survey coordinates, and measures the error of each survey point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..files import survey_files
from ..files.survey_files import SurveyMark
from ..geometry import survey
from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera, Photo, Reconstruction, SurveyPoint
from ..model.reconstruction_transform import transformed
from ..pictures import video
from . import scanning


def check(options: Mapping[str, Any], photos: Sequence[Photo]) -> None:
    """Called before anything is solved. Raises UserError where the lists cannot be read or belong to other photos."""
    scanning.check(options)
    lists = _lists(options)
    if lists is None:
        return
    names = {name for photo in photos for name in (photo.name, Path(photo.name).stem)}
    filmed = any(photo.frame is not None for photo in photos)
    if not any(mark.photo in names or (filmed and mark.photo.isdecimal()) for mark in lists[1]):
        raise UserError(
            f"None of the survey marks is in a chosen photo, such as {quoted(lists[1][0].photo)}: name photos as their "
            "files, and frames by number."
        )


def applied(reconstruction: Reconstruction, options: Mapping[str, Any]) -> Reconstruction:
    """The result in the coordinates and the scale of the survey points; unchanged where the options name none.

    Coordinates far from zero are counted from a round offset, which a note names. Raises UserError where a list cannot
    be read, or the points do not determine where the solve is.
    """
    lists = _lists(options)
    if lists is None:
        return reconstruction
    points, marks = lists
    surveyed = np.array(list(points.values()))
    offset = survey.offset(surveyed)
    before = _point_marks(reconstruction, points, marks)
    fitted = survey.fit(surveyed - offset, list(before.values()))
    fitted, scan_sentences = scanning.refined(reconstruction, options, fitted, offset)
    fitted = replace(fitted, residuals=np.linalg.norm(fitted.triangulated - (surveyed - offset), axis=1))
    moved = transformed(reconstruction, fitted.matrix)
    after = _point_marks(moved, points, marks)
    entries = [_entry(name, surveyed[index] - offset, fitted, index, after[name]) for index, name in enumerate(points)]
    notes = [*_sentences(entries, offset), *scan_sentences, *moved.notes]
    return replace(moved, survey=entries, metric=True, z_up=True, notes=notes)


def _lists(options: Mapping[str, Any]) -> tuple[dict[str, tuple[float, float, float]], list[SurveyMark]] | None:
    """The survey points (x, y, z) by name, and the pixels where photos show them; None where the options name none.

    Raises UserError where a list is missing or cannot be read, or a mark is of a point without coordinates.
    """
    points_file, marks_file = (str(options.get(name, "")) for name in ("survey", "survey_pixels"))
    if not points_file and not marks_file:
        return None
    if not points_file or not marks_file:
        raise UserError("Survey points need two lists: their coordinates, and the pixels where photos show them.")
    points = survey_files.read_points(Path(points_file))
    marks = survey_files.read_marks(Path(marks_file))
    unknown = sorted({each.name for each in marks} - points.keys())
    if unknown:
        raise UserError(f"No survey point is called {quoted(unknown[0])}: use the names of the list of coordinates.")
    return points, marks


def _point_marks(
    reconstruction: Reconstruction, names: Iterable[str], marks: list[SurveyMark]
) -> dict[str, survey.PointMarks]:
    """The marks of each named survey point, in photos that have a camera: none for a point that no such photo shows."""
    cameras = _cameras(reconstruction)
    marked: dict[str, list[tuple[Camera, tuple[float, float]]]] = {name: [] for name in names}
    for mark in marks:
        camera = cameras.get(mark.photo, cameras.get(survey_files.without_zeros(mark.photo)))
        if camera is not None:
            marked[mark.name].append((camera, (mark.u, mark.v)))
    return {
        name: survey.PointMarks(
            [camera for camera, _ in of_point], np.array([pixel for _, pixel in of_point]).reshape(-1, 2)
        )
        for name, of_point in marked.items()
    }


def _cameras(reconstruction: Reconstruction) -> dict[str, Camera]:
    """The cameras by the photo's name, with and without its ending.

    They are in the pixels of the photos' files. Those of a single shot are also found by the frame's number.
    """
    cameras: dict[str, Camera] = {}
    filmed = {camera.photo for shot in reconstruction.shots for camera in shot.cameras.values()}
    photos = {photo.name: photo for photo in reconstruction.photos}
    for camera in reconstruction.cameras:
        if camera.photo not in filmed:
            camera = camera.resized(*video.plate_size(photos[camera.photo]))
        cameras[camera.photo] = camera
        cameras.setdefault(Path(camera.photo).stem, camera)
    for shot in reconstruction.shots:
        for number in shot.cameras:
            camera = shot.plate_camera(number)
            cameras[camera.photo] = camera
            if len(reconstruction.shots) == 1:
                cameras[str(number)] = camera
    return cameras


def _entry(
    name: str, position: FloatArray, fitted: survey.SurveyFit, index: int, marks: survey.PointMarks
) -> SurveyPoint:
    """The survey point `name`, which is number `index` of the fit, with its errors."""
    pixels = [
        float(np.linalg.norm(camera.project(position) - pixel))
        for camera, pixel in zip(marks.cameras, marks.pixels, strict=True)
    ]
    finite = [each for each in pixels if np.isfinite(each)]
    residual = float(fitted.residuals[index])
    return SurveyPoint(
        name,
        (float(position[0]), float(position[1]), float(position[2])),
        bool(fitted.agrees[index]),
        residual if np.isfinite(residual) else None,
        float(np.mean(finite)) if finite else None,
        len(marks.cameras),
    )


def _sentences(entries: list[SurveyPoint], offset: FloatArray) -> list[str]:
    """Sentences for the artist: how well the points agree, which do not, and the offset (3,) of the coordinates."""
    used = [each for each in entries if each.agrees]
    rms = float(np.sqrt(np.mean([(each.error or 0.0) ** 2 for each in used])))
    pixels = float(np.mean([each.pixel_error for each in used if each.pixel_error is not None]))
    marks = sum(each.mark_count for each in used)
    worst = max(used, key=lambda each: each.error or 0.0)
    lines = [
        f"The solve is in survey coordinates by {len(used)} points, marked {marks} times: RMS {rms:.4g} units and "
        f"{pixels:.2f} px; the worst is {quoted(worst.name)} with {worst.error:.4g}."
    ]
    wrong = [each for each in entries if not each.agrees and each.error is not None]
    if wrong:
        listed = ", ".join(f"{quoted(each.name)} by {each.error:.4g} units" for each in wrong)
        lines.append(f"These survey points contradict the others and were not used: {listed}.")
    unseen = [quoted(each.name) for each in entries if each.error is None]
    if unseen:
        lines.append(
            f"Marked in fewer than two solved photos from different places, and not used: {', '.join(unseen)}."
        )
    if offset.any():
        x, y, z = offset
        lines.append(
            f"The survey lies far from its origin: ({x:g}, {y:g}, {z:g}) was taken from all coordinates; add it where "
            "others need them."
        )
    return lines
