"""[R] Pictures decoded: upright (EXIF-rotated), 8-bit sRGB, transparency on black, as a viewer shows them. Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import ExifTags, Image, ImageCms

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "HEIF")
MOST_PIXELS = 500_000_000


# A picture that says which way up it is (EXIF tag 274) -> what makes it so.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBX", "RGBA", "YCbCr", "CMYK"})


@cache
def _get_ready() -> None:
    """Pillow with all formats. This process is ours alone: MOST_PIXELS, checked before decoding, replaces its limit."""
    Image.MAX_IMAGE_PIXELS = None
    Image.init()
    pillow_heif.register_heif_opener()


def shrunk(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    """The (width, height) of a picture of that size once its larger side is at most `long_side`."""
    scale = min(1.0, (long_side or math.inf) / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class Unusable(Exception):
    """A file that decodes, but not into a photo that can be worked with; says why in a sentence."""


@dataclass(frozen=True)
class Picture:
    """A decoded file. `image` may be decoded smaller than the file's picture is: then `box` is that picture in it."""

    image: Image.Image
    format: str
    full: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int
    rotated: bool
    exif: Mapping[int, Any]
    to_srgb: ImageCms.ImageCmsTransform | None
    flaw: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        width, height = self.full
        return (height, width) if self.orientation >= 5 else (width, height)

    def pixels(self, long_side: int | None) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 sRGB, upright, its larger side at most `long_side`."""
        image = _unpacked(self.image)
        size = shrunk(*self.full, long_side)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS, self.box, reducing_gap=3.0)
        image = _on_black(image)
        if self.to_srgb is not None:
            image = ImageCms.applyTransform(image, self.to_srgb) or image
        if image.mode != "RGB":  # else it would be a copy, as large as the picture
            image = image.convert("RGB")
        if self.orientation != 1:
            image = image.transpose(_UPRIGHT[self.orientation])
        return np.array(image)


@contextmanager
def decoded(file: Path, long_side: int | None) -> Iterator[Picture]:
    """Decode the whole file, JPEGs no larger than `long_side` needs. Raises whatever the decoder does, or Unusable."""
    _get_ready()
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            counts = (width * height // 1_000_000, MOST_PIXELS // 1_000_000)
            raise Unusable("It has {} million pixels, and {} million is the most.".format(*counts))
        stored_orientation = _orientation(image)
        # A JPEG decodes to 1/2, 1/4 or 1/8 for less time and memory; twice the wanted size leaves the filter its say.
        # (HEIC has drafts too, but those are other pictures: embedded thumbnails.)
        drafted = None
        if long_side and image.format in ("JPEG", "MPO"):
            target = shrunk(width, height, long_side)
            drafted = image.draft(None, (2 * target[0], 2 * target[1]))
        image.load()
        full, box = ((width, height), drafted[1]) if drafted else (image.size, (0, 0, *image.size))
        # Only now: PNG may carry EXIF after its pixels, and Pillow turns TIFF (not JPEG) upright as it loads.
        orientation = _orientation(image)
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
        to_srgb, flaw = _to_srgb(image, _unpacked_mode(image))
        rotated = (stored_orientation, orientation) != (1, 1)
        yield Picture(image, image.format or "", full, box, orientation, rotated, exif, to_srgb, flaw)


def _orientation(image: Image.Image) -> int:
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    return orientation if orientation in _UPRIGHT else 1


def _to_srgb(image: Image.Image, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The way from the embedded colour profile to sRGB, None where there is none to go; and what is wrong with it."""
    profile = image.info.get("icc_profile")
    if not profile:
        return None, ""
    try:
        return _transform(profile, mode.rstrip("A")), ""
    except (ImageCms.PyCMSError, OSError):
        return None, "Its colour profile cannot be used, so its colours are taken as sRGB."


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if ImageCms.getProfileDescription(source).startswith("sRGB"):
        return None
    return ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _unpacked_mode(image: Image.Image) -> str:
    """Which of L, LA, RGB, RGBA, CMYK holds all that the picture has, in 8 bits. Raises Unusable where none does."""
    if image.mode in _SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG"):
        return "L"
    if image.mode not in _EIGHT_BIT:
        raise Unusable(f"Its pixels ({image.mode}) are not 8-bit or 16-bit grey or colour.")
    if image.mode == "CMYK":
        return "CMYK"
    colour = "L" if image.mode in ("1", "L", "LA") else "RGB"
    return colour + "A" if image.has_transparency_data else colour


def _unpacked(image: Image.Image) -> Image.Image:
    mode = _unpacked_mode(image)
    if image.mode in _SIXTEEN_BIT or image.mode == "I":
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image if image.mode == mode else image.convert(mode)


def _on_black(image: Image.Image) -> Image.Image:
    if not image.mode.endswith("A"):
        return image
    colour = image.mode.rstrip("A")
    return Image.composite(image.convert(colour), Image.new(colour, image.size), image.getchannel("A"))
