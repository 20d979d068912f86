"""[R] Straight edges of a picture: pixels with one gradient direction that lie on a line. numba and numpy.

Regions of pixels with similar gradient directions are grown, the strongest gradients first (von Gioi et al. 2010, "LSD:
a fast line segment detector with a false detection control"). A region that is long and thin is a segment.
"""

from __future__ import annotations

import numpy as np

from ..model.arrays import Array, FloatArray
from .kernels import compiled

ALIKE = np.radians(20.0)  # largest angle between a pixel's gradient and the mean one of its edge
LEAST_GRADIENT = 5.0  # grey levels (of 255) per pixel
WIDEST = 1.0  # pixels: largest standard deviation of a segment's pixels across it
FEWEST = 0.7  # pixels of a region per pixel of its length; with fewer it has gaps


def line_segments(grey: Array, least_length: float) -> FloatArray:
    """(N, 4) float64 ends x0, y0, x1, y1 of the straight edges in `grey` (H, W), grey levels from 0 to 255, that are at
    least `least_length` pixels long.

    The centre of the top-left pixel is (0.5, 0.5).
    """
    smooth = _smoothed(np.asarray(grey, np.float32))
    down, across = np.gradient(smooth)
    strength = np.hypot(across, down)
    strength[[0, -1]] = strength[:, [0, -1]] = 0
    flat = strength.ravel()
    seeds = np.flatnonzero(flat > LEAST_GRADIENT)
    seeds = seeds[np.argsort(-flat[seeds], kind="stable")]
    segments: FloatArray = _grown(across, down, strength, seeds, least_length)
    return segments


def _smoothed(grey: Array) -> Array:
    """The picture (H, W) blurred with binomial weights over 3 × 3 pixels; the picture's edge is repeated."""
    padded = np.pad(grey, 1, mode="edge")
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / np.float32(16)


@compiled()
def _grown(across: Array, down: Array, strength: Array, seeds: Array, least_length: float) -> Array:
    """(N, 4) ends of the segments that grow from the `seeds` (K,), pixels numbered along the rows."""
    height, width = strength.shape
    used = np.zeros((height, width), np.bool_)
    region = np.empty((height * width, 2), np.int32)
    segments = np.empty((len(seeds), 4))
    count = 0
    for seed in seeds:
        row, column = seed // width, seed % width
        if used[row, column]:
            continue
        size = _region(across, down, strength, used, region, row, column)
        if size < FEWEST * least_length:
            continue
        ends, length, spread = _line(strength, region, size)
        if length >= least_length and spread <= WIDEST and size >= FEWEST * length:
            segments[count] = ends
            count += 1
    return segments[:count].copy()


@compiled()
def _region(across: Array, down: Array, strength: Array, used: Array, region: Array, row: int, column: int) -> int:
    """Fills `region` with the rows and columns of the connected pixels around the seed whose gradients have about one
    direction; returns their number."""
    height, width = strength.shape
    region[0] = row, column
    used[row, column] = True
    size, at = 1, 0
    sum_x, sum_y = float(across[row, column]), float(down[row, column])
    least = np.cos(ALIKE)
    while at < size:
        y, x = region[at]
        at += 1
        for near_y in range(max(y - 1, 0), min(y + 2, height)):
            for near_x in range(max(x - 1, 0), min(x + 2, width)):
                if used[near_y, near_x] or strength[near_y, near_x] <= LEAST_GRADIENT:
                    continue
                along = across[near_y, near_x] * sum_x + down[near_y, near_x] * sum_y
                if along < least * strength[near_y, near_x] * np.hypot(sum_x, sum_y):
                    continue
                used[near_y, near_x] = True
                region[size] = near_y, near_x
                size += 1
                sum_x += across[near_y, near_x]
                sum_y += down[near_y, near_x]
    return size


@compiled()
def _line(strength: Array, region: Array, size: int) -> tuple[Array, float, float]:
    """Ends (4,), length, and standard deviation across it, of the line through a region's first `size` pixels, by their
    moments weighted by gradient."""
    total = mean_x = mean_y = 0.0
    for index in range(size):
        weight = strength[region[index, 0], region[index, 1]]
        total += weight
        mean_x += weight * region[index, 1]
        mean_y += weight * region[index, 0]
    mean_x /= total
    mean_y /= total
    xx = xy = yy = 0.0
    for index in range(size):
        weight = strength[region[index, 0], region[index, 1]] / total
        x, y = region[index, 1] - mean_x, region[index, 0] - mean_y
        xx += weight * x * x
        xy += weight * x * y
        yy += weight * y * y
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    cosine, sine = np.cos(angle), np.sin(angle)
    across = max(0.0, xx * sine * sine - 2 * xy * sine * cosine + yy * cosine * cosine)
    low, high = np.inf, -np.inf
    for index in range(size):
        along = (region[index, 1] - mean_x) * cosine + (region[index, 0] - mean_y) * sine
        low, high = min(low, along), max(high, along)
    ends = np.empty(4)
    ends[0], ends[1] = mean_x + low * cosine + 0.5, mean_y + low * sine + 0.5
    ends[2], ends[3] = mean_x + high * cosine + 0.5, mean_y + high * sine + 0.5
    return ends, high - low, np.sqrt(across)
