"""[R] Reads survey points that a solve holds, and their marks in photos, from the files that the options name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import survey_files
from ..geometry import survey
from ..geometry.sfm.surveyed import HeldSurvey, PhotoMark
from ..model.reconstruction import Photo
from ..pictures import video


def held_survey(options: Mapping[str, Any], photos: Sequence[Photo]) -> HeldSurvey | None:
    """The survey points to hold, and their marks in `photos`; None where the options hold none.

    Marks in other photos, such as frames of a shot that are only tracked, are ignored here. The list counts in the
    files' own pixels, the marks in those of the photos. Coordinates are relative to `survey.offset`. Raises UserError
    where a list cannot be read.
    """
    points_file, marks_file = (str(options.get(name, "")) for name in ("survey", "survey_pixels"))
    if options.get("survey_is") != "held" or not points_file or not marks_file:
        return None
    points = survey_files.read_points(Path(points_file))
    numbers = {name: number for number, name in enumerate(points)}
    by_name: dict[str, int] = {}
    for number, photo in enumerate(photos):
        names = [photo.name, Path(photo.name).stem, *([] if photo.frame is None else [str(photo.frame)])]
        for name in names:
            by_name.setdefault(name, number)
    marks = []
    for each in survey_files.read_marks(Path(marks_file)):
        visible_in = by_name.get(each.photo, by_name.get(survey_files.without_zeros(each.photo)))
        if visible_in is not None and each.name in numbers:
            photo = photos[visible_in]
            scale = np.divide((photo.width, photo.height), video.plate_size(photo))
            marks.append(PhotoMark(visible_in, numbers[each.name], np.array([each.u, each.v]) * scale))
    surveyed = np.array(list(points.values()))
    return HeldSurvey(surveyed - survey.offset(surveyed), marks)
