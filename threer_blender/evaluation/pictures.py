"""[R] Pictures of an evaluation: photos beside the error of their depth, as JPEG and PNG. Pillow and numpy."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ..model.arrays import Array, FloatArray, UInt8Array
from ..model.errors import UserError
from ..model.reconstruction import Photo
from .surfaces import JudgedDepth

WIDTH = 280  # pixels of a picture
JPEG_QUALITY = 78
WORST = 0.10  # the relative error of depth that has the last colour
MISSING, OUTSIDE = (120, 130, 150), (25, 25, 25)  # colours of pixels without a solved depth, and without a true one
# Colours along a scale from the least to the largest value.
ERROR_COLOURS = ((255, 255, 245), (255, 225, 130), (245, 140, 50), (200, 40, 40), (90, 0, 40))
DEPTH_COLOURS = ((250, 235, 95), (95, 200, 100), (35, 140, 140), (60, 80, 140), (70, 10, 85))


@dataclass(frozen=True)
class DepthPictures:
    """Pictures of a photo's depth as data URIs. `photo` is the photo's name, and `picture` shows it ("" where it is
    gone). The others show the solved and the true depth, and the error."""

    photo: str
    picture: str
    solved: str
    true: str
    error: str


def depth_pictures(depths: Sequence[JudgedDepth], scale: float, photos: Mapping[str, Photo]) -> list[DepthPictures]:
    """The pictures of each photo; `scale` takes the solve's depth to the truth's. `photos` are by name."""
    return [_pictures(depth, scale, photos.get(depth.photo)) for depth in depths]


def _pictures(depth: JudgedDepth, scale: float, photo: Photo | None) -> DepthPictures:
    step = max(1, round(depth.true.shape[1] / WIDTH))
    true, solved = depth.true[::step, ::step], scale * depth.solved[::step, ::step]
    visible = true > 0
    low, high = np.percentile(true[visible], (2, 98)) if visible.any() else (0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(visible & (solved > 0), np.abs(solved - true) / true, np.nan)
    span = max(high - low, 1e-9)
    colours = {
        "true": _coloured(np.where(visible, (true - low) / span, np.nan), DEPTH_COLOURS, OUTSIDE),
        "solved": _coloured(np.where(solved > 0, (solved - low) / span, np.nan), DEPTH_COLOURS, MISSING),
        "error": _coloured(error / WORST, ERROR_COLOURS, MISSING),
    }
    colours["error"][~visible] = OUTSIDE
    return DepthPictures(depth.photo, photo_uri(photo), **{name: png_uri(each) for name, each in colours.items()})


def _coloured(values: FloatArray, colours: Sequence[tuple[int, int, int]], none: tuple[int, int, int]) -> UInt8Array:
    """(H, W, 3) the colours of values (H, W) from 0 to 1; `none` where a value is NaN."""
    places = np.linspace(0, 1, len(colours))
    filled = np.clip(np.nan_to_num(values), 0, 1)
    channels = [np.interp(filled, places, [colour[k] for colour in colours]) for k in range(3)]
    picture: UInt8Array = np.stack(channels, -1).round().astype(np.uint8)
    picture[np.isnan(values)] = none
    return picture


def photo_uri(photo: Photo | None) -> str:
    """A small JPEG of a photo as a data URI; "" where it is gone or has changed."""
    from ..pictures import photos

    if photo is None or not Path(photo.path).exists():
        return ""
    try:
        pixels = photos.pixels(photo, WIDTH)
    except UserError:
        return ""
    return _uri(pixels, "JPEG", quality=JPEG_QUALITY)


def png_uri(pixels: Array) -> str:
    """A picture (H, W, 3) uint8 as a PNG in a data URI."""
    return _uri(pixels, "PNG", optimize=True)


def _uri(pixels: Array, kind: str, **options: object) -> str:
    encoded = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(encoded, kind, **options)
    return f"data:image/{kind.lower()};base64,{b64encode(encoded.getvalue()).decode()}"
