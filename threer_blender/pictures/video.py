"""[R] Video files at the door: which frames to work with, and their pixels. PyAV (FFmpeg).

A frame is a Photo like any other, with the video as its `path` and its number, from 1 in the order of showing, as its
`frame`. Frames leave this file upright, with square pixels, as 8-bit RGB.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..files.plate_headers import exact
from ..files.sequence_files import is_pattern
from ..model.arrays import Array
from ..model.reconstruction import Photo
from .decoding import shrunk
from .sequence import Sequence

MOST_FRAMES = 200  # of one video; with 100, a camera carried fast through rooms got lost at its turns
FEWEST_FRAMES = 8  # where hardly anything moves: enough to see that
STEP = 0.04  # of the picture's longer side: a view that moved so far is a new one
MISPLACED = 16  # frames by which a file's time stamps may be out of order
GLANCE = 256  # pixels of the longer side at which frames are compared
BLOCK = 64  # pixels of a side of the blocks whose movement is measured
TEXTURE = 3.0  # grey levels of deviation in a block whose movement can be told

USUAL_RATE = Fraction(24)  # frames per second, where the files do not say

FAULTS = (OSError, ValueError, av.FFmpegError)  # what opening and decoding a damaged video raises
Progress = Callable[[float], None]


class Film:
    """An open video file. Raises av.FFmpegError or ValueError where it holds no video that can be decoded."""

    def __init__(self, path: Path) -> None:
        self._container = av.open(str(path))
        if not self._container.streams.video:
            raise ValueError("there is no picture in it")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        packets = self._container.demux(self._stream)
        is_key = {p.pts: p.is_keyframe for p in packets if p.pts is not None and not p.is_discard}
        self._stamps = sorted(is_key)
        self._numbers = {stamp: number for number, stamp in enumerate(self._stamps, start=1)}
        self._keys = np.array([number for stamp, number in self._numbers.items() if is_key[stamp]])
        self._lock = threading.Lock()
        self._position = 0
        self._frames = self._decoded()
        first = self.frame(1)
        height, width = self.picture(1).shape[:2]
        self.size = width, height  # as displayed
        upright = first.rotation % 180 == 0
        self.plate_size = (first.width, first.height) if upright else (first.height, first.width)  # in its own pixels
        self.numbers = list(range(1, len(self._stamps) + 1))

    def __len__(self) -> int:
        """How many frames it has."""
        return len(self._stamps)

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second, None where the file does not say."""
        rate = self._stream.average_rate
        return exact(rate) if rate else None

    def picture(self, number: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 sRGB of a frame as it is displayed. Raises as `frame` does."""
        frame = self.frame(number)
        width = round(frame.width * float(self._stream.sample_aspect_ratio or 1))
        picture = frame.to_ndarray(format="rgb24", width=width, height=frame.height)
        return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))

    def plate_picture(self, number: int) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 sRGB of a frame in the file's own pixels, upright. Raises as `frame` does."""
        frame = self.frame(number)
        return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))

    def frame(self, number: int) -> av.VideoFrame:
        """The frame of that number. Raises ValueError where it is damaged, or there is none."""
        with self._lock:
            nearest_key = self._keys[self._keys <= number].max(initial=1)
            frame = self._ahead(number) if nearest_key - 1 <= self._position < number else None
            if frame is None:
                self._rewind(number)
                frame = self._ahead(number)
            if frame is None:
                raise ValueError(f"frame {number} cannot be decoded")
            return frame

    def _ahead(self, number: int) -> av.VideoFrame | None:
        """The frame where it is still to come, decoding towards it."""
        for position, frame in self._frames:
            self._position = position
            if position == number:
                return frame
            if position > number + MISPLACED:
                break
        return None

    def _rewind(self, number: int) -> None:
        """Decoding goes on from the last key frame before `number`."""
        if self._stamps:
            self._container.seek(self._stamps[number - 1], stream=self._stream)
        self._position = 0
        self._frames = self._decoded()

    def _decoded(self) -> Iterator[tuple[int, av.VideoFrame]]:
        for frame in self._container.decode(self._stream):
            if frame.pts is not None and frame.pts in self._numbers:
                yield self._numbers[frame.pts], frame

    def __iter__(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """All frames that can be decoded, with their numbers."""
        self._rewind(1)
        yield from self._frames
        self._rewind(1)


@lru_cache(maxsize=2)
def film(path: str) -> Film | Sequence:
    """The video or the image sequence at `path`, opened once: neighbouring frames are asked for one after the other."""
    return Sequence(Path(path)) if is_pattern(path) else Film(Path(path))


def pixels(path: str, number: int, long_side: int | None) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB of a frame, as `photos.pixels` gives those of a photo. Raises as Film and its `frame` do."""
    picture = Image.fromarray(film(path).picture(number))
    return np.array(picture.resize(shrunk(*picture.size, long_side), Image.Resampling.LANCZOS, reducing_gap=3.0))


def frame_name(video: str, number: int) -> str:
    """The name of a frame's photo."""
    return f"{video} {number:04d}"


def choose(path: Path, name: str, digest: str, progress: Progress) -> list[Photo]:
    """The frames of a video to work with: sharp ones, a small step of view apart, at most MOST_FRAMES.

    Time counts for nothing: a camera that rests gives one frame, a fast one many. Raises what Film does.
    """
    source = film(str(path))
    numbers: list[int] = []
    sharpness: list[float] = []
    views: list[int] = []
    reference: Array | None = None
    for number, frame in source:
        progress(len(numbers) / len(source))
        grey = _glance(frame)
        if reference is None or movement(reference, grey) > STEP * GLANCE:
            reference = grey
            views.append(len(numbers))
        numbers.append(number)
        sharpness.append(_sharpness(grey))
    chosen = [numbers[i] for i in _sharpest(np.array(sharpness), views)]
    digests = [hashlib.sha256(f"{digest} {number}".encode()).hexdigest() for number in chosen]
    return [
        Photo(frame_name(name, number), str(path), *source.size, digest, frame=number)
        for number, digest in zip(chosen, digests, strict=True)
    ]


def _sharpest(sharpness: Array, views: list[int]) -> list[int]:
    """The index of the sharpest frame in each view, for as many views as are wanted; `views` are where they begin."""
    if len(views) < FEWEST_FRAMES:
        views = np.unique(np.linspace(0, len(sharpness), FEWEST_FRAMES + 1)[:-1].astype(int)).tolist()
    chosen = [begin + int(np.argmax(part)) for begin, part in zip(views, np.split(sharpness, views[1:]), strict=True)]
    if len(chosen) <= MOST_FRAMES:
        return chosen
    return [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_FRAMES).round().astype(int)]


