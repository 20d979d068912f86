"""[R] Geometric consistency of depths between views, and the confidence that follows: kernels. numpy and numba only."""

from typing import NamedTuple

import numpy as np

from ...model.arrays import Float32Array, UInt8Array
from ..kernels import compiled
from .patchmatch import Sources, round_trip

_NEIGHBOUR_X = (1, -1, 0, 0)
_NEIGHBOUR_Y = (0, 0, 1, -1)


class ConsistencyLimits(NamedTuple):
    """The limits within which a source is consistent: a round trip ends within `pixels` of its start, and its depth
    differs by less than the share `depth`. `parallax` is the number of pixels by which one unit of inverse depth moves
    a point."""

    parallax: float
    pixels: float
    depth: float


@compiled(fastmath=True)
def _relief(planes: Float32Array, x: int, y: int, parallax: float) -> float:
    """The pixels of parallax by which the surface three pixels away departs from the plane of (x, y), at most 2."""
    height, width = planes.shape[:2]
    relief = 0.0
    for dy in range(-3, 4, 3):
        for dx in range(-3, 4, 3):
            qx, qy = x + dx, y + dy
            if qx >= 0 and qy >= 0 and qx < width and qy < height:
                expected = planes[y, x, 0] + planes[y, x, 1] * dx + planes[y, x, 2] * dy
                relief = max(relief, abs(planes[qy, qx, 0] - expected) * parallax)
    return min(relief, 2.0)


@compiled(fastmath=True)
def check_consistency(
    first_row: int, last_row: int, planes: Float32Array, cost: Float32Array, sources: Sources,
    limits: ConsistencyLimits, agreeing: UInt8Array, confidence: Float32Array,
) -> None:  # fmt: skip
    """Fills `agreeing` (h, w) with the number of sources whose depth is consistent with the pixel's, and `confidence`
    (h, w), in the rows from `first_row` up to `last_row`.

    `planes` (h, w, 3) and `cost` (h, w) are those of `patchmatch.sweep`. The confidence is about the share of the
    pixels with such a cost, such a relief (`_relief`) and such round trips whose depth is right to one pixel of
    parallax:

        (1 - 0.6 cost^2) (1 - prod (1 - q)),    q = (1 - 0.1 relief) / (1 + round_trip^2)

    q is the chance that a consistent source is not so by accident. It is lower next to a step of depth, where the
    nearer surface often grows a little too large, and where the round trip ends farther from its start. The second
    factor is the chance that not all sources are accidents. The first factor, for weak texture, applies to all sources
    together, since all views of a bare wall may agree by mere smoothness. The numbers were fitted to the errors of a
    stereo pair with true disparity and of a ray-cast scene.
    """
    sizes, forward, backward, source_planes = sources
    parallax, most_pixels, most_relative = limits
    for y in range(first_row, last_row):
        for x in range(planes.shape[1]):
            count = 0
            doubt = 1.0
            texture = 1 - 0.6 * min(cost[y, x], np.float32(1)) ** 2
            rho = planes[y, x, 0]
            if rho > 0:
                smooth = 1 - 0.1 * _relief(planes, x, y, parallax)
                for v in range(forward.shape[0]):
                    error, back, _ = round_trip(
                        x, y, rho, forward[v], backward[v], source_planes[v], sizes[v, 0], sizes[v, 1]
                    )
                    if error < most_pixels and abs(rho / back - 1) < most_relative:
                        count += 1
                        doubt *= 1 - smooth / (1 + error**2)
            agreeing[y, x] = count
            confidence[y, x] = texture * (1 - doubt)


@compiled(fastmath=True)
def remove_speckles(planes: Float32Array, parallax: float, least: int, confidence: Float32Array) -> None:
    """Sets the `confidence` (h, w) to 0 in islands of fewer than `least` pixels. Neighbours belong to one island where
    their depths differ by less than a pixel of parallax."""
    height, width = confidence.shape
    visited = np.zeros(height * width, np.bool_)
    island = np.empty(height * width, np.int32)
    for start in range(height * width):
        if visited[start] or confidence[start // width, start % width] <= 0:
            continue
        island[0] = start
        visited[start] = True
        size, done = 1, 0
        while done < size:
            y, x = island[done] // width, island[done] % width
            done += 1
            for k in range(4):
                qx, qy = x + _NEIGHBOUR_X[k], y + _NEIGHBOUR_Y[k]
                if qx < 0 or qy < 0 or qx >= width or qy >= height:
                    continue
                q = qy * width + qx
                if visited[q] or confidence[qy, qx] <= 0:
                    continue
                if abs(planes[qy, qx, 0] - planes[y, x, 0]) * parallax < 1:
                    visited[q] = True
                    island[size] = q
                    size += 1
        if size < least:
            for i in range(size):
                confidence[island[i] // width, island[i] % width] = 0
