"""[R] Depth completion: depths where none are known, from those around. Imports numpy only.

A plane's inverse depth is linear in the pixels, so around each pixel a linear function is fitted to the known inverse
depths. Nearer pixels count more, and pixels across an edge of the photo hardly count. Far from all known depths, the
guess is a large depth, since a guess that is too near hides what other views see. The weights are those of the
recursive filter in Gastal & Oliveira, "Domain Transform for Edge-Aware Image and Video Processing" (2011).
"""

from __future__ import annotations

import math

import numpy as np

from ...model.arrays import Array, FloatArray

REACH = 0.12  # of the long side: the filter's standard deviation where the photo has no edges
EDGE = 0.15  # difference of colour, in [0, 1] and summed over the channels, that counts like the distance REACH
PASSES = 3
ALONE = 0.003  # share of known weight around a pixel at which its guess is half-way from the fit to the large depth
STIFF = 0.02  # of the long side: how far known pixels must spread before their slope counts


def completed(inverse: Array, weights: Array, guide: Array) -> FloatArray:
    """(h, w) inverse depth everywhere, from the known `inverse` depths (h, w) with `weights` (h, w), 0 where unknown,
    and the photo's colours `guide` (h, w, 3) in [0, 1].

    It stays within about the range of the known inverse depths: from 0.8 times their first percentile to 1.2 times
    their 99th.
    """
    height, width = inverse.shape
    long_side = max(height, width)
    y, x = np.meshgrid(np.arange(height) / long_side, np.arange(width) / long_side, indexing="ij")
    low, high = np.percentile(inverse[weights >= 0.5 * weights.max()], [1, 99])
    known = np.where(weights > 0, inverse, 0.0)
    terms = (np.ones_like(x), x, y, x * x, x * y, y * y, known, x * known, y * known)
    moments = _smoothed(np.stack([weights * term for term in terms], -1), guide, REACH * long_side)
    total = np.maximum(moments[..., 0], 1e-300)
    mx, my, xx, xy, yy, value, vx, vy = (moments[..., i] / total for i in range(1, 9))
    # The linear fit, evaluated at the pixel. The ridge STIFF² holds its slopes near 0 where the known pixels lie close.
    a, b, c = xx - mx * mx + STIFF**2, xy - mx * my, yy - my * my + STIFF**2
    p, q = vx - mx * value, vy - my * value
    determinant = a * c - b * b
    line = value + ((c * p - b * q) * (x - mx) + (a * q - b * p) * (y - my)) / determinant
    far = 1 / (1 + (total / (ALONE * weights.max())) ** 2)
    return far * low + (1 - far) * np.clip(line, 0.8 * low, 1.2 * high)


def _smoothed(channels: FloatArray, guide: Array, reach: float) -> FloatArray:
    """(h, w, n) `channels` blurred along columns and rows in turn, with half the deviation in each further pass. The
    squares of the deviations sum to that of `reach` (pixels). The blur stops at edges of `guide`."""
    # How far neighbouring pixels are from each other for the filter: 1, and more across an edge.
    down, across = (1 + reach / EDGE * np.abs(np.diff(guide, axis=axis)).sum(-1) for axis in (0, 1))
    for number in range(PASSES):
        deviation = reach * math.sqrt(3) * 2 ** (PASSES - 1 - number) / math.sqrt(4**PASSES - 1)
        channels = _along_columns(channels, np.exp(-math.sqrt(2) / deviation * down))
        channels = _along_columns(channels.swapaxes(0, 1), np.exp(-math.sqrt(2) / deviation * across).T).swapaxes(0, 1)
    return channels


def _along_columns(channels: FloatArray, carry: FloatArray) -> FloatArray:
    """(h, w, n) the recursive filter along columns: each row is mixed with the share `carry` (h - 1, w) of the row
    before, then with that of the row after."""
    done = channels.copy()
    for row in range(1, len(done)):
        share = carry[row - 1][:, None]
        done[row] += share * (done[row - 1] - done[row])
    for row in range(len(done) - 2, -1, -1):
        share = carry[row][:, None]
        done[row] += share * (done[row + 1] - done[row])
    return done
