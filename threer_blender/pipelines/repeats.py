"""[R] Frames that repeat the one before, as pulldown, animation on twos and dropped frames make them. numpy only."""

from __future__ import annotations

import numpy as np

from ..files.sequence_files import ranges
from ..geometry.shots.tracking import ShotTracks
from ..model.arrays import FloatArray

STANDS = 0.05  # px: the points of a repeated frame move less than this, by their median
SLOWER = 0.1  # times the median step of frames that move: a repeated frame's step is less than this, too


def repeated(shot: ShotTracks) -> list[int]:
    """The numbers of frames whose points stand where the frame before shows them, in a shot whose points move."""
    steps = _steps(shot)
    known = steps[np.isfinite(steps)]
    moving = known[known > STANDS]
    if not len(moving):
        return []
    stands = steps < min(STANDS, SLOWER * float(np.median(moving)))
    return [int(number) for number in shot.numbers[stands]]


def sentence(shot: ShotTracks) -> str:
    """A sentence about repeated frames, after a blank; empty where there are none."""
    numbers = repeated(shot)
    if not numbers:
        return ""
    return (
        f" {len(numbers)} of {len(shot.numbers)} frames repeat the one before, as pulldown does ({ranges(numbers)}): "
        "their camera stands, and the jitter counts the step after it."
    )


def _steps(shot: ShotTracks) -> FloatArray:
    """(F,) pixels by which the points moved from the frame before, the median; NaN where none was followed."""
    tracks = shot.tracks
    follows = (tracks.point[1:] == tracks.point[:-1]) & (tracks.camera[1:] == tracks.camera[:-1] + 1)
    steps = np.linalg.norm(tracks.pixels[1:] - tracks.pixels[:-1], axis=1)[follows]
    frames = tracks.camera[1:][follows]
    medians = np.full(len(shot.numbers), np.nan)
    for frame in np.unique(frames):
        medians[frame] = np.median(steps[frames == frame])
    return medians
