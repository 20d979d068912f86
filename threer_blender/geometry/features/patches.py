"""[R] Patches of grey pictures: corners that differ from their neighbourhood, and their alignment in other pictures.

Corners: Shi & Tomasi 1994. Alignment: Lucas & Kanade 1981, in the inverse compositional form of Baker & Matthews 2004.
From frame to frame, patches are aligned by translation, coarse to fine through a pyramid. Against the frame in which a
patch first appeared they are aligned by an affine warp, independent of brightness and contrast. Pixel centres lie at
(0.5, 0.5).
"""

from __future__ import annotations

import numpy as np

from ...model.arrays import Array
from ..kernels import compiled

COARSEST = 48  # pixels: no level of a pyramid is shrunk below this longer side
SEARCH = 4  # pixels from the middle to the side of the patches that are followed from frame to frame
HALF = 7  # the same for the templates that are recognised
SIDE = 2 * HALF + 1  # pixels of a side of a template
ITERATIONS = 12  # of an alignment, at most
CONVERGED = 1e-4  # px²: an alignment ends at a step whose square is smaller
STIFFNESS = 0.02  # relative damping of the four affine terms of a warp


def pyramid(picture: Array) -> list[Array]:
    """The levels of the picture (H, W), float32: first the picture itself, smoothed, then each half as large as the one
    before, as long as its longer side has COARSEST pixels and its shorter one holds a patch of SEARCH."""
    levels = [_smoothed(np.ascontiguousarray(picture, np.float32))]
    while max(levels[-1].shape) >= 2 * COARSEST and min(levels[-1].shape) >= 4 * SEARCH + 4:
        levels.append(_halved(levels[-1]))
    return levels


@compiled(fastmath=True)
def _smoothed(picture: Array) -> Array:
    """The picture (H, W) blurred with weights (1 2 1)/4 along both axes; the border is repeated."""
    height, width = picture.shape
    rows, out = np.empty_like(picture), np.empty_like(picture)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            rows[y, x] = 0.25 * picture[above, x] + 0.5 * picture[y, x] + 0.25 * picture[below, x]
    for y in range(height):
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            out[y, x] = 0.25 * rows[y, left] + 0.5 * rows[y, x] + 0.25 * rows[y, right]
    return out


