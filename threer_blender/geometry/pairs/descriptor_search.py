"""[R] Exact search among a map's descriptors on a CPU, limited to tiles that can hold the answer. numpy and numba only.

Neighbouring pixels have similar descriptors. A tile of them is summed up by its mean c and the radius r about it; no
descriptor x of the tile has a product with the unit query q above q·c + r, since q·x = q·c + q·(x - c) and |q| = 1.
"""

from __future__ import annotations

import numpy as np

from ...model.arrays import Float32Array, IntArray
from ..kernels import compiled, in_bands

SIDE = 8  # pixels of a tile
_ROUNDING = 1e-5  # of products in single precision, with a reserve


class Tiles:
    """The unit descriptors (H, W, D) of a map, ready for queries."""

    def __init__(self, descriptors: Float32Array) -> None:
        height, width, depth = descriptors.shape
        rows, columns = np.arange(height) // SIDE, np.arange(width) // SIDE
        tile = (rows[:, None] * (columns[-1] + 1) + columns).ravel()
        self._order = np.argsort(tile, kind="stable")
        self._starts = np.append(np.flatnonzero(np.diff(tile[self._order], prepend=-1)), len(tile))
        self._sorted = np.ascontiguousarray(descriptors.reshape(-1, depth)[self._order], np.float32)
        sizes = np.diff(self._starts)
        self._means = (np.add.reduceat(self._sorted, self._starts[:-1]) / sizes[:, None]).astype(np.float32)
        distance = np.linalg.norm(self._sorted - np.repeat(self._means, sizes, axis=0), axis=1)
        self._radii = (np.maximum.reduceat(distance, self._starts[:-1]) + _ROUNDING).astype(np.float32)

    def nearest(self, queries: Float32Array) -> IntArray:
        """For each unit query (N, D) the pixel, numbered along the rows, whose product with it is the largest."""
        asked, index = np.ascontiguousarray(queries, np.float32), np.empty(len(queries), np.int64)
        arguments = (self._sorted, self._order, self._starts, self._means, self._radii, asked, index)
        in_bands(_search, 0, len(asked), *arguments)
        return index


@compiled(fastmath=True)
def _product(a: Float32Array, b: Float32Array) -> np.float32:
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(fastmath=True)
def _search(
    first: int, last: int, points: Float32Array, order: IntArray, starts: IntArray, means: Float32Array,
    radii: Float32Array, queries: Float32Array, index: IntArray,
) -> None:  # fmt: skip
    """The best pixel of the queries in range(first, last), the first of equals."""
    bounds = np.empty(len(means), np.float32)
    for q in range(first, last):
        promising = 0
        for tile in range(len(means)):
            bounds[tile] = _product(queries[q], means[tile]) + radii[tile]
            if bounds[tile] - radii[tile] > bounds[promising] - radii[promising]:
                promising = tile
        best, best_index = np.float32(-2), -1
        for number in range(-1, len(means)):
            tile = promising if number < 0 else number
            if bounds[tile] < best or number == promising:
                continue
            for i in range(starts[tile], starts[tile + 1]):
                product = _product(queries[q], points[i])
                if product > best or (product == best and order[i] < best_index):
                    best, best_index = product, order[i]
        index[q] = best_index
