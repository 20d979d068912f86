"""[R] Whether Blender's movie clip shows, at each frame, the picture that was solved for it.

Blender goes by time. For frame k it asks for the time of the film's first stamp plus k - 1 frames at the rate that
FFmpeg guesses, rounded to the file's clock. It shows the last picture whose time stamp is not later.
"""

from __future__ import annotations

import math

import numpy as np

from . import light
from .film import Film

# Containers in which Blender can seek to each picture. In others, such as MPEG program streams, it cannot.
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


def difference(film: Film) -> str:
    """The reason why Blender shows other pictures than `film`, as part of a sentence; empty where it does not."""
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
    """Whether Blender shows each frame at its number: by its time stamp, and within the length that the file states."""
    index = film.index
    if index.times is None or index.start is None or not index.rates or math.isnan(index.seconds):
        return False
    stamps = np.array(index.stamps, np.float64)
    step = 1 / (float(index.rates[0]) * float(index.time_base))
    if round(index.seconds * float(index.rates[0])) < len(stamps):
        return False  # Blender shows no frame beyond the stated length
    asked = index.start + np.floor(np.arange(len(stamps)) * step + 0.5)
    return bool((stamps <= asked).all() and (stamps[1:] > asked[:-1]).all())
