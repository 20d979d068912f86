"""[S] Decodes the pictures of SOG files, after it has read and bounded their size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..files import bounded
from ..model.arrays import Array
from . import reading

PNG = b"\x89PNG\r\n\x1a\n"


def decoded(data: bytes, decode: Callable[[bytes], Array], size: int) -> Array:
    """(H, W, 4) uint8: the picture in `data`, a WebP or PNG from a SOG of `size` bytes. `decode` decodes it.

    Raises Damaged and ValueError.
    """
    width, height = _extent(data)
    bounded.check(4 * width * height, size)
    picture = reading.decoded(decode, data)
    if picture.shape != (height, width, 4) or picture.dtype != np.uint8:
        raise ValueError("a picture has another size than its header names")
    return picture


def _extent(data: bytes) -> tuple[int, int]:
    """Width and height by the header of a WebP (WebP container specification, section 2) or PNG (IHDR)."""
    if data.startswith(PNG):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        raise ValueError("a picture that is neither WebP nor PNG")
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise ValueError("a WebP of an unknown kind")
