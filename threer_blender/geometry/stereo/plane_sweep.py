"""[R] Plane sweep with semi-global matching: the first, whole-picture guess of depth. numpy and numba only.

A list of inverse depths, the labels, is tried for all pixels. At each, the sources are warped onto the reference as if
everything were on that fronto-parallel plane, and compared by the census of a 5 x 5 window (Zabih and Woodfill, ECCV
1994). The dynamic programming of Hirschmueller, "Stereo Processing by Semiglobal Matching and Mutual Information"
(TPAMI 2008, eqs. 11-14) then chooses labels that vary smoothly. It finds weakly textured surfaces that local search
misses. `patchmatch` then fits slanted planes to the result, to a fraction of a label.
"""

import numpy as np
from numpy.typing import NDArray

from ...model.arrays import Float32Array, FloatArray, Int32Array, UInt8Array
from ..kernels import compiled
from .patches import PADDING, bilinear

_WORST = 24
"""The largest distance of two census codes: they have a bit for each pixel of a 5 x 5 window without its centre."""

_NOISE = np.float32(1.0 / 255)
"""Grey step (of 1) below which two pixels count as equal, so that on even surfaces smoothness decides, not noise."""

_SECOND = 8
"""The most bits by which the second-best source counts as worse than the best."""

_SMALL_JUMP, _LARGE_JUMP = 6, 60
"""Costs in bits of a step by one label and by more, Hirschmueller's P1 and P2. P2 is less where the picture has
edges."""
_EDGE = 0.04
"""Grey step (of 1) at which a large jump costs half."""


@compiled(fastmath=True)
def census(picture: Float32Array, bits: NDArray[np.uint32]) -> None:
    """Fills `bits` (h, w) with the census of `picture` (h, w): for each pixel 24 bits, one for each neighbour, 1 if
    that is darker. On the two-pixel border all are 0."""
    height, width = picture.shape
    bits[:] = 0
    for y in range(2, height - 2):
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                if dx == 0 and dy == 0:
                    continue
                for x in range(2, width - 2):
                    bits[y, x] = (bits[y, x] << np.uint32(1)) | np.uint32(
                        picture[y + dy, x + dx] < picture[y, x] - _NOISE
                    )


@compiled(fastmath=True)
def _warp(
    pixels: Float32Array,
    start: int,
    stride: int,
    height: int,
    width: int,
    matrix: FloatArray,
    rho: float,
    warped: Float32Array,
) -> None:
    """Fills `warped` (h, w) with the source as the reference would see it if everything were at the inverse depth
    `rho`; -1 where it is out of view. `matrix` (12,) is the transfer to the source, see `patchmatch`.

    The source is `height` x `width`. With its padding it begins at `start` in `pixels`, in rows of `stride` pixels.
    """
    for y in range(warped.shape[0]):
        for x in range(warped.shape[1]):
            z = matrix[6] * x + matrix[7] * y + matrix[8] + rho * matrix[11]
            u = (matrix[0] * x + matrix[1] * y + matrix[2] + rho * matrix[9]) / z
            v = (matrix[3] * x + matrix[4] * y + matrix[5] + rho * matrix[10]) / z
            inside = z > 1e-9 and u >= -1 and v >= -1 and u <= width and v <= height
            su = np.float32(u + PADDING) if inside else np.float32(PADDING)
            sv = np.float32(v + PADDING) if inside else np.float32(PADDING)
            iu = np.int32(su)
            iv = np.int32(sv)
            fu = su - np.float32(iu)
            fv = sv - np.float32(iv)
            value = bilinear(pixels, start + iv * stride + iu, stride, fu, fv)
            warped[y, x] = value if inside else np.float32(-1)


