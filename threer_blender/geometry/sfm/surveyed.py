"""[R] A model adjusted to survey points, which are held: they define its world, and correct its lenses and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...model.arrays import FloatArray
from ...model.reconstruction import Camera
from .. import survey
from ..colmap import pycolmap
from ..features.database import Matched
from ..survey import PointMarks, SurveyFit
from . import known_lenses
from .model_adjustment import adjust, posed_images
from .model_selection import Model

ROUNDS = 50  # of the adjustment, at most
LOSS = 0.25  # px of the copies: the scale of the robust loss
BLACK = np.zeros(3, np.uint8)


@dataclass(frozen=True)
class PhotoMark:
    """A mark of a survey point: the index of the `photo`, that of the `point`, and the `pixel` (2,) of the photo."""

    photo: int
    point: int
    pixel: FloatArray


@dataclass(frozen=True)
class HeldSurvey:
    """The survey points to hold: surveyed `points` (N, 3), in survey coordinates, and their `marks` in photos."""

    points: FloatArray
    marks: Sequence[PhotoMark]


def adjusted_to(model: Model, matched: Matched, held: HeldSurvey, cameras: Mapping[str, Camera]) -> Model:
    """The model in survey coordinates, adjusted with those survey points held that agree with each other.

    `cameras` are the model's, by the photo's name, in pixels of the photos. Raises UserError as `survey.fit` does.
    """
    fitted = survey.fit(held.points, [_marks_of(number, held, matched, cameras) for number in range(len(held.points))])
    adjusted = pycolmap.Reconstruction(model)
    rotation_and_scale = fitted.matrix[:3, :3]
    scale = float(np.cbrt(np.linalg.det(rotation_and_scale)))
    rotation = pycolmap.Rotation3d(rotation_and_scale / scale)
    adjusted.transform(pycolmap.Sim3d(scale, rotation, fitted.matrix[:3, 3]))
    _adjust(adjusted, matched, held, fitted)
    return adjusted


def _marks_of(number: int, held: HeldSurvey, matched: Matched, cameras: Mapping[str, Camera]) -> PointMarks:
    """The marks of survey point `number` in photos that have cameras."""
    mine = [mark for mark in held.marks if mark.point == number and matched.photos[mark.photo].name in cameras]
    pixels = np.array([mark.pixel for mark in mine]).reshape(-1, 2)
    return PointMarks([cameras[matched.photos[mark.photo].name] for mark in mine], pixels)


def _adjust(model: Model, matched: Matched, held: HeldSurvey, fitted: SurveyFit) -> None:
    """Adjusts the model with the agreeing survey points as constant points, and takes these out again."""
    config = posed_images(model)
    added = []
    for number in np.flatnonzero(fitted.agrees):
        track = pycolmap.Track()
        for mark in held.marks:
            image_id = mark.photo + 1
            if mark.point != number or image_id not in model.images or not model.image(image_id).has_pose:
                continue
            photo = matched.photos[mark.photo]
            pixel = mark.pixel * matched.sizes[mark.photo] / (photo.width, photo.height)
            image = model.image(image_id)
            track.add_element(image_id, len(image.points2D))
            image.points2D.append(pycolmap.Point2D(pixel))
        added.append(model.add_point3D(held.points[number], track, BLACK))
        config.add_constant_point(added[-1])
    free = replace(known_lenses.freedom(matched.photos), centre=False)
    adjust(model, config, free, ROUNDS, LOSS)
    for point in added:
        model.delete_point3D(point)
    model.update_point_3d_errors()
