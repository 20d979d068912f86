"""[S] The cubic spline through values at rising times. numpy only."""

from __future__ import annotations

import numpy as np

from ..model.arrays import FloatArray


def values_at(times: FloatArray, values: FloatArray, moments: FloatArray) -> FloatArray:
    """(M, K) the values at `moments` (M,) of the cubic spline through `values` (N, K) at rising `times` (N,).

    Its end conditions are not-a-knot: the first two pieces are one polynomial, and so are the last two (de Boor, A
    Practical Guide to Splines, IV). Through three values or fewer it is piecewise linear.
    """
    step = np.diff(times)[:, None]
    slope = np.diff(values, axis=0) / step
    curvature = np.zeros_like(values)  # second derivatives
    if len(times) > 3:
        inner = np.arange(1, len(times) - 1)
        matrix, right = np.zeros((len(times), len(times))), np.zeros_like(values)
        matrix[inner, inner - 1], matrix[inner, inner + 1] = step[:-1, 0], step[1:, 0]
        matrix[inner, inner] = 2 * (step[1:] + step[:-1])[:, 0]
        right[inner] = 6 * np.diff(slope, axis=0)
        # At each end, the third derivative is the same in the first piece and in the second.
        for end, (first, second) in ((0, step[:2, 0]), (-1, step[-1:-3:-1, 0])):
            inward = 1 if end == 0 else -1
            matrix[end, [end, end + inward, end + 2 * inward]] = second, -first - second, first
        curvature = np.linalg.solve(matrix, right)
    span = np.clip(np.searchsorted(times, moments, side="right") - 1, 0, len(times) - 2)
    length = step[span]
    after = (moments - times[span])[:, None] / length  # the weight of the value after the moment
    before = 1 - after
    bend = (before**3 - before) * curvature[span] + (after**3 - after) * curvature[span + 1]
    out: FloatArray = before * values[span] + after * values[span + 1] + length**2 / 6 * bend
    return out
