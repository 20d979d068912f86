"""[R] Nearest neighbours among points in space: a k-d tree. numpy and numba only.

Friedman, Bentley, Finkel, "An Algorithm for Finding Best Matches in Logarithmic Expected Time" (1977). Every node
of the tree is a range of the ordered points, split at the point in its middle, so no pointers are needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..model.arrays import Array, FloatArray, IntArray
from .kernels import compiled, in_bands

_LEAF = 8  # points of a range that is searched one by one instead of split
_DEEPEST = 64  # ranges that wait to be split or searched, at most


class Tree:
    """A k-d tree of `points` (N, 3), N > 0, all finite."""

    def __init__(self, points: Array) -> None:
        given = np.ascontiguousarray(points, np.float64)
        self._order = np.arange(len(given))
        self._axes = np.zeros(len(given), np.int8)
        _build(given, self._order, self._axes)
        self._points = given[self._order]

    def nearest(self, queries: Array) -> tuple[IntArray, FloatArray]:
        """For each query (M, 3), finite, the index (M,) of the nearest point and its distance (M,)."""
        queries = np.ascontiguousarray(queries, np.float64)
        index, square = np.empty(len(queries), np.int64), np.empty(len(queries))
        in_bands(_search, 0, len(queries), self._points, self._axes, queries, index, square)
        return self._order[index], np.sqrt(square)

    def mean_distance(self, queries: Array, count: int) -> FloatArray:
        """(M,) for each query (M, 3), finite, the mean distance to its `count` nearest points; to all where these are
        fewer. A query that is itself a point has that one among them, at distance 0."""
        queries = np.ascontiguousarray(queries, np.float64)
        mean = np.empty(len(queries))
        nearest = min(count, len(self._points))
        in_bands(_search_many, 0, len(queries), self._points, self._axes, queries, nearest, mean)
        return mean


@compiled()
def _build(points: FloatArray, order: IntArray, axes: NDArray[np.int8]) -> None:
    """Sorts the indices `order` (N,) so that each range is split at its middle, along the axis in which it extends
    most. That axis is written to `axes[middle]`."""
    lows, highs = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64)
    lows[0], highs[0], depth = 0, len(order), 1
    while depth:
        depth -= 1
        low, high = lows[depth], highs[depth]
        if high - low <= _LEAF:
            continue
        widest, axis = -1.0, 0
        for a in range(3):
            least, most = np.inf, -np.inf
            for i in range(low, high):
                least, most = min(least, points[order[i], a]), max(most, points[order[i], a])
            if most - least > widest:
                widest, axis = most - least, a
        middle = (low + high) // 2
        axes[middle] = axis
        _select(points, order, axis, low, high - 1, middle)
        lows[depth], highs[depth] = low, middle
        lows[depth + 1], highs[depth + 1] = middle + 1, high
        depth += 2


@compiled()
def _select(points: FloatArray, order: IntArray, axis: int, low: int, high: int, wanted: int) -> None:
    """Quickselect (Hoare 1961) on `order[low : high + 1]`: then no point before `wanted` is larger along the axis, and
    none after it smaller."""
    while low < high:
        pivot = points[order[(low + high) // 2], axis]
        i, j = low, high
        while i <= j:
            while points[order[i], axis] < pivot:
                i += 1
            while points[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            return


@compiled()
def _search(
    first: int,
    last: int,
    points: FloatArray,
    axes: NDArray[np.int8],
    queries: FloatArray,
    index: IntArray,
    square: FloatArray,
) -> None:
    """Fills `index` and `square` for the queries in range(first, last): the nearest of the ordered points, and its
    squared distance."""
    lows, highs, bounds = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST)
    for q in range(first, last):
        best, nearest_index = np.inf, 0
        lows[0], highs[0], bounds[0], depth = 0, len(points), 0.0, 1
        while depth:
            depth -= 1
            low, high = lows[depth], highs[depth]
            if bounds[depth] >= best:
                continue
            while high - low > _LEAF:
                middle = (low + high) // 2
                axis = axes[middle]
                across = queries[q, axis] - points[middle, axis]
                candidate = _squared_distance(points, middle, queries, q)
                if candidate < best:
                    best, nearest_index = candidate, middle
                bounds[depth] = across * across
                if across < 0:
                    lows[depth], highs[depth] = middle + 1, high
                    high = middle
                else:
                    lows[depth], highs[depth] = low, middle
                    low = middle + 1
                depth += 1
            for i in range(low, high):
                candidate = _squared_distance(points, i, queries, q)
                if candidate < best:
                    best, nearest_index = candidate, i
        index[q], square[q] = nearest_index, best


@compiled()
def _search_many(
    first: int,
    last: int,
    points: FloatArray,
    axes: NDArray[np.int8],
    queries: FloatArray,
    count: int,
    mean: FloatArray,
) -> None:
    """Fills `mean` for the queries in range(first, last): the mean distance to the `count` nearest points.

    It walks as the search for the nearest one does, in a kernel of its own: that one keeps a number where this keeps a
    list.
    """
    lows, highs, bounds = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST)
    squares = np.empty(count)  # the least so far, in ascending order
    for q in range(first, last):
        squares[:] = np.inf
        lows[0], highs[0], bounds[0], depth = 0, len(points), 0.0, 1
        while depth:
            depth -= 1
            low, high = lows[depth], highs[depth]
            if bounds[depth] >= squares[count - 1]:
                continue
            while high - low > _LEAF:
                middle = (low + high) // 2
                axis = axes[middle]
                across = queries[q, axis] - points[middle, axis]
                _insert(squares, _squared_distance(points, middle, queries, q))
                bounds[depth] = across * across
                if across < 0:
                    lows[depth], highs[depth] = middle + 1, high
                    high = middle
                else:
                    lows[depth], highs[depth] = low, middle
                    low = middle + 1
                depth += 1
            for i in range(low, high):
                _insert(squares, _squared_distance(points, i, queries, q))
        total = 0.0
        for k in range(count):
            total += np.sqrt(squares[k])
        mean[q] = total / count


@compiled()
def _insert(squares: FloatArray, candidate: float) -> None:
    """Puts a number into its place among ascending ones, where it is smaller than the largest, which goes."""
    k = len(squares) - 1
    if candidate >= squares[k]:
        return
    while k > 0 and squares[k - 1] > candidate:
        squares[k] = squares[k - 1]
        k -= 1
    squares[k] = candidate


@compiled()
def _squared_distance(points: FloatArray, i: int, queries: FloatArray, q: int) -> float:
    """The squared distance of a point and a query."""
    x, y, z = points[i, 0] - queries[q, 0], points[i, 1] - queries[q, 1], points[i, 2] - queries[q, 2]
    return x * x + y * y + z * z
