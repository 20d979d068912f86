"""[R] Image sequences as shots: the pixels of frames that are separate files.

Pictures are returned as 8-bit sRGB with square pixels, for viewing and tracking. The files themselves are only read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ..files import bounded, plate_headers, sequence_files
from ..model.arrays import Array, UInt8Array
from . import frame_statistics, plate_files
from .decoding import Unusable, decoded
from .frame_statistics import FrameStatistics
from .light import linear

Progress = Callable[[float], None]


class ImageSequence:
    """An image sequence. Raises OSError or ValueError where its first frame cannot be decoded.

    `numbers` are the numbers of its frames. `size` (width, height) is that of a displayed picture, with square pixels,
    and `plate_size` that in the files' own pixels. `pixel_aspect` is the width of such a pixel over its height.
    """

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
        self.size = round(width * self.pixel_aspect), height

    def __len__(self) -> int:
        """The number of frames, without missing ones."""
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

    def picture(self, number: int) -> UInt8Array:
        """(H, W, 3) uint8 sRGB of a frame as it is displayed.

        Raises OSError or ValueError where it is damaged or missing, and Unusable where its size is not the first one's.
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
        """(H, W, 3) float32 linear light of a frame, in the file's own pixels. Raises as `picture` does."""
        light = _light(self.file(number))
        if light.shape[1::-1] != self.plate_size:
            raise Unusable(f"Frame {number} is larger or smaller than frame {self.numbers[0]}.")
        return light

    def statistics(self, progress: Progress) -> FrameStatistics:
        """Measures all frames that can be decoded. `progress` takes the fraction done. Raises Unusable."""
        result = FrameStatistics()
        for done, number in enumerate(self.numbers):
            progress(done / len(self.numbers))
            with contextlib.suppress(OSError, ValueError):
                frame = av.VideoFrame.from_ndarray(self.picture(number), format="rgb24")
                result.add(number, frame_statistics.thumbnail(frame))
        return result


def _pixels(file: Path) -> UInt8Array:
    """(H, W, 3) uint8 sRGB in the file's own pixels. Raises OSError or ValueError where it is damaged."""
    if file.suffix.lower() in sequence_files.PLATE_SUFFIXES:
        return plate_files.pixels(file)
    try:
        with decoded(file, bounded.content(file), None) as picture:
            return picture.pixels(None)
    except Unusable as error:
        raise ValueError(str(error)) from error


def _light(file: Path) -> Array:
    """(H, W, 3) float32 linear light in the file's own pixels. Raises OSError or ValueError where it is damaged."""
    return plate_files.light(file) if file.suffix.lower() in sequence_files.PLATE_SUFFIXES else linear(_pixels(file))