@compiled(fastmath=True)
def match(
    first_label: int, last_label: int, bits: NDArray[np.uint32], stack: Float32Array, sizes: Int32Array,
    forward: FloatArray, labels: FloatArray, volume: UInt8Array,
) -> None:  # fmt: skip
    """Fills `volume` (h, w, L) for the labels from `first_label` up to `last_label`: the sum of the census distances to
    the two best sources.

    `bits` (h, w) is the census of the reference; `stack`, `sizes` and `forward` are those of `views.Comparison`. As in
    `patchmatch`, the second source counts as at most ``_SECOND`` worse than the best, since it may not see the point.
    """
    height, width = bits.shape
    pixels = stack.reshape(-1)
    warped = np.empty((height, width), np.float32)
    source_bits = np.empty((height, width), np.uint32)
    lowest = np.empty((height, width), np.uint8)
    second = np.empty((height, width), np.uint8)
    for label in range(first_label, last_label):
        lowest[:] = _WORST
        second[:] = _WORST
        for v in range(forward.shape[0]):
            start = v * stack.shape[1] * stack.shape[2]
            _warp(pixels, start, stack.shape[2], sizes[v, 0], sizes[v, 1], forward[v], labels[label], warped)
            census(warped, source_bits)
            for y in range(height):
                for x in range(width):
                    d = bits[y, x] ^ source_bits[y, x]  # the four lines below count its bits that are 1
                    d = d - ((d >> np.uint32(1)) & np.uint32(0x55555555))
                    d = (d & np.uint32(0x33333333)) + ((d >> np.uint32(2)) & np.uint32(0x33333333))
                    d = (d + (d >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
                    d = (d * np.uint32(0x01010101)) >> np.uint32(24)
                    # Unseen pixels match nothing: two thirds of the bits, where chance alone gives half.
                    count = np.uint8(d) if warped[y, x] >= 0 else np.uint8(16)
                    second[y, x] = min(second[y, x], max(count, lowest[y, x]))
                    lowest[y, x] = min(lowest[y, x], count)
        for y in range(height):
            for x in range(width):
                other = min(second[y, x], lowest[y, x] + _SECOND) if forward.shape[0] > 1 else lowest[y, x]
                volume[y, x, label] = lowest[y, x] + other


@compiled(fastmath=True)
def _step(
    volume: UInt8Array, previous: Int32Array, current: Int32Array, total: NDArray[np.uint16], fresh: bool, jump: int
) -> None:
    """One pixel of one path (Hirschmueller's eq. 13): fills the path costs `current` from those of the `previous`
    pixel, and adds them to `total` (L,). Both have L costs with a sentinel at both ends. With `fresh`, the path begins
    here."""
    count = volume.shape[0]
    if fresh:
        for i in range(count):
            current[i + 1] = volume[i]
    else:
        lowest = previous[1]
        for i in range(count):
            lowest = min(lowest, previous[i + 1])
        for i in range(count):
            near = min(previous[i], previous[i + 2]) + np.int32(_SMALL_JUMP)
            current[i + 1] = volume[i] + min(min(previous[i + 1], near), lowest + np.int32(jump)) - lowest
    for i in range(count):
        total[i] += np.uint16(current[i + 1])


@compiled(fastmath=True)
def aggregate(
    first: int, last: int, dx: int, dy: int, grey: Float32Array, volume: UInt8Array, total: NDArray[np.uint16]
) -> None:
    """Adds to `total` (h, w, L) the costs of the paths along the picture's lines of direction (dx, dy), both ways. Of
    the `line_count` lines, those from `first` up to `last` are computed.

    The direction is one of DIRECTIONS. `grey` (h, w) is the reference, `volume` (h, w, L) as `match` fills it.
    """
    height, width, count = volume.shape
    previous = np.full(count + 2, 1 << 20, np.int32)
    current = np.full(count + 2, 1 << 20, np.int32)
    for line in range(first, last):
        if dy == 0:
            x0, y0 = 0, line
        elif dx == 0:
            x0, y0 = line, 0
        elif dx > 0:
            x0, y0 = max(line - height + 1, 0), max(height - 1 - line, 0)
        else:
            x0, y0 = min(line, width - 1), max(line - width + 1, 0)
        length = width + height
        if dx != 0:
            length = min(length, width - x0 if dx > 0 else x0 + 1)
        if dy != 0:
            length = min(length, height - y0)
        for backwards in range(2):
            before = np.float32(0)
            for i in range(length):
                position = length - 1 - i if backwards else i
                y, x = y0 + dy * position, x0 + dx * position
                jump = _LARGE_JUMP / (1 + abs(grey[y, x] - before) / _EDGE)
                jump = max(jump, _SMALL_JUMP + 2)
                _step(volume[y, x], previous, current, total[y, x], i == 0, int(jump))
                previous, current = current, previous
                before = grey[y, x]


DIRECTIONS = ((1, 0), (0, 1), (1, 1), (-1, 1))


def line_count(shape: tuple[int, int], dx: int, dy: int) -> int:
    """The number of lines of the direction (dx, dy) in a picture of `shape` (height, width)."""
    height, width = shape
    return width * abs(dy) + height * abs(dx) - abs(dx * dy)


@compiled(fastmath=True)
def pick(first_row: int, last_row: int, total: NDArray[np.uint16], labels: FloatArray, planes: Float32Array) -> None:
    """Fills `planes` (h, w, 3) in the rows from `first_row` up to `last_row` with the inverse depth of the label of
    least `total` (h, w, L), refined by a parabola, and slopes of 0."""
    count = total.shape[2]
    spacing = labels[1] - labels[0]
    for y in range(first_row, last_row):
        for x in range(total.shape[1]):
            best = 0
            for i in range(count):
                if total[y, x, i] < total[y, x, best]:
                    best = i
            shift = 0.0
            if 0 < best < count - 1:
                before = float(total[y, x, best - 1])
                after = float(total[y, x, best + 1])
                curvature = before + after - 2 * float(total[y, x, best])
                if curvature > 0:
                    shift = 0.5 * (before - after) / curvature
            planes[y, x, 0] = labels[best] + shift * spacing
            planes[y, x, 1] = 0
            planes[y, x, 2] = 0


@compiled(fastmath=True)
def tilt(first_row: int, last_row: int, planes: Float32Array, parallax: float, tilted: Float32Array) -> None:
    """Fills `tilted` (h, w, 3) in the rows from `first_row` up to `last_row` with the planes of a least-squares fit to
    those of the 7 x 7 neighbours in `planes` that are within two pixels of parallax."""
    height, width = planes.shape[:2]
    for y in range(first_row, last_row):
        for x in range(width):
            centre = planes[y, x, 0]
            n, sx, sy, sz, sxx, sxy, syy, sxz, syz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for dy in range(-3, 4):
                for dx in range(-3, 4):
                    qx, qy = x + dx, y + dy
                    if qx < 0 or qy < 0 or qx >= width or qy >= height:
                        continue
                    z = planes[qy, qx, 0] - centre
                    if abs(z) * parallax > 2:
                        continue
                    n += 1
                    sx += dx
                    sy += dy
                    sz += z
                    sxx += dx * dx
                    sxy += dx * dy
                    syy += dy * dy
                    sxz += dx * z
                    syz += dy * z
            sxx -= sx * sx / n
            sxy -= sx * sy / n
            syy -= sy * sy / n
            sxz -= sx * sz / n
            syz -= sy * sz / n
            determinant = sxx * syy - sxy * sxy
            tilted[y, x, 0] = centre
            tilted[y, x, 1] = 0
            tilted[y, x, 2] = 0
            if determinant > 1:
                slope_x = (sxz * syy - syz * sxy) / determinant
                slope_y = (syz * sxx - sxz * sxy) / determinant
                tilted[y, x, 0] = centre + (sz - slope_x * sx - slope_y * sy) / n
                tilted[y, x, 1] = slope_x
                tilted[y, x, 2] = slope_y
