"""[R] Camera raw files: the largest JPEG that the camera put into one, and what the file says of it.

Raw files of all makers hold such previews, mostly in full size, developed as the camera was set. They lie where each
maker wants them, so they are looked for by the markers of JPEG.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from . import jpeg

MOST_CANDIDATES = 10_000
SMALLEST = 640  # pixels of the longer side: what is smaller was made for the camera's menu
TILES = 3  # JPEGs of one size: parts of the sensor's picture
_MAGIC = {b"II": b"II*\0", b"MM": b"MM\0*"}


class Preview(NamedTuple):
    """A JPEG with what follows it in the file, and the raw file's own EXIF: which way up, and the camera's tags."""

    data: bytes
    orientation: int
    camera: Mapping[int, Any]


def preview(data: bytes) -> Preview | None:
    """The largest preview in a raw file; None where there is none of a useful size. Raises what Pillow does of tags."""
    sizes: dict[int, tuple[int, int]] = {}
    start = -1
    for _ in range(MOST_CANDIDATES):
        start = data.find(b"\xff\xd8\xff", start + 1)
        if start < 0:
            break
        size = jpeg.size(data, start)
        if size is not None and max(size) >= SMALLEST:
            sizes[start] = size
    often = Counter(sizes.values())
    alone = {start: size for start, size in sizes.items() if often[size] < TILES}
    if not alone:
        return None
    largest = max(alone, key=lambda start: alone[start][0] * alone[start][1])
    return Preview(data[largest:], *_tags(data))


def _tags(data: bytes) -> tuple[int, Mapping[int, Any]]:
    """Orientation and camera's tags of a file that is built as TIFF is, or of Canon's CR3; 1 and none of others."""
    if data[4:8] == b"ftyp":
        camera = _exif(_box(data, b"CMT2"))
        return _exif(_box(data, b"CMT1")).get(ExifTags.Base.Orientation, 1), dict(camera)
    exif = _exif(data)
    return exif.get(ExifTags.Base.Orientation, 1), exif.get_ifd(ExifTags.IFD.Exif)


def _box(data: bytes, name: bytes) -> bytes:
    """The content of a box, by its name, which stands near the beginning; empty where there is none."""
    position = data.find(name, 0, 1 << 20)
    return data[position + len(name) :] if position >= 0 else b""


def _exif(data: bytes) -> Image.Exif:
    """The tags of TIFF data, whatever the maker's own magic number."""
    exif = Image.Exif()
    if data[:2] in _MAGIC:
        exif.load(_MAGIC[data[:2]] + data[4:])
    return exif
