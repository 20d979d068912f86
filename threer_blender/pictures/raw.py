"""[R] Camera raw files: the largest JPEG preview in one, and the raw file's own EXIF.

Raw files of all makers hold such previews, mostly in full size, developed by the camera's settings. Each maker puts
them elsewhere, so they are found by the markers of JPEG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from . import jpeg

MOST_CANDIDATES = 10_000  # places at which a JPEG may begin that are looked at
SMALLEST = 640  # pixels of the longer side; smaller previews were made for the camera's menu
FEWEST_TILES = 3  # from so many JPEGs of one size on, they are tiles of the sensor's picture, and no previews
_MAGIC = {b"II": b"II*\0", b"MM": b"MM\0*"}  # byte order -> the first bytes of a TIFF


class Preview(NamedTuple):
    """A preview: its JPEG, with all that follows it in the file, and the raw file's own EXIF orientation and tags."""

    data: bytes
    orientation: int
    camera_tags: Mapping[int, Any]


def preview(data: bytes) -> Preview | None:
    """The largest preview in a raw file; None where none has a useful size. Raises Pillow's errors of reading tags."""
    sizes: dict[int, tuple[int, int]] = {}
    start = -1
    for _ in range(MOST_CANDIDATES):
        start = data.find(b"\xff\xd8\xff", start + 1)
        if start < 0:
            break
        size = jpeg.size(data, start)
        if size is not None and max(size) >= SMALLEST:
            sizes[start] = size
    count_of = Counter(sizes.values())
    previews = {start: size for start, size in sizes.items() if count_of[size] < FEWEST_TILES}
    if not previews:
        return None
    largest = max(previews, key=lambda start: previews[start][0] * previews[start][1])
    return Preview(data[largest:], *_tags(data))


def _tags(data: bytes) -> tuple[int, Mapping[int, Any]]:
    """Orientation and camera's tags of a raw file with the structure of TIFF or of Canon's CR3; else 1 and no tags."""
    if data[4:8] == b"ftyp":
        camera = _exif(_box(data, b"CMT2"))
        return _exif(_box(data, b"CMT1")).get(ExifTags.Base.Orientation, 1), dict(camera)
    exif = _exif(data)
    return exif.get(ExifTags.Base.Orientation, 1), exif.get_ifd(ExifTags.IFD.Exif)


def _box(data: bytes, name: bytes) -> bytes:
    """The data from the content of the box `name` on, if it is near the beginning of a CR3 file; else empty."""
    position = data.find(name, 0, 1 << 20)
    return data[position + len(name) :] if position >= 0 else b""


def _exif(data: bytes) -> Image.Exif:
    """The tags of data with the structure of TIFF, whose magic number may be the maker's own."""
    exif = Image.Exif()
    if data[:2] in _MAGIC:
        exif.load(_MAGIC[data[:2]] + data[4:])
    return exif
