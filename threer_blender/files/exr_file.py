"""[S] Writes OpenEXR pictures of 16-bit or 32-bit floats: scan lines, ZIP compression.

Source: openexr.com, "OpenEXR File Layout".
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MAGIC = bytes.fromhex("762f3101") + struct.pack("<I", 2)  # the format's number, and its version
ZIP = 3  # the compression's number
LINES = 16  # that ZIP compresses at a time
TYPES = {"float16": 1, "float32": 2}  # numbers of pixel types
RGB = "RGB"


def write(path: Path, picture: npt.NDArray[Any], pixel_aspect: float = 1.0) -> None:
    """Writes `picture` (H, W, 3), float16 or float32: red, green, blue, top row first. Raises OSError.

    `pixel_aspect` is the width of a pixel over its height.
    """
    height, width = picture.shape[:2]
    chunks = [_chunk(picture[top : top + LINES], top) for top in range(0, height, LINES)]
    header = MAGIC + _header(width, height, TYPES[picture.dtype.name], pixel_aspect)
    offsets, position = [], len(header) + 8 * len(chunks)
    for chunk in chunks:
        offsets.append(position)
        position += len(chunk)
    with path.open("wb") as stream:
        stream.write(header + struct.pack(f"<{len(offsets)}Q", *offsets))
        stream.writelines(chunks)


def _header(width: int, height: int, pixel_type: int, pixel_aspect: float) -> bytes:
    # Of each channel: its name, type, a hint for lossy compression (none), and its sampling in x and y.
    channels = b"".join(name.encode() + b"\0" + struct.pack("<IIII", pixel_type, 0, 1, 1) for name in sorted(RGB))
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = (
        ("channels", "chlist", channels + b"\0"),
        ("compression", "compression", bytes([ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", pixel_aspect)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )
    return (
        b"".join(
            name.encode() + b"\0" + type_name.encode() + b"\0" + struct.pack("<I", len(value)) + value
            for name, type_name, value in attributes
        )
        + b"\0"
    )


def _chunk(lines: npt.NDArray[Any], top: int) -> bytes:
    """A chunk of up to LINES rows. Row by row, the channels follow each other.

    Before zlib packs them, the bytes are split into those at even and at odd places, and replaced by differences.
    """
    planes = np.stack([lines[..., RGB.index(name)] for name in sorted(RGB)], axis=1)  # line, channel, column
    raw = np.frombuffer(planes.astype(planes.dtype.newbyteorder("<")).tobytes(), np.uint8)
    halves = np.concatenate([raw[0::2], raw[1::2]]).astype(np.int16)
    predicted = np.concatenate([halves[:1], np.diff(halves) + 128]).astype(np.uint8)
    packed = zlib.compress(predicted.tobytes(), 6)
    data = packed if len(packed) < len(raw) else raw.tobytes()  # unpacked where packing does not shrink it
    return struct.pack("<iI", top, len(data)) + data