@compiled(fastmath=True)
def _halved(picture: Array) -> Array:
    """The picture (H // 2, W // 2) of the means of 2 × 2 pixels."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    out = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            upper = picture[2 * y, 2 * x] + picture[2 * y, 2 * x + 1]
            out[y, x] = 0.25 * (upper + picture[2 * y + 1, 2 * x] + picture[2 * y + 1, 2 * x + 1])
    return out


@compiled(fastmath=True)
def corners(picture: Array) -> Array:
    """(H, W) float32: the strength of the corner at each pixel of a picture (H, W), 0 near the border.

    It is the smaller eigenvalue of the mean, over a patch of SIDE pixels, of the gradients' outer products.
    """
    height, width = picture.shape
    out = np.zeros((height, width), np.float32)
    if height <= 2 * HALF + 2 or width <= 2 * HALF + 2:
        return out
    column = np.zeros((3, width))  # sums over SIDE rows
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            gx, gy = 0.5 * (picture[y, x + 1] - picture[y, x - 1]), 0.5 * (picture[y + 1, x] - picture[y - 1, x])
            column[0, x] += gx * gx
            column[1, x] += gx * gy
            column[2, x] += gy * gy
        old = y - SIDE
        if old >= 1:
            for x in range(1, width - 1):
                gx = 0.5 * (picture[old, x + 1] - picture[old, x - 1])
                gy = 0.5 * (picture[old + 1, x] - picture[old - 1, x])
                column[0, x] -= gx * gx
                column[1, x] -= gx * gy
                column[2, x] -= gy * gy
        if y < SIDE:
            continue
        xx = xy = yy = 0.0
        for x in range(1, width - 1):
            xx += column[0, x]
            xy += column[1, x]
            yy += column[2, x]
            if x > SIDE:
                xx -= column[0, x - SIDE]
                xy -= column[1, x - SIDE]
                yy -= column[2, x - SIDE]
            if x >= SIDE:
                smaller = 0.5 * (xx + yy) - np.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
                out[y - HALF, x - HALF] = smaller / (SIDE * SIDE)
    return out


@compiled(fastmath=True)
def best_corners(strength: Array, blocked: Array, cell: int, least: float) -> Array:
    """(K, 2) int64 x, y: the strongest pixel of each cell of `cell` × `cell` pixels, if it is stronger than `least`.

    `strength` is (H, W). Pixels where `blocked` (H, W) bool is true are not chosen. A cell whose strongest pixel is
    within half a cell of one chosen in an earlier cell gets none.
    """
    height, width = strength.shape
    rows, columns = (height + cell - 1) // cell, (width + cell - 1) // cell
    out = np.empty((rows * columns, 2), np.int64)
    count = 0
    for row in range(rows):
        for col in range(columns):
            best, bx, by = least, -1, -1
            for y in range(row * cell, min((row + 1) * cell, height)):
                for x in range(col * cell, min((col + 1) * cell, width)):
                    if strength[y, x] > best and not blocked[y, x]:
                        best, bx, by = strength[y, x], x, y
            if bx < 0:
                continue
            near = False  # whether a corner chosen since the cell above and to the left is near
            for k in range(max(0, count - columns - 2), count):
                near = near or (abs(out[k, 0] - bx) < cell // 2 and abs(out[k, 1] - by) < cell // 2)
            if not near:
                out[count, 0], out[count, 1] = bx, by
                count += 1
    return out[:count]


@compiled(fastmath=True)
def _sample(picture: Array, x: float, y: float) -> float:
    """The picture at (x, y), interpolated bilinearly; the point must lie inside."""
    u, v = x - 0.5, y - 0.5
    i, j = int(u), int(v)
    a, b = u - i, v - j
    upper = picture[j, i] * (1 - a) + picture[j, i + 1] * a
    return upper * (1 - b) + (picture[j + 1, i] * (1 - a) + picture[j + 1, i + 1] * a) * b


@compiled(fastmath=True)
def _shift(first: Array, second: Array, x0: float, y0: float, x: float, y: float) -> tuple[bool, float, float]:
    """Aligns the patch of `first` at (x0, y0) with `second`, from (x, y): whether it stayed inside, and its x and y."""
    size = 2 * SEARCH + 1
    height, width = first.shape
    margin = SEARCH + 2.0
    if not (margin < x0 < width - margin and margin < y0 < height - margin):
        return False, x, y
    patch, along, down = np.empty(size * size), np.empty(size * size), np.empty(size * size)
    xx = xy = yy = mean = 0.0
    for k in range(size * size):
        u, v = x0 + k % size - SEARCH, y0 + k // size - SEARCH
        patch[k] = _sample(first, u, v)
        mean += patch[k]
        along[k] = 0.5 * (_sample(first, u + 1, v) - _sample(first, u - 1, v))
        down[k] = 0.5 * (_sample(first, u, v + 1) - _sample(first, u, v - 1))
        xx += along[k] * along[k]
        xy += along[k] * down[k]
        yy += down[k] * down[k]
    mean /= size * size
    ridge = 1e-3 * (xx + yy) + 1e-6
    determinant = (xx + ridge) * (yy + ridge) - xy * xy
    values = np.empty(size * size)
    for _ in range(ITERATIONS):
        if not (margin < x < width - margin and margin < y < height - margin):
            return False, x, y
        second_mean = 0.0
        for k in range(size * size):
            values[k] = _sample(second, x + k % size - SEARCH, y + k // size - SEARCH)
            second_mean += values[k]
        second_mean /= size * size
        ex = ey = 0.0
        for k in range(size * size):
            difference = values[k] - second_mean - patch[k] + mean
            ex += along[k] * difference
            ey += down[k] * difference
        dx = ((yy + ridge) * ex - xy * ey) / determinant
        dy = ((xx + ridge) * ey - xy * ex) / determinant
        x -= dx
        y -= dy
        if dx * dx + dy * dy < CONVERGED:
            break
    return True, x, y


def follow(first: list[Array], second: list[Array], places: Array, guesses: Array) -> tuple[Array, Array]:
    """Follows the patches at `places` (N, 2) of the pyramid `first` into the pyramid `second`, from `guesses` (N, 2).

    All are in pixels of the finest level. Returns the places in `second` (N, 2), and (N,) whether each patch lies
    inside at the finest level.
    """
    out = np.ascontiguousarray(guesses, np.float64).copy()
    inside = np.ones(len(out), np.bool_)
    for level in reversed(range(len(first))):
        _follow_level(first[level], second[level], places, out, inside, float(2**level), level == 0)
    return out, inside


@compiled(fastmath=True)
def _follow_level(
    first: Array, second: Array, places: Array, out: Array, inside: Array, scale: float, last: bool
) -> None:
    """Follows the patches at one level, which is 1 / `scale` as large as the finest: updates their places `out` (N, 2).
    At the `last` level, clears `inside` (N,) for those that leave the picture."""
    for i in range(len(out)):
        x0, y0 = places[i, 0] / scale, places[i, 1] / scale
        tracked, x, y = _shift(first, second, x0, y0, out[i, 0] / scale, out[i, 1] / scale)
        if tracked:
            out[i, 0], out[i, 1] = x * scale, y * scale
        elif last:
            inside[i] = False


@compiled(fastmath=True)
def templates(picture: Array, places: Array) -> tuple[Array, Array, Array]:
    """Templates for `recognise`: the patches around `places` (N, 2), each the centre of a pixel at least HALF + 1
    inside.

    Returns the patches (N, SIDE²) of zero mean and unit length, their derivatives by the six parameters of an affine
    warp (N, SIDE², 6), and the inverses (N, 6, 6) of the damped sums of the derivatives' outer products. A warp's
    parameters are the translation in x and y, then the four elements of D, row by row, in x -> x + D x.
    """
    count = len(places)
    patches = np.empty((count, SIDE * SIDE), np.float32)
    slopes = np.empty((count, SIDE * SIDE, 6), np.float32)
    inverses = np.empty((count, 6, 6))
    for i in range(count):
        column, row = int(places[i, 0]), int(places[i, 1])
        mean = square = 0.0
        for k in range(SIDE * SIDE):
            value = float(picture[row + k // SIDE - HALF, column + k % SIDE - HALF])
            mean += value / (SIDE * SIDE)
            square += value * value
        norm = np.sqrt(max(square - SIDE * SIDE * mean * mean, 1e-6))
        mean_slope = np.zeros(6)
        for k in range(SIDE * SIDE):
            u, v = k % SIDE - HALF, k // SIDE - HALF
            x, y = column + u, row + v
            patches[i, k] = (picture[y, x] - mean) / norm
            along = 0.5 * (picture[y, x + 1] - picture[y, x - 1]) / norm
            down = 0.5 * (picture[y + 1, x] - picture[y - 1, x]) / norm
            slopes[i, k, 0], slopes[i, k, 1] = along, down
            slopes[i, k, 2], slopes[i, k, 3] = along * u, along * v
            slopes[i, k, 4], slopes[i, k, 5] = down * u, down * v
            for a in range(6):
                mean_slope[a] += slopes[i, k, a] / (SIDE * SIDE)
        normal = np.zeros((6, 6))
        for k in range(SIDE * SIDE):
            for a in range(6):
                slopes[i, k, a] -= mean_slope[a]
            for a in range(6):
                for b in range(6):
                    normal[a, b] += slopes[i, k, a] * slopes[i, k, b]
        for a in range(6):
            normal[a, a] *= 1 + (STIFFNESS if a >= 2 else 1e-4)
            normal[a, a] += 1e-9
        inverses[i] = _inverted(normal)
    return patches, slopes, inverses


@compiled(fastmath=True)
def _inverted(matrix: Array) -> Array:
    """The inverse of a positive definite matrix (N, N), by Gauss-Jordan elimination: numba's own needs SciPy."""
    size = len(matrix)
    left, inverse = matrix.copy(), np.eye(size)
    for row in range(size):
        pivot = left[row, row]
        for k in range(size):
            left[row, k] /= pivot
            inverse[row, k] /= pivot
        for other in range(size):
            factor = left[other, row]
            if other != row:
                for k in range(size):
                    left[other, k] -= factor * left[row, k]
                    inverse[other, k] -= factor * inverse[row, k]
    return inverse