def _glance(frame: av.VideoFrame) -> Array:
    """(h, w) float32: the frame in grey, its longer side GLANCE pixels."""
    scale = GLANCE / max(frame.width, frame.height)
    size = {"width": max(BLOCK, round(frame.width * scale)), "height": max(BLOCK, round(frame.height * scale))}
    return frame.reformat(format="gray8", **size).to_ndarray().astype(np.float32)


def _sharpness(grey: Array) -> float:
    """Mean square of the Laplacian: falls with blur, of motion or of focus."""
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float((laplacian**2).mean())


def movement(first: Array, second: Array) -> float:
    """Pixels by which most of a picture moved: the median over blocks, by phase correlation (Kuglin & Hines 1975).

    The median passes over things that move before a camera that stands still.
    """
    window = np.outer(np.hanning(BLOCK), np.hanning(BLOCK))
    a, b = (_blocks(picture) for picture in (first, second))
    textured = a.std(axis=(1, 2)) > TEXTURE
    if not textured.any():
        return 0.0
    spectra = [np.fft.rfft2((x[textured] - x[textured].mean(axis=(1, 2), keepdims=True)) * window) for x in (a, b)]
    cross = spectra[1] * spectra[0].conj()
    peaks = np.fft.irfft2(cross / np.maximum(np.abs(cross), 1e-9), s=(BLOCK, BLOCK)).reshape(len(cross), -1).argmax(1)
    shifts = np.stack(np.unravel_index(peaks, (BLOCK, BLOCK)), axis=1)
    shifts = (shifts + BLOCK // 2) % BLOCK - BLOCK // 2
    return float(np.median(np.linalg.norm(shifts, axis=1)))


def _blocks(picture: Array) -> Array:
    """(N, BLOCK, BLOCK): the picture's tiles, without what is left over at its right and lower sides."""
    rows, columns = (side // BLOCK for side in picture.shape)
    tiles: Array = picture[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    return tiles.reshape(-1, BLOCK, BLOCK)
