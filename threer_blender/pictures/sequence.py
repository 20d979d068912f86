"""[R] Image sequences as shots: the pixels of frames that are files of their own. PyAV for EXR and DPX, else Pillow.

EXR is taken as linear light with Rec. 709's primaries, logarithmic DPX as Cineon's curve. What leaves this file is
8-bit sRGB with square pixels, to look at and to track. The files themselves are only read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..files import plate_headers, sequence_files
from ..model.arrays import Array
from . import survey
from .decoding import MOST_PIXELS, Unusable, decoded
from .survey import Survey

Progress = Callable[[float], None]
Picture = npt.NDArray[np.uint8]
FLOATS = {"grayf32le": 1, "gbrpf32le": 3, "gbrapf32le": 4, "grayf16le": 1, "gbrpf16le": 3, "gbrapf16le": 4}
# Cineon: code values of 10 bits, of which 685 is white and 95 black, 0.002 density a step, gamma 0.6 (Kodak 1995).
WHITE, BLACK, DENSITY, GAMMA = 685, 95, 0.002, 0.6


class Sequence:
    """An image sequence. Raises OSError or ValueError where its first frame cannot be decoded."""

    def __init__(self, pattern: Path) -> None:
        self._files = sequence_files.frames(pattern)
        if not self._files:
            raise ValueError("its files are gone")
        self.numbers = list(self._files)
        first = self._files[self.numbers[0]]
        header = plate_headers.read(first)
        self.pixel_aspect, self._rate = header.pixel_aspect, header.frame_rate
        height, width = _pixels(first).shape[:2]
        self.plate_size = width, height
        self.size = round(width * self.pixel_aspect), height  # as displayed

    def __len__(self) -> int:
        """How many frames it has, without those that are missing."""
        return len(self.numbers)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, None where the files do not say."""
        return self._rate

    def file(self, number: int) -> Path:
        """The file of a frame. Raises ValueError where it is missing."""
        if number not in self._files:
            raise ValueError(f"frame {number} is missing")
        return self._files[number]

    def picture(self, number: int) -> Picture:
        """(H, W, 3) uint8 sRGB of a frame as it is displayed.

        Raises OSError or ValueError where it is damaged or missing, Unusable where it is larger or smaller than others.
        """
        picture = _pixels(self.file(number))
        height, width = picture.shape[:2]
        if (width, height) != self.plate_size:
            first = f"{self.numbers[0]} has {self.plate_size[0]} × {self.plate_size[1]}"
            raise Unusable(f"Frame {number} has {width} × {height} pixels, and frame {first}.")
        if self.size == self.plate_size:
            return picture
        return np.asarray(Image.fromarray(picture).resize(self.size, Image.Resampling.LANCZOS))

    def light(self, number: int) -> Array:
        """(H, W, 3) float32 linear light of a frame, in the plate's own pixels. Raises as `picture` does."""
        light = _light(self.file(number))
        if light.shape[1::-1] != self.plate_size:
            raise Unusable(f"Frame {number} is larger or smaller than frame {self.numbers[0]}.")
        return light

    def look(self, progress: Progress) -> Survey:
        """A first look through all frames that can be decoded."""
        looked = Survey()
        for done, number in enumerate(self.numbers):
            progress(done / len(self.numbers))
            with contextlib.suppress(OSError, ValueError):
                looked.add(number, survey.glance(av.VideoFrame.from_ndarray(self.picture(number), format="rgb24")))
        return looked


def _pixels(file: Path) -> Picture:
    """(H, W, 3) uint8 sRGB in the file's own pixels."""
    if file.suffix.lower() not in sequence_files.PLATE_SUFFIXES:
        with decoded(file, None) as picture:
            return picture.pixels(None)
    transfer = plate_headers.read(file).transfer
    values = _values(file)
    if transfer == plate_headers.DISPLAY:
        eight_bit: Picture = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
        return eight_bit
    return displayed(from_cineon(values) if transfer == plate_headers.LOGARITHMIC else values)


def _light(file: Path) -> Array:
    """(H, W, 3) float32 linear light: EXR as it is stored, everything else decoded."""
    if file.suffix.lower() not in sequence_files.PLATE_SUFFIXES:
        return linear(_pixels(file))
    transfer, values = plate_headers.read(file).transfer, _values(file)
    if transfer == plate_headers.LOGARITHMIC:
        return from_cineon(values)
    return values if transfer == plate_headers.LINEAR else linear(values * 255)


def _values(file: Path) -> Array:
    """(H, W, 3) float32: what the file stores, integers as shares of their largest. Raises OSError or ValueError."""
    with av.open(str(file)) as container:
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
    """The planes of a frame of floats, which lie in the order G, B, R, A; to the bit, light above 1 too."""
    kind = np.dtype("<f2" if "f16" in frame.format.name else "<f4")
    lines = [
        np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        for plane in frame.planes[:channels]
    ]
    planes = [line[: frame.height, : frame.width] for line in lines]
    green, blue, red = planes[:3] if channels >= 3 else (planes[0],) * 3
    pixels: Array = np.stack([red, green, blue], axis=-1).astype(np.float32)
    return pixels


def from_cineon(values: Array) -> Array:
    """Code values as shares of the largest -> linear light, 1 at white."""
    black = 10 ** ((BLACK - WHITE) * DENSITY / GAMMA)
    light: Array = (10 ** ((values * 1023 - WHITE) * (DENSITY / GAMMA)) - black) / (1 - black)
    return light


def linear(pixels: Array) -> Array:
    """sRGB from 0 to 255 -> float32 linear light (IEC 61966-2-1)."""
    share = np.asarray(pixels, np.float32) / 255
    light: Array = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return light


def displayed(light: Array) -> Picture:
    """Linear light -> 8-bit sRGB (IEC 61966-2-1); what is brighter than white is white."""
    light = np.nan_to_num(light, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055)
    pixels: Picture = np.rint(curve * 255).astype(np.uint8)
    return pixels
