"""[R] Reads videos and image sequences: which frames to work with, and their pixels.

A frame becomes a Photo with the video as its `path` and its number as its `frame`. Pixels are returned upright and
square, as 8-bit sRGB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..files.sequence_files import is_pattern, missing, ranges
from ..model.arrays import Array, UInt8Array
from ..model.reconstruction import Photo
from . import decoder, film_index
from .decoding import shrunk
from .film import Film
from .sequence import ImageSequence

MOST_FRAMES = 200  # of one video; with 100, solving lost cameras that were carried fast through rooms
FEWEST_FRAMES = 8  # of a video in which hardly anything moves: enough to notice that
FEW_REPEATS = 3  # up to so many repeated frames are not mentioned

USUAL_RATE = Fraction(24)  # frames per second, where the files do not say

FAULTS = decoder.FAULTS
Progress = Callable[[float], None]


@lru_cache(maxsize=2)
def frame_source(path: str) -> Film | ImageSequence:
    """The video or the image sequence at `path`. It stays open, so that consecutive frames are decoded in one go.

    Raises as Film and ImageSequence do.
    """
    return ImageSequence(Path(path)) if is_pattern(path) else Film(Path(path))


def pixels(path: str, number: int, long_side: int | None) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of a frame, shrunk to a longer side of at most `long_side`, if that is given.

    Raises one of FAULTS, or Unusable.
    """
    picture = Image.fromarray(frame_source(path).picture(number))
    return np.array(picture.resize(shrunk(*picture.size, long_side), Image.Resampling.LANCZOS, reducing_gap=3.0))


def frame_name(video: str, number: int) -> str:
    """The name of the photo of a frame; `video` is the video's name."""
    return f"{video} {number:04d}"


def plate_size(photo: Photo) -> tuple[int, int]:
    """The upright size (width, height) of a photo in the file's own pixels, which are those that artists count in.

    A frame's Photo counts in square pixels, the file's own may be others. Raises as `frame_source` does.
    """
    return (photo.width, photo.height) if photo.frame is None else frame_source(photo.path).plate_size


def choose(path: Path, name: str, digest: str, progress: Progress) -> list[Photo]:
    """The frames to work with of the video or image sequence at `path`: the sharpest of each view, at most MOST_FRAMES.

    A view ends when the picture has moved a little. So a resting camera yields one frame, and a fast one many. `name`
    and `digest` are the name and hash of the video. `progress` takes the fraction done. Raises one of FAULTS, or
    Unusable.
    """
    if not is_pattern(path):
        film_index.index(path, progress)
    source = frame_source(str(path))
    frames = source.statistics if isinstance(source, Film) else source.statistics(progress)
    chosen = [frames.numbers[i] for i in _sharpest(np.array(frames.sharpness), frames.views)]
    digests = [hashlib.sha256(f"{digest} {number}".encode()).hexdigest() for number in chosen]
    return [
        Photo(frame_name(name, number), str(path), *source.size, frame_digest, frame=number)
        for number, frame_digest in zip(chosen, digests, strict=True)
    ]


def remarks(path: Path) -> list[str]:
    """Sentences for the artist about the frames of a video or an image sequence."""
    source = frame_source(str(path))
    holes = missing(source.numbers)
    lacking = "cannot be decoded" if isinstance(source, Film) else "are missing"
    sentences = []
    if holes:
        sentences.append(f"These frames {lacking}: {ranges(holes)}. The others keep their numbers.")
    if source.frame_rate is None:
        sentences.append(f"It does not say how many frames there are a second; {USUAL_RATE} are assumed.")
    return sentences + (_film_remarks(source) if isinstance(source, Film) else [])


def _film_remarks(source: Film) -> list[str]:
    sentences = []
    if absent := source.index.absent:
        whole = source.numbers[-1] + absent
        sentences.append(f"It ends early: {absent} of its {whole} frames are not there.")
    if source.is_interlaced:
        sentences.append("It is interlaced: only the upper field of each frame is used, which is every other line.")
    if len(repeats := source.statistics.repeats()) > FEW_REPEATS:
        sentences.append(f"{len(repeats)} of its {len(source)} frames repeat the one before, and so does their camera.")
    return sentences


def _sharpest(sharpness: Array, views: list[int]) -> list[int]:
    """The indices of the sharpest frames of the views, whose first frames are `views`.

    Where there are too few views, equal parts of the video stand in for them. Where there are too many frames, they are
    thinned evenly.
    """
    if len(views) < FEWEST_FRAMES:
        views = np.unique(np.linspace(0, len(sharpness), FEWEST_FRAMES + 1)[:-1].astype(int)).tolist()
    chosen = [begin + int(np.argmax(part)) for begin, part in zip(views, np.split(sharpness, views[1:]), strict=True)]
    if len(chosen) <= MOST_FRAMES:
        return chosen
    return [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_FRAMES).round().astype(int)]
