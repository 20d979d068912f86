"""[R] How well each frame of a shot fits its tracks, in numbers that an artist can check. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array, FloatArray
from .tracks import Tracks

CELLS = (16, 9)  # across and down; the share of these cells of the picture that contain a track is the coverage
LEAST_INLIERS = 10  # tracks that a frame needs, or it counts as without a camera


@dataclass(frozen=True)
class FrameErrors:
    """The reprojection errors of F frames, (F,) float32 each: their `median`, 95th percentile `p95` and `worst`, in
    pixels; the number of `inliers`, and their `coverage`, the share of the picture in which they lie. All are NaN for a
    frame without a camera."""

    median: Float32Array
    p95: Float32Array
    worst: Float32Array
    inliers: Float32Array
    coverage: Float32Array


def measure(tracks: Tracks, errors: FloatArray, frames: int, size: tuple[int, int]) -> FrameErrors:
    """The errors of F `frames` from the reprojection `errors` (M,) of their inlier `tracks`, in pixels of a picture
    `size` (width, height)."""
    measures = np.full((5, frames), np.nan, np.float32)
    columns, rows = np.clip((tracks.pixels / size * CELLS).astype(int), 0, np.array(CELLS) - 1).T
    cells = rows * CELLS[0] + columns
    for frame in range(frames):
        mine = tracks.camera == frame
        if mine.sum() < LEAST_INLIERS:
            continue
        coverage = len(np.unique(cells[mine])) / (CELLS[0] * CELLS[1])
        off = errors[mine]
        measures[:, frame] = np.median(off), np.percentile(off, 95), off.max(), len(off), coverage
    return FrameErrors(*measures)
