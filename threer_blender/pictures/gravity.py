"""[R] Gravity and place from a photo's file: gimbal angles of DJI's drones (XMP), and GPS (EXIF). Pillow."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from ..files import bounded
from ..model.arrays import FloatArray
from ..model.reconstruction import Photo
from .decoding import FORMATS, register_formats

_XMP_KEYS = ("xmp", "XML:com.adobe.xmp")
_MOST_XMP = 1_000_000  # bytes that are searched
_GIMBAL = r"drone-dji:Gimbal{}Degree\s*(?:=\s*[\"']|>)\s*([+-]?\d+(?:\.\d+)?)"
_MOST_ROLL = 45.0  # degrees; an upside-down gimbal counts its angles differently
_EARTH = 6_371_000.0  # metres


class Sensed(NamedTuple):
    """The facts that a camera's sensors wrote into a photo's file; None for those that it lacks.

    `up` (3,) is a unit vector in the camera's axes (x right, y down, z forward). `place` (3,) is degrees north, degrees
    east, and metres above sea level.
    """

    up: FloatArray | None
    place: FloatArray | None


def sensed(photo: Photo) -> Sensed:
    """Gravity and place from the photo's file. Both are None for frames of videos and files that Pillow cannot read."""
    if photo.frame is not None:
        return Sensed(None, None)
    register_formats()
    try:
        with bounded.open_regular(Path(photo.path)) as file, Image.open(file, formats=FORMATS) as image:
            return Sensed(gimbal_up(_xmp(image.info)), gps_place(image.getexif().get_ifd(ExifTags.IFD.GPSInfo)))
    except (OSError, ValueError, SyntaxError, EOFError):
        return Sensed(None, None)


def _xmp(info: Mapping[Any, Any]) -> str:
    texts = (info.get(key, b"") for key in _XMP_KEYS)
    return "".join(
        text[:_MOST_XMP].decode("utf-8", "replace") if isinstance(text, bytes) else str(text)[:_MOST_XMP]
        for text in texts
    )


def gimbal_up(xmp: str) -> FloatArray | None:
    """Up (3,) in the camera's axes, by the pitch and roll of a DJI gimbal in XMP; None where it has no plausible pitch.

    Both are in degrees. A pitch of -90 looks straight down. A positive roll is clockwise.
    """
    angles = [
        match and float(match[1]) for match in (re.search(_GIMBAL.format(name), xmp) for name in ("Pitch", "Roll"))
    ]
    if angles[0] is None or not -90.5 <= angles[0] <= 90.5 or abs(angles[1] or 0.0) > _MOST_ROLL:
        return None
    pitch, roll = math.radians(angles[0]), math.radians(angles[1] or 0.0)
    return np.array((-math.sin(roll) * math.cos(pitch), -math.cos(roll) * math.cos(pitch), math.sin(pitch)))


def gps_place(tags: Mapping[int, Any]) -> FloatArray | None:
    """(3,) degrees north, degrees east, metres above sea level, by EXIF's GPS tags; None where one makes no sense."""
    names = ExifTags.GPS
    try:
        north, east = (
            sum(float(part) / 60**index for index, part in enumerate(tags[name]))
            for name in (names.GPSLatitude, names.GPSLongitude)
        )
        height = float(tags[names.GPSAltitude])
        below = tags.get(names.GPSAltitudeRef, 0) in (1, b"\x01")
        signs = (tags.get(names.GPSLatitudeRef) == "S", tags.get(names.GPSLongitudeRef) == "W", below)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    place = np.where(signs, -1.0, 1.0) * (north, east, height)
    return place if np.isfinite(place).all() and abs(north) <= 90 and abs(east) <= 180 else None


def metres(places: FloatArray) -> FloatArray:
    """(N, 3) metres east, north and up, relative to their mean, of `places` (N, 3) as in `Sensed.place`."""
    middle = places.mean(0)
    north, east, up = (places - middle).T
    return np.stack(
        [np.radians(east) * _EARTH * math.cos(math.radians(middle[0])), np.radians(north) * _EARTH, up], axis=-1
    )
