"""[R] How well each frame of a shot fits its tracks, in numbers that an artist can check. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array, FloatArray
from .tracks import Tracks

CELLS = (16, 9)  # of the picture, across and down, whose share with a track is the coverage
LEAST_INLIERS = 10  # tracks of a frame that has a camera


@dataclass(frozen=True)
class FrameErrors:
    """(F,) float32 each: of the distances in pixels between a frame's tracks and its points the `median`, the 95th
    percentile and the `worst`; how many `inliers` there are, and the share of the picture that they cover. NaN, in all
    of them, where a frame has no camera."""

    median: Float32Array
    p95: Float32Array
    worst: Float32Array
    inliers: Float32Array
    coverage: Float32Array


def measure(tracks: Tracks, errors: FloatArray, frames: int, size: tuple[int, int]) -> FrameErrors:
    """The errors of F `frames` from those of the standing observations, `errors` (M,) in pixels of a picture `size`."""
    columns = np.full((5, frames), np.nan, np.float32)
    cells = np.clip((tracks.pixels / size * CELLS).astype(int), 0, np.array(CELLS) - 1)
    for frame in range(frames):
        mine = tracks.camera == frame
        if mine.sum() < LEAST_INLIERS:
            continue
        covered = len(np.unique(cells[mine] @ (1, CELLS[0]))) / (CELLS[0] * CELLS[1])
        off = errors[mine]
        columns[:, frame] = np.median(off), np.percentile(off, 95), off.max(), len(off), covered
    return FrameErrors(*columns)
