"""[R] Exact search among a map's descriptors on a CPU, limited to tiles that can hold the answer. numpy and numba only.

Neighbouring pixels have similar descriptors. For a tile of pixels with the mean c and the radius r about it, no
descriptor x has a product with the unit query q above q·c + r, since q·x = q·c + q·(x - c) and |q| = 1. Tiles whose
bound is below the best product are skipped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.arrays import Float32Array, IntArray
from ..kernels import compiled, in_bands

SIDE = 8  # pixels of a tile
_ROUNDING = 1e-5  # more than the rounding error of a product in single precision


class TileIndex(NamedTuple):
    """Descriptors, sorted by tile."""

    points: Float32Array  # (H × W, D)
    order: IntArray  # (H × W,) the pixel of each
    starts: IntArray  # (tiles + 1,) where each tile's begin
    means: Float32Array  # (tiles, D)
    radii: Float32Array  # (tiles,) the farthest descriptor from the tile's mean


class Tiles:
    """The search among the unit `descriptors` (H, W, D) of a map."""

    def __init__(self, descriptors: Float32Array) -> None:
        height, width, depth = descriptors.shape
        rows, columns = np.arange(height) // SIDE, np.arange(width) // SIDE
        tile = (rows[:, None] * (columns[-1] + 1) + columns).ravel()
        order = np.argsort(tile, kind="stable")
        starts = np.append(np.flatnonzero(np.diff(tile[order], prepend=-1)), len(tile))
        points = np.ascontiguousarray(descriptors.reshape(-1, depth)[order], np.float32)
        sizes = np.diff(starts)
        means = (np.add.reduceat(points, starts[:-1]) / sizes[:, None]).astype(np.float32)
        distance = np.linalg.norm(points - np.repeat(means, sizes, axis=0), axis=1)
        radii = (np.maximum.reduceat(distance, starts[:-1]) + _ROUNDING).astype(np.float32)
        self._index = TileIndex(points, order, starts, means, radii)

    def nearest(self, queries: Float32Array) -> IntArray:
        """(N,) for each unit query (N, D) the pixel, numbered along the rows, whose dot product with it is the
        largest."""
        queries, nearest = np.ascontiguousarray(queries, np.float32), np.empty(len(queries), np.int64)
        in_bands(_search, 0, len(queries), self._index, queries, nearest)
        return nearest


@compiled(fastmath=True)
def _product(a: Float32Array, b: Float32Array) -> np.float32:
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(fastmath=True)
def _search(first: int, last: int, index: TileIndex, queries: Float32Array, nearest: IntArray) -> None:
    """Fills `nearest` for the queries in range(first, last) with the best pixel, the first one among equals."""
    points, order, starts, means, radii = index
    bounds = np.empty(len(means), np.float32)
    for q in range(first, last):
        promising = 0
        for tile in range(len(means)):
            bounds[tile] = _product(queries[q], means[tile]) + radii[tile]
            if bounds[tile] - radii[tile] > bounds[promising] - radii[promising]:
                promising = tile
        best, best_index = np.float32(-2), -1
        for number in range(-1, len(means)):  # the most promising tile first, then all others
            tile = promising if number < 0 else number
            if bounds[tile] < best or number == promising:
                continue
            for i in range(starts[tile], starts[tile + 1]):
                product = _product(queries[q], points[i])
                if product > best or (product == best and order[i] < best_index):
                    best, best_index = product, order[i]
        nearest[q] = best_index
