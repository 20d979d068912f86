"""[R] Whether Blender's movie clip shows, at each frame, the picture that was solved for it.

Blender goes by time: at frame k it shows the last picture whose time stamp is not later than the film's first time
stamp and k - 1 of its frames, of the rate that FFmpeg guesses, rounded to the file's clock.
"""

from __future__ import annotations

import math

import numpy as np

from . import light
from .film import Film

# Containers in which it finds each picture again; in MPEG program streams, for one, it does not.
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


def difference(film: Film) -> str:
    """Why Blender would show other pictures than `film` gives, as part of a sentence; empty where it would not."""
    a, _, _, d = film.matrix
    reasons = {
        "it is interlaced": film.is_interlaced,
        "its track is mirrored or upside down": _mirrored(film.matrix) or (a < 0 and d < 0),
        "its colours are HDR or of a wide gamut": not light.is_srgb(film.transfer, film.primaries),
        "some of its pictures cannot be decoded": len(film) < film.numbers[-1],
        "its frames do not follow each other at an even rate": not film.index.is_even(),
        "its time stamps do not say when each picture is shown": film.index.times is None,
        "its container gives each picture a time of its own": not _on_time(film),
        "Blender does not find each picture of such a file again": film.index.container not in SEEKABLE,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _mirrored(matrix: tuple[int, int, int, int]) -> bool:
    a, b, c, d = matrix
    return a * d - b * c < 0


def _on_time(film: Film) -> bool:
    """Whether each frame is the last whose stamp is not later than Blender asks for, and within the stated length."""
    index = film.index
    if index.times is None or index.start is None or not index.rates or math.isnan(index.seconds):
        return False
    stamps = np.array(index.stamps, np.float64)
    step = 1 / (float(index.rates[0]) * float(index.time_base))
    if round(index.seconds * float(index.rates[0])) < len(stamps):
        return False  # it shows none of those that come later
    asked = index.start + np.floor(np.arange(len(stamps)) * step + 0.5)
    return bool((stamps <= asked).all() and (stamps[1:] > asked[:-1]).all())
