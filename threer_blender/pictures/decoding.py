"""[R] Decodes picture files as a viewer shows them: upright (EXIF-rotated), 8-bit sRGB, transparency on black. Pillow.

Of raw files, the preview that the camera made is decoded. Deep TIFF, EXR and DPX have modules of their own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from ..files.photo_files import MOST_PIXELS, RAW_SUFFIXES
from ..files.sequence_files import PLATE_SUFFIXES
from ..model.arrays import UInt8Array
from . import jpeg, light, png, raw, tiff

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "HEIF", "AVIF")
JPEG_XL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")  # first bytes of such a file
END_MARKER = b"\xff\xd9"  # of a JPEG
CUT_SHORT = "It is cut short: the file ends before its picture does."

# EXIF orientation (tag 274) -> what turns the stored picture upright. 1 is upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG = frozenset({"JPEG", "MPO"})
_COMMON = frozenset({*_JPEG, "PNG", "TIFF", "WEBP", "BMP"})  # formats that Blender shows
_SELDOM = frozenset({"zstd", "lzma"})  # compressions of TIFF that Blender does not know
# Pillow's modes of pictures that can be used, by the bits of a sample.
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
# First bytes of pictures whose names may say something else: JPEG and PNG; also TIFF, which most raw files are; EXR.
_PLAIN = (b"\xff\xd8\xff", b"\x89PNG")
_TIFF = (b"II*\0", b"MM\0*")
_EXR = b"v/1\x01"
_FILMS = frozenset({b"isom", b"iso2", b"mp41", b"mp42", b"avc1", b"qt  ", b"M4V ", b"3gp4", b"3gp5"})  # brands of MP4
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBX", "RGBA", "YCbCr", "CMYK"})


@cache
def register_formats() -> None:
    """Registers all formats with Pillow, and removes its limit of pixels: we check MOST_PIXELS before decoding.

    That changes Pillow for the whole process, which is ours alone.
    """
    Image.MAX_IMAGE_PIXELS = None
    Image.init()
    pillow_heif.register_heif_opener()


def shrunk(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    """The (width, height) of a picture after shrinking its longer side to at most `long_side`, if that is given."""
    scale = min(1.0, (long_side or math.inf) / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class Unusable(Exception):
    """A file cannot be used as a photo or video, though it may decode. The text is a sentence with the reason."""


@dataclass(frozen=True)
class DecodedPicture:
    """A decoded file.

    `image` is the picture as stored, perhaps decoded smaller; `full` is its full (width, height). `box` (left, upper,
    right, lower) is the part of `image` that holds the picture. `orientation` is EXIF's. `exif` has the camera's tags.
    `to_srgb` is the conversion by an embedded colour profile. `codes` are the transfer and primaries of ITU-T H.273,
    None where they are nearly sRGB's. `plain`: any program shows the file correctly, as it is upright, in sRGB and of a
    common format. `flaw` is a sentence about a fault of the file, empty without one.
    """

    image: Image.Image
    full: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int = 1
    exif: Mapping[int, Any] = field(default_factory=dict)
    to_srgb: ImageCms.ImageCmsTransform | None = None
    codes: tuple[int, int] | None = None
    plain: bool = False
    flaw: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed."""
        width, height = self.full
        return (height, width) if self.orientation >= 5 else (width, height)

    def pixels(self, long_side: int | None) -> UInt8Array:
        """(H, W, 3) uint8 sRGB, upright, with the longer side at most `long_side`, if that is given."""
        image = _unpacked(self.image)
        size = shrunk(*self.full, long_side)
        if size != image.size:
            image = image.resize(size, Image.Resampling.LANCZOS, self.box, reducing_gap=3.0)
        image = _on_black(image)
        if self.to_srgb is not None:
            image = ImageCms.applyTransform(image, self.to_srgb) or image
        if image.mode != "RGB":  # converting RGB to RGB would copy the picture
            image = image.convert("RGB")
        if self.codes is not None:
            image = Image.fromarray(light.to_srgb(np.asarray(image).astype(np.uint16) * np.uint16(257), *self.codes))
        if self.orientation != 1:
            image = image.transpose(_UPRIGHT[self.orientation])
        return np.array(image)


def is_raw(file: Path, data: bytes) -> bool:
    """Whether a file is a camera's raw file by its name, and nothing else by its content `data`."""
    return file.suffix.lower() in RAW_SUFFIXES and not data.startswith(_PLAIN)


def is_picture(data: bytes) -> bool:
    """Whether a file begins as a JPEG, PNG, TIFF or EXR does, whatever its name says."""
    return data.startswith((*_PLAIN, *_TIFF, _EXR))


