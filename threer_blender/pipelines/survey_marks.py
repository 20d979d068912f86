"""[R] Survey points that a solve holds, and the photos that show them, as the options name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import survey_files
from ..geometry import survey
from ..geometry.sfm.surveyed import Mark, SurveyMarks
from ..model.reconstruction import Photo


def held(options: Mapping[str, Any], photos: Sequence[Photo]) -> SurveyMarks | None:
    """The points to hold, None where none are to be. Raises UserError where a list cannot be read.

    Marks of photos that are not here, such as a shot's frames between those that are solved, count later.
    """
    points_file, marks_file = (str(options.get(name, "")) for name in ("survey", "survey_pixels"))
    if options.get("survey_is") != "held" or not points_file or not marks_file:
        return None
    points = survey_files.read_points(Path(points_file))
    numbers = {name: number for number, name in enumerate(points)}
    by_name: dict[str, int] = {}
    for number, photo in enumerate(photos):
        for name in (photo.name, Path(photo.name).stem, "" if photo.frame is None else str(photo.frame)):
            by_name.setdefault(name, number)
    marks = []
    for each in survey_files.read_sightings(Path(marks_file)):
        visible_in = by_name.get(each.photo, by_name.get(each.photo.lstrip("0")))
        if visible_in is not None and each.name in numbers:
            marks.append(Mark(visible_in, numbers[each.name], np.array([each.u, each.v])))
    surveyed = np.array(list(points.values()))
    return SurveyMarks(surveyed - survey.offset(surveyed), marks)
