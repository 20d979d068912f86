"""[R] Videos and image sequences at the door: which frames to work with, and their pixels.

A frame is a Photo like any other, with the video as its `path` and its number as its `frame`. Frames leave this file
upright, with square pixels, as 8-bit RGB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..files.sequence_files import is_pattern, missing, ranges
from ..model.arrays import Array
from ..model.reconstruction import Photo
from . import decoder, film_index
from .decoding import shrunk
from .film import Film
from .sequence import ImageSequence

MOST_FRAMES = 200  # of one video; with 100, a camera carried fast through rooms got lost at its turns
FEWEST_FRAMES = 8  # where hardly anything moves: enough to see that
FEW_REPEATS = 3  # repeated frames that need no words

USUAL_RATE = Fraction(24)  # frames per second, where the files do not say

FAULTS = decoder.FAULTS
Progress = Callable[[float], None]


@lru_cache(maxsize=2)
def film(path: str) -> Film | ImageSequence:
    """The video or the image sequence at `path`, opened once: neighbouring frames are asked for one after the other."""
    return ImageSequence(Path(path)) if is_pattern(path) else Film(Path(path))


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
    if not is_pattern(path):
        film_index.index(path, progress)
    source = film(str(path))
    survey = source.survey if isinstance(source, Film) else source.surveyed(progress)
    chosen = [survey.numbers[i] for i in _sharpest(np.array(survey.sharpness), survey.views)]
    digests = [hashlib.sha256(f"{digest} {number}".encode()).hexdigest() for number in chosen]
    return [
        Photo(frame_name(name, number), str(path), *source.size, digest, frame=number)
        for number, digest in zip(chosen, digests, strict=True)
    ]


def remarks(path: Path) -> list[str]:
    """Sentences for the artist about the frames of a video or an image sequence."""
    source = film(str(path))
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
    if len(repeats := source.survey.repeats()) > FEW_REPEATS:
        sentences.append(f"{len(repeats)} of its {len(source)} frames repeat the one before, and so does their camera.")
    return sentences


def _sharpest(sharpness: Array, views: list[int]) -> list[int]:
    """The index of the sharpest frame in each view, for as many views as are wanted; `views` are where they begin."""
    if len(views) < FEWEST_FRAMES:
        views = np.unique(np.linspace(0, len(sharpness), FEWEST_FRAMES + 1)[:-1].astype(int)).tolist()
    chosen = [begin + int(np.argmax(part)) for begin, part in zip(views, np.split(sharpness, views[1:]), strict=True)]
    if len(chosen) <= MOST_FRAMES:
        return chosen
    return [chosen[i] for i in np.linspace(0, len(chosen) - 1, MOST_FRAMES).round().astype(int)]
