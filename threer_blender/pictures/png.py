"""[R] The colours of a PNG by its chunks, after the third edition of the specification (W3C, 2025)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from . import light

SIGNATURE = b"\x89PNG\r\n\x1a\n"
UNIT = 100_000  # the chunks gAMA and cHRM hold numbers times this
MOST_CHUNKS = 1000  # that are looked at
TOLERANCE = 0.005  # by which chromaticities of the same primaries may differ


def codes(data: bytes) -> tuple[int, int] | None:
    """Transfer and primaries of a PNG, as `light.to_srgb` takes them; None where it is no PNG, or is in sRGB or nearly.

    Of the chunks that say it, cICP comes first, then a profile (which is not looked at here), then sRGB, then gAMA with
    cHRM.
    """
    if not data.startswith(SIGNATURE):
        return None
    chunks = dict(itertools.islice(_chunks(data), MOST_CHUNKS))
    described = chunks.get(b"cICP", b"")
    if len(described) == 4:
        stated = described[1], described[0]
    elif b"iCCP" in chunks or b"sRGB" in chunks:
        return None
    else:
        stated = _transfer(chunks.get(b"gAMA", b"")), _primaries(chunks.get(b"cHRM", b""))
    return None if light.is_srgb(*stated) else stated


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields name and content of the chunks before the first one with pixels."""
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name == b"IDAT":
            return
        yield name, data[position + 8 : position + 8 + length]
        position += 12 + length


def _transfer(gamma: bytes) -> int:
    """The transfer, as `light` numbers it, that the content of gAMA states; sRGB's where there is none."""
    stated = struct.unpack(">I", gamma)[0] if len(gamma) == 4 else 0
    return light.power(UNIT / stated) if stated else light.SRGB


def _primaries(chromaticities: bytes) -> int:
    """The primaries, as `light` numbers them, that the content of cHRM states; sRGB's where they are not known."""
    if len(chromaticities) != 32:
        return light.SRGB
    stated = [value / UNIT for value in struct.unpack(">8I", chromaticities)[2:]]  # after the white point
    for number, primaries in light.WIDE.items():
        known = [value for point in primaries for value in point]
        if max(abs(one - other) for one, other in zip(stated, known, strict=True)) < TOLERANCE:
            return number
    return light.SRGB