def is_video(data: bytes) -> bool:
    """Whether a file begins as a Matroska, AVI or MP4 does, whatever its name says."""
    is_mp4 = data[4:8] == b"ftyp" and data[8:12] in _FILMS
    return is_mp4 or data.startswith(b"\x1aE\xdf\xa3") or (data[:4], data[8:12]) == (b"RIFF", b"AVI ")


@contextmanager
def decoded(file: Path, data: bytes, long_side: int | None) -> Iterator[DecodedPicture]:
    """Yields the picture in a file with the content `data`. JPEGs are decoded no larger than `long_side` needs.

    Raises Unusable, and any error of the decoders.
    """
    register_formats()
    if file.suffix.lower() in PLATE_SUFFIXES and not data.startswith((*_PLAIN, *_TIFF)):
        yield _whole(Image.fromarray(_plate(file)))
    elif data.startswith(JPEG_XL):
        raise Unusable("It is a JPEG XL file, which this extension cannot read.")
    elif data.startswith(_EXR):
        raise Unusable("It is an EXR file, though its name ends otherwise.")
    elif is_raw(file, data):
        preview = raw.preview(data)
        if preview is None:
            raise Unusable(f"It is a raw file without a JPEG preview of {raw.SMALLEST} pixels or more.")
        with _by_pillow(preview.data, long_side) as picture:
            orientation = picture.orientation if picture.orientation != 1 else _valid_orientation(preview.orientation)
            yield replace(picture, orientation=orientation, exif=picture.exif or preview.camera_tags, plain=False)
    else:
        largest_first = tiff.with_largest_first(data)
        with _by_pillow(largest_first, long_side) as picture:
            # Blender shows the first one.
            yield picture if largest_first is data else replace(picture, plain=False)


def _plate(file: Path) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of an EXR or DPX file, as displayed. Raises Unusable, OSError or ValueError."""
    if find_spec("av") is None:
        raise Unusable("Reading EXR and DPX needs the Python package av, which is not here.")
    from av.error import PatchWelcomeError

    from . import plate_files

    try:
        return plate_files.pixels(file)
    except PatchWelcomeError as error:
        rest = "of a kind that cannot be read: with a rare compression, or layers alone."
        raise Unusable(f"It is a file {rest}") from error


def _whole(image: Image.Image, **facts: Any) -> DecodedPicture:
    """A picture that was decoded in full size. `facts` are more fields of it."""
    return DecodedPicture(image, image.size, (0, 0, *image.size), **facts)


@contextmanager
def _by_pillow(data: bytes, long_side: int | None) -> Iterator[DecodedPicture]:
    """As `decoded`, for all formats that Pillow knows, and for deep TIFF."""
    if data.startswith(tiff.BIG_ENDIAN_BIG):
        raise Unusable("It is a BigTIFF file with the high bytes first, which cannot be read.")
    tags = tiff.tags(data)
    try:
        deep = _deep_tiff(tags, data) if tiff.is_readable(tags) else None
        if tags and deep is None:
            Image.open(BytesIO(data), formats=FORMATS).close()
    except UnidentifiedImageError as error:
        facts = {"bits": tags.get(tiff.BITS), "photometric": tags.get(tiff.PHOTOMETRIC)}
        facts["compression"] = tags.get(tiff.COMPRESSION)
        listed = ", ".join(f"{name} {value}" for name, value in facts.items())
        raise Unusable(f"It is a TIFF file of a kind that cannot be read ({listed}).") from error
    if deep is not None:
        yield deep
        return
    with Image.open(BytesIO(data), formats=FORMATS) as image:
        _check_size(*image.size)
        if image.format in _JPEG:
            with _jpeg(image, data, long_side) as picture:
                yield picture
        else:
            rotated = _orientation(image) != 1
            image.load()
            # Only now: PNG may carry EXIF after its pixels, and Pillow turns TIFF (not JPEG) upright as it loads.
            yield _whole(image, **_facts(image, data, rotated))


def _check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        counts = (width * height // 1_000_000, MOST_PIXELS // 1_000_000)
        raise Unusable("It has {} million pixels, and {} million is the most.".format(*counts))


def _facts(image: Image.Image, data: bytes, rotated: bool = False) -> dict[str, Any]:
    """Fields of DecodedPicture from a loaded image. `rotated`: loading has already turned it upright."""
    orientation = _orientation(image)
    to_srgb, flaw = _to_srgb(image.info.get("icc_profile"), _unpacked_mode(image))
    codes = png.codes(data)
    if codes is not None:  # it counts more than a profile, which is for programs that do not know it
        to_srgb, flaw = None, ""
    elif not image.info.get("icc_profile"):
        codes = _codes(image, data)
    common = image.format in _COMMON and image.mode != "CMYK" and image.info.get("compression") not in _SELDOM
    plain = common and not rotated and orientation == 1
    return {
        "orientation": orientation,
        "exif": image.getexif().get_ifd(ExifTags.IFD.Exif),
        "to_srgb": to_srgb,
        "codes": codes,
        "plain": plain and to_srgb is None and codes is None,
        "flaw": flaw,
    }


@contextmanager
def _jpeg(image: Image.Image, data: bytes, long_side: int | None) -> Iterator[DecodedPicture]:
    """Yields a whole JPEG. It may lack its end marker, but raises Unusable where pixels are missing."""
    full = image.size
    drafted = _draft(image, long_side)
    error = None
    try:
        image.load()
        grey = image.getpixel((image.width - 1, image.height - 1)) in (128, (128, 128, 128))
    except OSError as failure:
        error, grey = failure, False
    flaw = ""
    # Missing pixels decode as grey. A file that was allocated but not fully written ends in zeros.
    doubtful = error or grey or data.endswith(bytes(16))
    ending = jpeg.ending(data) if doubtful else None
    if error and (ending is None or ending.marked):
        raise error
    if ending is not None and (grey or not ending.marked):
        if not (ending.marked or ending.complete) or not _reaches_its_end(data, ending.position):
            raise Unusable(CUT_SHORT)
        if not ending.marked:
            flaw = "The end of the file is missing, but its picture is whole."
            image = Image.open(BytesIO(data[: ending.position] + END_MARKER), formats=("JPEG",))
            drafted = _draft(image, long_side)
            image.load()
    facts = _facts(image, data)
    facts["flaw"] = " ".join(filter(None, (flaw, facts["flaw"])))
    yield DecodedPicture(image, full, drafted or (0, 0, *full), **facts)


def _draft(image: Image.Image, long_side: int | None) -> tuple[float, float, float, float] | None:
    """Asks Pillow to decode a JPEG at 1/2, 1/4 or 1/8 of its size. Returns the box of the picture in the result.

    The result is at least twice the wanted size, so that the filter that shrinks it further decides its quality.
    Returns None where the JPEG is decoded in full. (HEIC has drafts, too, but those are embedded thumbnails.)
    """
    if not long_side:
        return None
    width, height = shrunk(*image.size, long_side)
    drafted = image.draft(None, (2 * width, 2 * height))
    return drafted[1] if drafted else None


def _reaches_its_end(data: bytes, position: int) -> bool:
    """Whether a JPEG's entropy-coded data, which ends at `position`, holds all pixels: then more data changes none."""
    digests = set()
    for more in (bytes(64), bytes(range(1, 65))):
        with Image.open(BytesIO(data[:position] + more + END_MARKER), formats=("JPEG",)) as image:
            digests.add(hashlib.sha256(image.tobytes()).digest())
    return len(digests) == 1


