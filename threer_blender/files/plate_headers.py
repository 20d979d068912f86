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
NOT_LINES = 0x1A00  # flags of the EXR version: tiles, deep pixels, several parts
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
    """Whether an EXR file of lines lacks some of its last ones, or was never finished. False for all other files.

    Raises OSError, and ValueError where the header is damaged.
    """
    with bounded.open_regular(file) as stream:
        data, size = stream.read(LARGEST_HEADER), file.stat().st_size
        if data[:4] != EXR_MAGIC or struct.unpack_from("<I", data, 4)[0] & NOT_LINES:
            return False
        attributes, position = _attributes(data)
        window, compression = attributes.get(b"dataWindow", b""), attributes.get(b"compression", b"\xff")[0]
        if len(window) != 16 or compression not in EXR_LINES:
            return False
        _, top, _, bottom = struct.unpack("<4i", window)
        chunks = (bottom - top) // EXR_LINES[compression] + 1
        if not 0 < chunks <= size // 8:
            return True
        stream.seek(position + 1)  # after the zero that ends the header
        offsets = struct.unpack(f"<{chunks}Q", stream.read(8 * chunks).ljust(8 * chunks, b"\0"))
        last = max(offsets)
        stream.seek(min(last, size))
        chunk = stream.read(8)
        return min(offsets) == 0 or len(chunk) < 8 or last + 8 + struct.unpack("<iI", chunk)[1] > size


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


def _attributes(data: bytes) -> tuple[dict[bytes, bytes], int]:
    """An EXR header's attributes by name, and where they end. Raises ValueError where it is damaged."""
    attributes: dict[bytes, bytes] = {}
    position = 8
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
