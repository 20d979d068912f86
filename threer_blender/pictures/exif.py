"""[R] The lens by EXIF: focal length in pixels, and the sensor's width. Tags have Pillow's names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags

# EXIF FocalPlaneResolutionUnit -> millimetres; 1 ("none") is taken as inches, as the standard's default is.
_UNIT_MM = {1: 25.4, 2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
_FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
_PLAUSIBLE_FOCAL = (0.2, 50.0)  # over the longer side
_SAME_ASPECT = 0.02  # relative; the aspects of a picture and of its smaller copy differ less
_SAME_ZOOM = 0.02  # relative
_FILM_ROUNDING = 1.0  # mm; the equivalent is rounded to whole millimetres
_KNOWN_CROP = 0.87  # smallest scale, of those that fit, at which a crop's scale is known to 15 %


@dataclass(frozen=True)
class LensTags:
    """The EXIF tags of one photo that describe its lens; None where one is absent or makes no sense.

    `focal` is the focal length in mm, and `focal_on_film` its 35 mm equivalent in mm. `zoom` is the digital zoom, 1
    where there was none. `original_size` is the width and height in pixels of the picture that the camera took, before
    any editing, and `pixel_size` the size in mm of one of those pixels on the focal plane. `camera` is the maker and
    model, empty where the file does not name them.
    """

    focal: float | None
    focal_on_film: float | None
    zoom: float
    original_size: tuple[float, float] | None
    pixel_size: float | None
    camera: str = ""


def lens_tags(exif: Mapping[int, Any]) -> LensTags:
    """The tags in a photo's EXIF directory."""
    sides = [_positive(exif.get(tag)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
    resolution = _positive(exif.get(ExifTags.Base.FocalPlaneXResolution))
    unit = _UNIT_MM.get(exif.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
    return LensTags(
        _positive(exif.get(ExifTags.Base.FocalLength)),
        _positive(exif.get(ExifTags.Base.FocalLengthIn35mmFilm)),
        max(1.0, _positive(exif.get(ExifTags.Base.DigitalZoomRatio)) or 1.0),
        (sides[0], sides[1]) if sides[0] and sides[1] else None,
        unit / resolution if unit and resolution else None,
        _camera(exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model)),
    )


def focal_and_sensor(
    tags: LensTags, width: int, height: int, others: Iterable[LensTags] = ()
) -> tuple[float | None, float | None]:
    """The focal length in pixels, and the sensor's width in mm along the displayed picture's width; None if unknown.

    The 35 mm equivalent compares diagonals (CIPA DCG-001), so it works for every aspect ratio. Without it, the sensor's
    longer side follows from the size of its pixels. Both belong to the whole picture: the size of the original shows
    how much a crop has lost. Most cameras include a digital zoom in the equivalent, as ExifTool assumes. The tags of
    all photos, `others`, show which cameras do not. Rotated photos are no special case: the diagonal and the longer
    side rotate with them, and pixels are taken as square.
    """
    uncropped = _uncropped(tags.original_size, width, height)
    if uncropped is None:
        return None, None
    if tags.focal_on_film is not None:
        zoom = tags.zoom if _ignores_digital_zoom(tags, others) else 1.0
        focal = tags.focal_on_film * zoom * math.hypot(*uncropped) / _FILM_DIAGONAL_MM
    elif tags.focal is not None and tags.pixel_size is not None:
        sensor_longer = tags.pixel_size * max(tags.original_size or uncropped)
        focal = tags.focal * tags.zoom * max(uncropped) / sensor_longer
    else:
        return None, None
    if not _PLAUSIBLE_FOCAL[0] < focal / max(width, height) < _PLAUSIBLE_FOCAL[1]:
        return None, None
    return focal, None if tags.focal is None else tags.focal * width / focal


def _ignores_digital_zoom(tags: LensTags, others: Iterable[LensTags]) -> bool:
    """Whether the camera's 35 mm equivalent leaves out the digital zoom: it stays the same when the zoom changes."""
    assert tags.focal_on_film is not None
    return any(
        other.focal == tags.focal
        and abs(other.zoom / tags.zoom - 1) > _SAME_ZOOM
        and other.focal_on_film is not None
        and abs(other.focal_on_film - tags.focal_on_film) <= _FILM_ROUNDING
        and abs(tags.focal_on_film * other.zoom / tags.zoom - tags.focal_on_film) > _FILM_ROUNDING
        for other in others
    )


def _uncropped(original_size: tuple[float, float] | None, width: int, height: int) -> tuple[float, float] | None:
    """The uncropped picture's width and height, at the scale of the picture of `width` × `height`; None if unknown.

    A picture with the original's aspect ratio is the original, perhaps shrunk. Any other was cropped, and perhaps
    shrunk, too. Its scale lies between 1 and the scale at which it just fits into the original.
    """
    if original_size is None:
        return width, height
    scales = []
    for full_width, full_height in (original_size, original_size[::-1]):
        across, down = width / full_width, height / full_height
        if abs(across / down - 1) < _SAME_ASPECT:
            return width, height
        scales.append(max(across, down))
    least = max((scale for scale in scales if scale <= 1), default=None)
    if least is None:  # larger than the original: the tags describe another picture
        return width, height
    return original_size if least >= _KNOWN_CROP else None


def _camera(maker: Any, model: Any) -> str:
    """The maker and the model; the maker is not repeated where the model already begins with it."""
    maker, model = (each.strip(" \0") if isinstance(each, str) else "" for each in (maker, model))
    return model if not maker or model.lower().startswith(maker.split()[0].lower()) else f"{maker} {model}"


def focal_for_sensor(sensor: float, tags: LensTags, width: int, height: int) -> float | None:
    """The focal length in pixels, from the `sensor`'s longer side in mm; None where unknown, implausible or cropped."""
    if tags.focal is None or _uncropped(tags.original_size, width, height) != (width, height):
        return None
    focal = tags.focal * tags.zoom / sensor * max(width, height)
    return focal if _PLAUSIBLE_FOCAL[0] < focal / max(width, height) < _PLAUSIBLE_FOCAL[1] else None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < math.inf else None