def _deep_tiff(tags: tiff.Entries, data: bytes) -> DecodedPicture:
    _check_size(int(tags[tiff.WIDTH]), int(tags[tiff.HEIGHT]))
    exif = Image.Exif()
    if not tiff.is_big(data):  # Pillow reads no EXIF of BigTIFF
        exif.load(data)
    orientation = tags.get(ExifTags.Base.Orientation, 1)
    image = tiff.pixels(tags, data)
    to_srgb, flaw = None, "Its pixels are taken as linear light, with 1 as white."
    if not tiff.holds_light(tags):
        to_srgb, flaw = _to_srgb(tags.get(tiff.PROFILE), image.mode)
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    return _whole(image, orientation=_valid_orientation(orientation), exif=camera, to_srgb=to_srgb, flaw=flaw)


def _codes(image: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Transfer and primaries of a picture without a colour profile; None where they are nearly sRGB's.

    HEIC and AVIF name them by ITU-T H.273. Cameras name Adobe RGB in EXIF alone.
    """
    if image.getexif().get_ifd(ExifTags.IFD.Interop).get(1) == "R03":
        return light.GAMMA_22, light.ADOBE_RGB
    if image.format not in ("HEIF", "AVIF"):
        return None
    info = image.info if image.format == "HEIF" else pillow_heif.open_heif(BytesIO(data)).info
    profile = info.get("nclx_profile") or {}
    codes = int(profile.get("transfer_characteristics", 2)), int(profile.get("color_primaries", 2))
    return None if light.is_srgb(*codes) else codes


def _orientation(image: Image.Image) -> int:
    return _valid_orientation(image.getexif().get(ExifTags.Base.Orientation))


def _valid_orientation(orientation: Any) -> int:
    return orientation if orientation in _UPRIGHT else 1


def _to_srgb(profile: bytes | None, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The conversion from an embedded colour profile to sRGB, None where none is needed; and a sentence on a fault."""
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
    """The Pillow mode, one of L, LA, RGB, RGBA and CMYK, that holds the picture in 8 bits. Raises Unusable."""
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
