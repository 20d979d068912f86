"""[S] Reads the headers of EXR and DPX plates: frame rate, pixel aspect, and transfer function.

Layouts: openexr.com ("OpenEXR File Layout") and SMPTE ST 268-1 (DPX 2.0).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from . import bounded

LARGEST_HEADER = 1 << 20  # bytes that are read
EXR_MAGIC = bytes.fromhex("762f3101")
TILED, DEEP, PARTS = 0x200, 0x800, 0x1000  # flags of the EXR version
EXR_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}  # compression -> lines of a chunk
DPX_ORDERS = {b"SDPX": ">", b"XPDS": "<"}
LOGARITHMIC, LINEAR, DISPLAY = "logarithmic", "linear", "display"
DPX_TRANSFERS = {1: LOGARITHMIC, 2: LINEAR, 3: LOGARITHMIC}  # 1 is printing density; all other codes mean DISPLAY


@dataclass(frozen=True)
class Header:
    """The facts in a plate's header.

    `frame_rate` is in frames per second, None where the file does not say. `pixel_aspect` is the width of a pixel over
    its height. `transfer` is how values stand for light: LOGARITHMIC (Cineon's), LINEAR or DISPLAY (sRGB's).
    """

    frame_rate: Fraction | None = None
    pixel_aspect: float = 1.0
    transfer: str = DISPLAY


def read(file: Path) -> Header:
    """The header of an EXR or DPX file; the defaults for other formats.

    Raises OSError, and ValueError where the header is damaged.
    """
    if file.suffix.lower() not in (".exr", ".dpx"):
        return Header()
    with bounded.open_regular(file) as stream:
        data = stream.read(LARGEST_HEADER)
    if data[:4] == EXR_MAGIC:
        return _exr(data)
    if data[:4] in DPX_ORDERS and len(data) >= 2048:
        return _dpx(data, DPX_ORDERS[data[:4]])
    raise ValueError("it is no EXR or DPX file")


def is_cut(file: Path) -> bool:
    """Whether an EXR file lacks some of its last lines or tiles, or was never finished. Of several parts, the first one
    counts. False for all other files, and for deep pixels.

    Raises OSError, and ValueError where the header is damaged.
    """
    with bounded.open_regular(file) as stream:
        data, size = stream.read(LARGEST_HEADER), file.stat().st_size
        flags = struct.unpack_from("<I", data, 4)[0] if data[:4] == EXR_MAGIC and len(data) >= 8 else DEEP
        if flags & DEEP:
            return False
        attributes, position = _attributes(data)
        tiled = bool(flags & TILED) or attributes.get(b"type", b"").startswith(b"tiled")
        chunks = _chunks(attributes, tiled)
        if chunks is None:
            return False
        if not 0 < chunks <= size // 8:
            return True
        position += 1  # after the zero that ends the header
        if flags & PARTS:
            while position < len(data) and data[position]:
                position = _attributes(data, position)[1] + 1
            position += 1
        stream.seek(position)
        offsets = struct.unpack(f"<{chunks}Q", stream.read(8 * chunks).ljust(8 * chunks, b"\0"))
        # A chunk begins with the number of its part, its place, and the size of its pixels.
        before_size = 4 * bool(flags & PARTS) + (16 if tiled else 4)
        last = max(offsets)
        stream.seek(min(last + before_size, size))
        (length,) = struct.unpack("<I", stream.read(4).ljust(4, b"\xff"))
        return bool(min(offsets) == 0 or last + before_size + 4 + length > size)


def _chunks(attributes: dict[bytes, bytes], tiled: bool) -> int | None:
    """The number of chunks of lines, or of tiles in full size. None where the header does not tell."""
    window, compression = attributes.get(b"dataWindow", b""), attributes.get(b"compression", b"\xff")[0]
    tiles = attributes.get(b"tiles", b"")
    if len(window) != 16 or compression not in EXR_LINES or (tiled and len(tiles) != 9):
        return None
    left, top, right, bottom = struct.unpack("<4i", window)
    across, down = struct.unpack_from("<II", tiles) if tiled else (right - left + 1, EXR_LINES[compression])
    return int(((right - left) // max(across, 1) + 1) * ((bottom - top) // max(down, 1) + 1))


def exact_rate(rate: float | Fraction) -> Fraction:
    """The fraction that a frame rate was rounded from: 24000/1001 for 23.976."""
    whole = max(1, round(rate))
    candidates = (Fraction(whole), Fraction(whole * 1000, 1001))
    nearest = min(candidates, key=lambda candidate: abs(float(rate) - candidate))
    return nearest if abs(float(rate) / nearest - 1) < 2e-4 else Fraction(rate).limit_denominator(10_000)


def _exr(data: bytes) -> Header:
    attributes, _ = _attributes(data)
    rate, aspect = None, 1.0
    if len(value := attributes.get(b"framesPerSecond", b"")) == 8:
        above, below = struct.unpack("<iI", value)
        rate = Fraction(above, below) if above > 0 and below else None
    if len(value := attributes.get(b"pixelAspectRatio", b"")) == 4:
        (aspect,) = struct.unpack("<f", value)
    return Header(rate, plausible_aspect(aspect), LINEAR)


def _attributes(data: bytes, position: int = 8) -> tuple[dict[bytes, bytes], int]:
    """The attributes by name of the EXR header at `position`, and where they end. Raises ValueError where it is
    damaged."""
    attributes: dict[bytes, bytes] = {}
    while position < len(data) and data[position]:
        name, _, start = _text(data, position)
        (length,) = struct.unpack_from("<I", data, start)
        value = data[start + 4 : start + 4 + length]
        if len(value) < length:
            if len(data) < LARGEST_HEADER:
                raise ValueError("its header ends too early")
            break  # the rest of a very long header was not read
        attributes[name] = value
        position = start + 4 + length
    return attributes, position


def _text(data: bytes, position: int) -> tuple[bytes, bytes, int]:
    """The name and type of the attribute at `position`, and the position of its length. Raises ValueError."""
    name_end = data.index(b"\0", position)
    kind_end = data.index(b"\0", name_end + 1)
    if kind_end + 5 > len(data):
        raise ValueError("its header ends too early")
    return data[position:name_end], data[name_end + 1 : kind_end], kind_end + 1


def _dpx(data: bytes, order: str) -> Header:
    rates = (struct.unpack_from(f"{order}f", data, offset)[0] for offset in (1724, 1940))  # film's, television's
    rate = next((exact_rate(value) for value in rates if math.isfinite(value) and 1 <= value <= 1000), None)
    across, down = struct.unpack_from(f"{order}II", data, 1628)  # the pixel aspect as a ratio
    undefined = 0xFFFFFFFF in (across, down) or not across or not down
    transfer = DPX_TRANSFERS.get(data[801], DISPLAY)  # of the first image element
    return Header(rate, 1.0 if undefined else plausible_aspect(across / down), transfer)


def plausible_aspect(aspect: float) -> float:
    """The pixel aspect that a file names, or 1 where no camera has such pixels."""
    return aspect if math.isfinite(aspect) and 0.25 <= aspect <= 4 else 1.0
