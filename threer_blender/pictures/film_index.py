"""[R] The index of a film: its frames in display order, and the key frames from which each can be decoded again.

The film is decoded once. Frame k is the k-th picture that the decoder returns. Time stamps do not give the numbers:
they are wrong or absent in many files. But where a picture cannot be decoded, they show the hole, and the other frames
keep their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np

from ..files.plate_headers import exact_rate
from ..model.arrays import Array
from . import frame_statistics
from .decoder import Decoder
from .decoding import Unusable
from .frame_statistics import FrameStatistics

OVERSTATED = 2  # frames by which programs overstate the length of files that are whole
UNEVEN = 0.25  # frames: time stamps that differ more from those of an even rate are uneven
Progress = Callable[[float], None]


@dataclass
class Index:
    """The index of a film. Lists are in display order, and hold only frames that can be decoded.

    `statistics.numbers` are the frames' numbers, from 1 on. `stamps` are their time stamps in units of `time_base`
    seconds, `digests` identify their pictures, and `keys` are the numbers of key frames, at which decoding can start.

    The file states the `rates`, the likeliest first, the first time stamp `start`, and the length in `seconds`, NaN
    where it states none. `absent` is the number of frames that it lacks at its end, by its own statement. `interlaced`
    counts frames of two fields. `threaded`: several threads can decode the film without faults.
    """

    container: str
    threaded: bool
    time_base: Fraction
    start: int | None
    rates: list[Fraction]
    seconds: float
    absent: int = 0
    interlaced: int = 0
    status: tuple[int, int] = (0, 0)  # size in bytes and time of writing in ns
    statistics: FrameStatistics = field(default_factory=FrameStatistics)
    stamps: list[int | None] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    @cached_property
    def number_of(self) -> dict[tuple[int | None, int], int]:
        """(stamp, digest) -> the frame's number."""
        return dict(zip(zip(self.stamps, self.digests, strict=True), self.statistics.numbers, strict=True))

    @cached_property
    def times(self) -> Array | None:
        """(F,) seconds at which the frames are displayed, rising; None where the stamps are missing or do not rise."""
        if None in self.stamps:
            return None
        stamps = np.array(self.stamps, np.float64)
        return stamps * float(self.time_base) if (np.diff(stamps) > 0).all() else None

    @cached_property
    def frame_rate(self) -> Fraction | None:
        """Frames per second; the mean of the film where the rate varies; None where it is unknown."""
        mean = self._mean_rate()
        if mean is None:
            return exact_rate(self.rates[0]) if self.rates else None
        for rate in self.rates:
            if self.times is not None and np.abs(self._lateness(rate)).max() < UNEVEN:
                return exact_rate(rate)
        # Without the times, the evenness cannot be checked: a stated rate counts where it is near the mean.
        near = [rate for rate in self.rates if self.times is None and abs(float(rate) / mean - 1) < 0.1]
        return exact_rate(near[0] if near else mean)

    def is_even(self) -> bool:
        """Whether the frames follow each other at an even rate. True, too, where the file does not say."""
        rate = self.frame_rate
        return self.times is None or rate is None or bool(np.abs(self._lateness(rate)).max() < UNEVEN)

    def _lateness(self, rate: Fraction) -> Array:
        """(F,) the delay of each frame against an even `rate` (frames per second), in frames."""
        assert self.times is not None
        numbers = np.array(self.statistics.numbers)
        late: Array = (self.times - self.times[0]) * float(rate) - (numbers - numbers[0])
        return late

    def _mean_rate(self) -> float | None:
        stamps = [stamp for stamp in self.stamps if stamp is not None]
        if len(stamps) < max(2, len(self.stamps) // 2) or max(stamps) == min(stamps):
            return None
        return (len(stamps) - 1) / float((max(stamps) - min(stamps)) * self.time_base)


_indexes: dict[Path, Index] = {}


def index(path: Path, progress: Progress = lambda _: None) -> Index:
    """The index of a film. It is built once for each path; `progress` takes the fraction done, and may raise to stop.

    Raises one of `decoder.FAULTS` where the file is damaged, and Unusable where it holds no usable film, or its frames
    change their size.
    """
    if path not in _indexes:
        status = path.stat()
        made = _built(path, True, progress)
        # Decoding threads report a fault after the packet that caused it. So after faults, one thread decodes anew.
        made = made or _built(path, False, progress)
        if made is None:
            raise Unusable("Not one frame of this video can be decoded.")
        made.status = status.st_size, status.st_mtime_ns
        _indexes[path] = made
    return _indexes[path]


def check_unchanged(path: Path) -> None:
    """Raises OSError where an indexed film is gone, and ValueError where its file has changed."""
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) != _indexes[path].status:
        raise ValueError("the file changed while it was read")


def _built(path: Path, threaded: bool, progress: Progress) -> Index | None:
    """The index; None where no frame can be decoded, or `threaded` and some cannot."""
    decoder = Decoder(path, threaded)
    stream = decoder.stream
    rates = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate, stream.base_rate) if rate]
    clock = Fraction(stream.time_base or 1)
    lengths = [stream.duration and float(stream.duration * clock), (decoder.container.duration or 0) / av.time_base]
    seconds = min((length for length in lengths if length), default=math.nan)
    made = Index(decoder.container.format.name, threaded, clock, stream.start_time, rates, seconds)
    expected = stream.frames or (0 if math.isnan(seconds) or not rates else round(seconds * float(rates[0])))
    size = None
    for number, frame in enumerate(decoder.frames(), start=1):
        progress(min(1.0, number / max(expected, 1)))
        size = size or (frame.width, frame.height)
        if (frame.width, frame.height) != size:
            size_here = f"{frame.width} × {frame.height} pixels, and frame 1 has {size[0]} × {size[1]}"
            raise Unusable(f"Frame {number} has {size_here}.")
        _add(made, number, frame)
    if not made.stamps or (threaded and decoder.lost):
        return None
    _leave_holes(made, decoder.lost)
    absent = _absent(made, decoder)
    made.absent = absent if absent > (0 if decoder.broken else OVERSTATED) else 0
    return made


def _add(made: Index, number: int, frame: av.VideoFrame) -> None:
    thumbnail = frame_statistics.thumbnail(frame)
    made.statistics.add(number, thumbnail)
    made.digests.append(frame_statistics.digest(thumbnail))
    made.stamps.append(frame.pts)
    made.interlaced += frame.interlaced_frame
    if frame.key_frame:
        made.keys.append(number)


def _absent(made: Index, decoder: Decoder) -> int:
    """The number of frames that the file states, less those that it holds; 0 where it states none."""
    stream = decoder.stream
    if stream.frames:
        return stream.frames - decoder.packets
    hours, minutes, seconds = (stream.metadata.get("DURATION", "") + "::").split(":")[:3]  # Matroska's
    if made.times is None or not made.rates or not made.is_even():
        return 0
    try:
        end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return 0
    return round((end - float(made.times[-1])) * float(made.rates[0])) - 1


def _leave_holes(made: Index, lost: list[int | None]) -> None:
    """Renumbers the frames so that pictures which cannot be decoded (`lost` stamps) have numbers, too."""
    decoded = set(made.stamps)
    stamps = sorted(stamp for stamp in lost if stamp is not None and stamp not in decoded)
    if made.times is None or not stamps:
        return
    lost_before = np.searchsorted(stamps, np.array(made.stamps))  # the number of lost pictures before each frame
    numbers = [number + int(count) for number, count in zip(made.statistics.numbers, lost_before, strict=True)]
    made.keys = [numbers[key - 1] for key in made.keys]
    made.statistics.numbers = numbers
