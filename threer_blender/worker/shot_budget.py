"""[R] The expected cost of a long shot, reported before the work begins."""

from __future__ import annotations

from collections.abc import Sequence

from ..model.reconstruction import Photo
from ..pictures import video

LONG = 1500  # frames: what takes longer than a coffee is said
SECONDS = 0.35  # on one core, for a frame's points to be followed and its camera to be solved
BYTES = 2e5  # for a frame's tracks while all frames are solved at once


def sentences(photos: Sequence[Photo]) -> list[str]:
    """Sentences on the expected cost of the long ones among the photos' videos."""
    names = {photo.path: photo.name.rpartition(" ")[0] for photo in photos if photo.frame is not None}
    texts = (sentence(name, len(video.film(path))) for path, name in names.items())
    return [each for each in texts if each]


def sentence(name: str, frames: int) -> str:
    """A sentence on the expected cost of so many `frames` of the shot `name`; empty where they are few."""
    if frames < LONG:
        return ""
    minutes, gigabytes = SECONDS * frames / 60, BYTES * frames / 1e9
    return (
        f"{name} has {frames:,} frames: following points through them and solving them takes about {minutes:.0f} "
        f"minutes and {gigabytes:.1f} GB of memory, beside what the engine takes. Cancel and choose a shorter film "
        "where that is too much."
    )
