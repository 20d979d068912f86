"""[R] The expected cost of long shots, from the headers of the chosen files: told before any picture is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from ..files import sequence_files
from ..files.photo_files import VIDEO_SUFFIXES
from ..model import shot_cost


def sentences(files: Iterable[Path]) -> list[str]:
    """Sentences on the expected cost of the long videos and image sequences among the files."""
    return [text for file in files if (text := shot_cost.sentence(file.name, *_frames(file)))]


def frames(file: Path) -> int:
    """How many frames a video or an image sequence claims to have; 0 where the file is a photo, or does not say."""
    return _frames(file)[0]


def _frames(file: Path) -> tuple[int, int]:
    """How many frames a file claims to have, and the pixels of each; 0 frames where it is no shot, or does not say."""
    if sequence_files.is_pattern(file):
        return len(sequence_files.frames(file)), shot_cost.USUAL_PIXELS
    if file.suffix.lower() not in VIDEO_SUFFIXES or find_spec("av") is None:
        return 0, 0
    from .decoder import FAULTS, Decoder
    from .decoding import Unusable

    try:
        decoder = Decoder(file, threaded=False)
    except (*FAULTS, Unusable):  # the reader says so later
        return 0, 0
    stream, container = decoder.stream, decoder.container
    rate = stream.average_rate or stream.guessed_rate or 0
    lasts = container.duration / 1_000_000 if container.duration else 0  # FFmpeg counts microseconds
    return stream.frames or round(lasts * rate), stream.width * stream.height
