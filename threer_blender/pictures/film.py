"""[R] Video files as shots: the pixels of each frame, upright, in 8-bit sRGB.

Frames are numbered from 1: frame k is the k-th picture of the film in display order (`film_index`).
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Colorspace
from PIL import Image

from ..files.plate_headers import plausible_aspect
from ..model.arrays import UInt8Array
from . import frame_statistics, light
from .decoder import FAULTS, Decoder
from .film_index import check_unchanged, index
from .frame_statistics import FrameStatistics

HD = (1280, 720)  # an untagged film of at least this width or height is decoded by BT.709's matrix, others by BT.601's
UNSPECIFIED = (2, 3)  # codes of ITU-T H.273 for a matrix that is not specified
MOST_KEYS_BACK = 2  # a jump goes at most to the second key frame before the nearest one
MOST_UNKNOWN = 64  # frames that the index does not know: after more of them, a jump has failed
INTERLACED_SHARE = 0.5  # share of frames with two fields above which a film may be interlaced
MOST_MOVING = 5  # frames in which the two fields are compared
COMB, COMBED = 10, 0.02  # grey levels by which a pixel stands out, and the share of such pixels in a combed frame


class Film:
    """An open video file. Opening raises as `film_index.index` and `frame` do.

    `numbers` are the numbers of the frames that can be decoded. `size` (width, height) is that of a displayed picture,
    upright and with square pixels. `plate_size` is the upright size in the file's own pixels. `matrix` is the display
    matrix a, b, c, d; `transfer` and `primaries` are codes of ITU-T H.273.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.index = index(path)
        self.numbers = self.index.statistics.numbers
        self._lock = threading.Lock()
        self._frames: Iterator[tuple[int, av.VideoFrame]] = iter(())
        self._position = 0  # the number of the last frame that was decoded
        # In some files a jump to a key frame ends behind it. Then jumps go to an earlier key frame, by so many keys.
        self._keys_back = 0
        self._restart()
        first = self.frame(self.numbers[0])
        self.matrix = _display_matrix(first)
        self.transfer, self.primaries = int(first.color_trc), int(first.color_primaries)
        self.is_interlaced = self.index.interlaced > INTERLACED_SHARE * len(self.numbers) and self._has_combs()
        aspect = self._decoder.stream.sample_aspect_ratio
        width = round(first.width * plausible_aspect(float(aspect) if aspect else 1.0))
        sizes = ((width, first.height), (first.width, first.height))
        swapped = _swaps(self.matrix)
        self.size, self.plate_size = (size[::-1] if swapped else size for size in sizes)

    def __len__(self) -> int:
        """The number of frames that can be decoded."""
        return len(self.numbers)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, None where the file does not say."""
        return self.index.frame_rate

    @property
    def statistics(self) -> FrameStatistics:
        """The statistics of the film's frames."""
        return self.index.statistics

    def picture(self, number: int) -> UInt8Array:
        """(H, W, 3) uint8 sRGB of a frame as it is displayed, with square pixels. Raises as `frame` does."""
        picture = self.unscaled_picture(number)
        if self.size == self.plate_size:
            return picture
        return np.asarray(Image.fromarray(picture).resize(self.size, Image.Resampling.LANCZOS))

    def unscaled_picture(self, number: int) -> UInt8Array:
        """(H, W, 3) uint8 sRGB of a frame in the file's own pixels, upright. Raises as `frame` does."""
        frame = self.frame(number)
        return upright(_upper_field(frame) if self.is_interlaced else rgb(frame), self.matrix)

    def frame(self, number: int) -> av.VideoFrame:
        """The frame of this number, as decoded.

        Raises ValueError where it is missing or the film was replaced, and OSError where the film is gone.
        """
        check_unchanged(self.path)
        with self._lock:
            near = self._position < number and (self._key(number) or 0) <= self._position + 1
            frame = self._decode_to(number) if near else None
            frame = frame or self._jump_to(number) or self._restart_to(number)
        if frame is None:
            raise ValueError(f"frame {number} cannot be decoded")
        return frame

    def _key(self, number: int) -> int | None:
        """The number of the key frame to jump to for a frame; None where decoding must start at the first frame."""
        nth = bisect_right(self.index.keys, number) - 1 - self._keys_back
        return self.index.keys[nth] if nth >= 0 and self._keys_back <= MOST_KEYS_BACK else None

    def _has_combs(self) -> bool:
        """Whether the two fields of a frame show two moments. Many films claim fields but hold whole pictures.

        The frames that change most are examined. A pixel stands out if it is brighter, or darker, than the pixels above
        and below. A frame with many such pixels is combed.
        """
        moving = np.argsort(self.statistics.changes)[-MOST_MOVING:]
        for number in sorted(self.numbers[nth] for nth in moving):
            grey = self.frame(number).reformat(format="gray8").to_ndarray().astype(np.int32)
            above, line, below = grey[:-2], grey[1:-1], grey[2:]
            if ((above - line) * (below - line) > COMB**2).mean() > COMBED:
                return True
        return False

    def _decode_to(self, number: int) -> av.VideoFrame | None:
        """Decodes onwards to the frame `number`; None where it does not come."""
        for position, frame in self._frames:
            self._position = position
            if position == number:
                return frame
            if position > number:
                break
        return None

    def _jump_to(self, number: int) -> av.VideoFrame | None:
        """Jumps to a key frame and decodes from there to the frame `number`; None where no jump leads to it.

        After a jump that fails, this and all later jumps go one key frame further back.
        """
        while (key := self._key(number)) is not None:
            stamp = self.index.stamps[bisect_right(self.numbers, key) - 1]
            try:
                if stamp is not None:
                    self._decoder.container.seek(stamp, stream=self._decoder.stream)
                    self._position, self._frames = 0, self._recognised()
                    if (frame := self._decode_to(number)) is not None:
                        return frame
            except FAULTS:
                pass
            self._keys_back += 1
        return None

    def _recognised(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yields the number and the frame of each frame after a jump that the index knows.

        The first frames after a jump may depend on frames that were not decoded. Then they look different and are
        unknown.
        """
        unknown = 0
        for frame in self._decoder.frames():
            number = self.index.number_of.get((frame.pts, frame_statistics.digest(frame_statistics.thumbnail(frame))))
            if number is not None:
                yield number, frame
            unknown += number is None
            if unknown > MOST_UNKNOWN:
                return

    def _restart_to(self, number: int) -> av.VideoFrame | None:
        """Decodes from the start of the file to the frame `number`; None where it does not come."""
        if number not in self.numbers:
            return None
        self._restart()
        return self._decode_to(number)

    def _restart(self) -> None:
        """Opens the file anew, so that decoding begins at the first frame."""
        self._decoder = Decoder(self.path, self.index.threaded)
        self._position, self._frames = 0, iter(zip(self.numbers, self._decoder.frames(), strict=False))


def rgb(frame: av.VideoFrame) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of a frame as stored: neither rotated nor scaled."""
    codes = int(frame.color_trc), int(frame.color_primaries)
    if light.is_srgb(*codes):
        return np.asarray(frame.to_ndarray(format="rgb24", src_colorspace=_matrix(frame)), np.uint8)
    deep = np.asarray(frame.to_ndarray(format="rgb48le", src_colorspace=_matrix(frame)), np.uint16)
    return light.to_srgb(deep, *codes)


def _matrix(frame: av.VideoFrame) -> int:
    """The code (ITU-T H.273) of the matrix between a frame's RGB and its stored components.

    Where the frame does not name it, the frame's size decides (HD).
    """
    if frame.colorspace not in UNSPECIFIED:
        return frame.colorspace
    is_hd = frame.width >= HD[0] or frame.height >= HD[1]
    return int(Colorspace.ITU709 if is_hd else Colorspace.ITU601)


def upright(picture: UInt8Array, matrix: tuple[int, int, int, int]) -> UInt8Array:
    """The picture (H, W, 3), rotated and mirrored for display by a, b, c, d of a track's matrix (ISO 14496-12)."""
    a, b, c, d = matrix
    if _swaps(matrix):
        picture = picture.transpose(1, 0, 2)
    right, down = (c, b) if _swaps(matrix) else (a, d)
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if right < 0 else 1])


def _swaps(matrix: tuple[int, int, int, int]) -> bool:
    """Whether a track's matrix a, b, c, d turns rows into columns."""
    a, b, c, d = map(abs, matrix)
    return b + c > a + d


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The numbers a, b, c, d of a frame's display matrix, which takes (x, y) to (a x + c y, b x + d y).

    Only their signs and ratios count: the file scales them by 65,536.
    """
    side_data: Any = frame.side_data  # its stub knows other keys
    data = side_data.get(Type.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    values = np.frombuffer(data, np.int32)
    return int(values[0]), int(values[1]), int(values[3]), int(values[4])


def _upper_field(frame: av.VideoFrame) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of the upper field of a frame of two fields.

    The mean of the lines above and below replaces each line of the lower field.
    """
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1))
    field, sink = graph.add("field", "type=top"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    graph.push(frame)
    pulled = graph.pull()
    assert isinstance(pulled, av.VideoFrame)
    lines = rgb(pulled)
    picture = np.repeat(lines, 2, axis=0)[: frame.height]
    between = (lines[:-1].astype(np.uint16) + lines[1:]) // 2
    picture[1 : 2 * len(between) : 2] = between
    return picture
