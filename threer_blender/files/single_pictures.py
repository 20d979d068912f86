"""[S] Tells single pictures from frames of a sequence: by the file's name, or by the maker or model in its EXIF."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from . import bounded

# The names that cameras, phones and programs give single pictures, such as photos, scans and screenshots. DCF (JEITA
# CP-3461) leaves four letters before a number to the camera's maker.
_NAMES = re.compile(
    r"(_?IMG|_?MG|IMGP|MVIMG|_?DSC[FN]?|DSC|DCIM|DJI|PXL|GOPR|G[HPX]?\d{3,}|SAM|CIMG|PICT|P\d{3,}|R\d{4,}|WP|WIN|HPIM|KIMG"
    r"|EOS|PANO|PHOTO|SCAN|Screenshot|WhatsApp Image)[ _-]?\d.*|\d{8}[ _-]\d{4,}.*",
    re.IGNORECASE,
)
_JPEGS = frozenset({".jpg", ".jpeg"})
_EXIF_BYTES = 1 << 16  # are read: EXIF is in one segment at the beginning of a JPEG, which cannot be longer
_MAKE, _MODEL = 0x010F, 0x0110  # tags of EXIF that name the camera


def is_single_picture(file: Path) -> bool:
    """Whether a file is a JPEG whose name or EXIF belongs to a single picture, such as a camera's photo.

    False where the file cannot be read: whoever decodes it reports that.
    """
    if file.suffix.lower() not in _JPEGS:
        return False
    if _NAMES.fullmatch(file.stem):
        return True
    try:
        with bounded.open_regular(file) as stream:
            return _names_camera(stream.read(_EXIF_BYTES))
    except (OSError, ValueError):
        return False


def _names_camera(data: bytes) -> bool:
    """Whether the EXIF in `data`, the beginning of a JPEG, names a maker or a model."""
    start = data.find(b"Exif\0\0")
    tiff = data[start + 6 :]
    if start < 0 or tiff[:2] not in (b"II", b"MM"):
        return False
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (offset,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, offset)
        # After the count, each entry of a TIFF directory takes 12 bytes and begins with its tag.
        # After the count, each entry of a TIFF directory takes 12 bytes and begins with its tag.
        tags = [struct.unpack_from(order + "H", tiff, offset + 2 + 12 * number)[0] for number in range(count)]
    except struct.error:
        return False
    return _MAKE in tags or _MODEL in tags
