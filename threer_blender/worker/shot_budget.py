"""[R] The expected cost of a long shot, reported before the work begins."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.reconstruction import Photo
from ..pictures import video

LONG = 1500  # frames: the cost of a shot with so many, or more, is reported
SECONDS = 0.35  # for each frame, on one core: tracking its points and solving its camera
BYTES = 2e5  # for each frame's tracks, while all frames are solved at once


def sentences(photos: Sequence[Photo]) -> list[str]:
    """Sentences on the expected cost of the long videos among the photos."""
    names = {photo.path: photo.name.rpartition(" ")[0] for photo in photos if photo.frame is not None}
    texts = (sentence(name, len(video.frame_source(path))) for path, name in names.items())
    return [each for each in texts if each]


def sentence(name: str, frames: int) -> str:
    """A sentence on the expected cost of the shot `name` with this number of frames; "" where they are few."""
    if frames < LONG:
        return ""
    minutes, gigabytes = SECONDS * frames / 60, BYTES * frames / 1e9
    return (
        f"{name} has {frames:,} frames: following points through them and solving them takes about {minutes:.0f} "
        f"minutes and {gigabytes:.1f} GB of memory, beside what the engine takes. Cancel and choose a shorter film "
        "where that is too much."
    )
