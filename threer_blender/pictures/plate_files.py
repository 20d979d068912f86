"""[R] Reads EXR and DPX files: as linear light, or as displayed. PyAV.

EXR is taken as linear light with Rec. 709's primaries, and logarithmic DPX as Cineon's curve.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from ..files import bounded, plate_headers
from ..files.photo_files import MOST_PIXELS
from ..model.arrays import Array, UInt8Array
from .light import displayed, from_cineon, linear

FORMATS = {".exr": "exr_pipe", ".dpx": "dpx_pipe"}
# FFmpeg's names of pixel formats of floats -> the number of channels.
FLOATS = {"grayf32le": 1, "gbrpf32le": 3, "gbrapf32le": 4, "grayf16le": 1, "gbrpf16le": 3, "gbrapf16le": 4}


def pixels(file: Path) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of an EXR or DPX file, as displayed. Raises OSError or ValueError."""
    transfer, values = plate_headers.read(file).transfer, _values(file)
    if transfer == plate_headers.DISPLAY:
        eight_bit: UInt8Array = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return eight_bit
    return displayed(from_cineon(values) if transfer == plate_headers.LOGARITHMIC else values)


def light(file: Path) -> Array:
    """(H, W, 3) float32 linear light: EXR as stored, DPX decoded. Raises OSError or ValueError."""
    transfer, values = plate_headers.read(file).transfer, _values(file)
    if transfer == plate_headers.LOGARITHMIC:
        return from_cineon(values)
    return values if transfer == plate_headers.LINEAR else linear(values * 255)


def _values(file: Path) -> Array:
    """(H, W, 3) float32: the stored values, integers divided by their largest. Raises OSError or ValueError."""
    if plate_headers.is_cut(file):  # FFmpeg would leave the missing lines black
        raise ValueError("it ends too early")
    # FFmpeg gets no name: it would take %d in it, or a * in its folder, for that of many files.
    with (
        bounded.open_regular(file) as opened,
        av.open(opened, mode="r", format=FORMATS[file.suffix.lower()]) as container,
    ):
        if not container.streams.video:
            raise ValueError("there is no picture in it")
        stream = container.streams.video[0]
        if stream.width * stream.height > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS // 1_000_000} million pixels")
        frame = next(container.decode(stream), None)
    if frame is None:
        raise ValueError("there is no picture in it")
    if frame.format.name in FLOATS:
        return _floats(frame, FLOATS[frame.format.name])
    return frame.to_ndarray(format="rgb48le").astype(np.float32) / 65535


def _floats(frame: av.VideoFrame, channels: int) -> Array:
    """(H, W, 3) float32 R, G, B of a frame of floats, bit for bit. Its planes are in the order G, B, R, A."""
    kind = np.dtype("<f2" if "f16" in frame.format.name else "<f4")
    lines = [
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        for plane in frame.planes[:channels]
    ]
    planes = [line[: frame.height, : frame.width] for line in lines]
    green, blue, red = planes[:3] if channels >= 3 else (planes[0],) * 3
    pixels: Array = np.stack([red, green, blue], axis=-1).astype(np.float32)
    return pixels
