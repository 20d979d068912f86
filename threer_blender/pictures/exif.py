"""[R] What EXIF tells of the lens: focal length in pixels, and the sensor's width. Pillow's names of the tags."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags

# EXIF FocalPlaneResolutionUnit -> millimetres; 1 ("none") is taken as inches, as the standard's default is.
_UNIT_MM = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
_PLAUSIBLE_FOCAL = (0.2, 50.0)


def focal_and_sensor(exif: Mapping[int, Any], width: int, height: int) -> tuple[float | None, float | None]:
    """Focal length in pixels and the sensor's width along the displayed picture's width in mm, as far as EXIF knows.

    The 35 mm equivalent compares diagonals (CIPA DCG-001), which holds for every aspect ratio. Without it, the sensor's
    longer side comes from the pixels that the camera counts per unit of its focal plane. Turned photos need no care:
    the diagonal and the longer side turn along, and pixels are taken as square.
    """
    longer = max(width, height)
    focal_mm = _positive(exif.get(ExifTags.Base.FocalLength))
    focal_on_film = _positive(exif.get(ExifTags.Base.FocalLengthIn35mmFilm))
    sensor_longer = _sensor_longer_side(exif, width, height)
    if focal_on_film is not None:
        focal = focal_on_film * math.hypot(width, height) / _FILM_DIAGONAL_MM
    elif focal_mm is not None and sensor_longer is not None:
        focal = focal_mm * longer / sensor_longer
    else:
        return None, None
    if not _PLAUSIBLE_FOCAL[0] < focal / longer < _PLAUSIBLE_FOCAL[1]:
        return None, None
    return focal, focal_mm and focal_mm * width / focal


def _sensor_longer_side(exif: Mapping[int, Any], width: int, height: int) -> float | None:
    """Millimetres. The camera's own pixel count goes first: the resolution is of the picture before any shrinking."""
    resolution = _positive(exif.get(ExifTags.Base.FocalPlaneXResolution))
    unit = _UNIT_MM.get(exif.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    if resolution is None or unit is None:
        return None
    sides = (_positive(exif.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight))
    counted = max((side for side in sides if side), default=float(max(width, height)))
    return counted / resolution * unit


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < math.inf else None