@compiled(fastmath=True)
def recognise(
    picture: Array, patches: Array, slopes: Array, inverses: Array, places: Array, warps: Array, correlations: Array
) -> None:
    """Moves `places` (N, 2) and `warps` (N, 2, 2), in place, to where `picture` shows the patches of `templates`.

    `warps` are the Jacobians from pixels of the template to pixels of `picture`. `correlations` (N,) gets each patch's
    normalised cross-correlation in [-1, 1], 0 where the patch leaves the picture or its warp degenerates.
    """
    height, width = picture.shape
    values = np.empty(SIDE * SIDE)
    gradient, step = np.empty(6), np.empty(6)
    for i in range(len(places)):
        px, py = places[i, 0], places[i, 1]
        a, b, c, d = warps[i, 0, 0], warps[i, 0, 1], warps[i, 1, 0], warps[i, 1, 1]
        correlations[i] = 0.0
        for _ in range(ITERATIONS):
            reach_x, reach_y = HALF * (abs(a) + abs(b)) + 1.5, HALF * (abs(c) + abs(d)) + 1.5
            if not (reach_x < px < width - reach_x and reach_y < py < height - reach_y):
                correlations[i] = 0.0
                break
            mean = square = 0.0
            for k in range(SIDE * SIDE):
                u, v = k % SIDE - HALF, k // SIDE - HALF
                values[k] = _sample(picture, px + a * u + b * v, py + c * u + d * v)
                mean += values[k]
                square += values[k] * values[k]
            mean /= SIDE * SIDE
            norm = np.sqrt(max(square - SIDE * SIDE * mean * mean, 1e-6))
            correlation = 0.0
            gradient[:] = 0.0
            for k in range(SIDE * SIDE):
                value = (values[k] - mean) / norm
                correlation += value * patches[i, k]
                difference = value - patches[i, k]
                for n in range(6):
                    gradient[n] += slopes[i, k, n] * difference
            correlations[i] = correlation
            for n in range(6):
                step[n] = 0.0
                for m in range(6):
                    step[n] += inverses[i, n, m] * gradient[m]
            # The warp W composed with the inverse of the step x -> x + D x + t: W (1 + D)^-1, and its place moved back.
            e, f, g, h = 1 + step[2], step[3], step[4], 1 + step[5]
            determinant = e * h - f * g
            if determinant < 0.2:
                correlations[i] = 0.0
                break
            a, b, c, d = (
                (a * h - b * g) / determinant,
                (b * e - a * f) / determinant,
                (c * h - d * g) / determinant,
                (d * e - c * f) / determinant,
            )
            dx, dy = a * step[0] + b * step[1], c * step[0] + d * step[1]
            px -= dx
            py -= dy
            if dx * dx + dy * dy < CONVERGED:
                break
        places[i, 0], places[i, 1] = px, py
        warps[i, 0, 0], warps[i, 0, 1], warps[i, 1, 0], warps[i, 1, 1] = a, b, c, d
