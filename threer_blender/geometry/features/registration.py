"""[R] Kernels that register all observations of a tracked point together, to a few hundredths of a pixel.

Each observation is aligned with the mean of all of them, not with the one before, so no error adds up along a track
(as in congealing: Learned-Miller, "Data Driven Image Models through Continuous Joint Alignment", 2006). The patches'
warps come from solved cameras: all that stays unknown is a shift of each patch, and the slope of the one plane on which
the whole patch lies. Pictures are not smoothed, and are interpolated by cubics (Keys, "Cubic Convolution Interpolation
for Digital Image Processing", 1981).
"""

from __future__ import annotations

import numpy as np

from ...model.arrays import Array
from ..kernels import compiled

HALF = 9  # pixels from the middle to the side of a patch
SIDE = 2 * HALF + 1
BORDERED = SIDE + 2  # a patch with a border of a pixel, for its derivatives
ROUNDS = 4  # each aligns all observations, then renews their mean and the plane
FIRST_STEPS, LATER_STEPS = 4, 2  # of an alignment, in the first round and in the others
CONVERGED = 1e-6  # px²: an alignment ends at a step whose square is smaller
LARGEST_CORRECTION = 1.0  # px: an observation that would move farther stays where it was
LEAST_CORRELATION = 0.7  # of an observation that takes part
SMALL, SMALL_WEIGHT = 0.7, 0.2  # patches of a smaller area than the mean's count less in it: they are blurred there
LARGEST_SLOPE = 0.1  # relative change of the inverse depth from pixel to pixel
RIDGE = 1e-3  # damping of the slopes, in the unit of the squared derivatives of patches of unit length


@compiled(fastmath=True)
def _weights(t: float) -> tuple[float, float, float, float]:
    """The weights of four neighbouring pixels in a cubic, for a place at `t` from the second to the third."""
    return (
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    )


@compiled(fastmath=True)
def _sampled(picture: Array, place: Array, warp: Array, half: int) -> Array:
    """((2 half + 1)²,) the picture on a grid around `place` (2,), which `warp` (2, 2) has deformed. Beyond its border,
    the picture is repeated."""
    height, width = picture.shape
    side = 2 * half + 1
    out = np.empty(side * side)
    for k in range(side * side):
        u, v = k % side - half, k // side - half
        x = place[0] + warp[0, 0] * u + warp[0, 1] * v - 0.5
        y = place[1] + warp[1, 0] * u + warp[1, 1] * v - 0.5
        column, row = int(np.floor(x)), int(np.floor(y))
        along, down = _weights(x - column), _weights(y - row)
        value = 0.0
        for j in range(4):
            line = picture[min(max(row + j - 1, 0), height - 1)]
            across = 0.0
            for i in range(4):
                across += along[i] * line[min(max(column + i - 1, 0), width - 1)]
            value += down[j] * across
        out[k] = value
    return out


@compiled(fastmath=True)
def _normalise(patch: Array) -> float:
    """Gives the patch zero mean and unit length, in place. Returns the length that it had."""
    patch -= patch.mean()
    length = np.sqrt(max((patch * patch).sum(), 1e-9))
    patch /= length
    return float(length)


@compiled(fastmath=True)
def _prepare(bordered: Array, mean: Array, derivatives: Array) -> Array:
    """Fills the normalised `mean` patch (SIDE²,) and its `derivatives` (2, SIDE²) by a shift, from the patch with its
    border. Returns (2, 2) the inverse of the sums of the derivatives' products."""
    for k in range(SIDE * SIDE):
        i = (k // SIDE + 1) * BORDERED + k % SIDE + 1
        mean[k] = bordered[i]
        derivatives[0, k] = 0.5 * (bordered[i + 1] - bordered[i - 1])
        derivatives[1, k] = 0.5 * (bordered[i + BORDERED] - bordered[i - BORDERED])
    length = _normalise(mean)
    for axis in range(2):
        derivatives[axis] /= length
        _make_orthogonal(derivatives[axis], mean)
    xx, yy = (derivatives[0] ** 2).sum() + 1e-9, (derivatives[1] ** 2).sum() + 1e-9
    xy = (derivatives[0] * derivatives[1]).sum()
    inverse = np.empty((2, 2))
    inverse[0, 0], inverse[0, 1], inverse[1, 0], inverse[1, 1] = yy, -xy, -xy, xx
    return inverse / (xx * yy - xy * xy)


@compiled(fastmath=True)
def _make_orthogonal(derivative: Array, mean: Array) -> None:
    """Removes from a derivative, in place, what a change of brightness or contrast would do to the `mean` patch."""
    derivative -= derivative.mean()
    derivative -= (derivative * mean).sum() * mean


@compiled(fastmath=True)
def _warp(facing: Array, parallax: Array, slope: Array) -> Array:
    """(2, 2) the warp of a patch on a plane of this `slope` (2,), from that of a plane that faces the reference."""
    warp = facing.copy()
    for row in range(2):
        for column in range(2):
            warp[row, column] += parallax[row] * slope[column]
    return warp


@compiled(fastmath=True)
def _align(
    picture: Array, place: Array, warp: Array, mean: Array, derivatives: Array, normal: Array, steps: int
) -> float:
    """Moves `place` (2,), in place, to where the picture agrees with the `mean` patch. Returns the correlation there;
    0 where the patch leaves the picture."""
    height, width = picture.shape
    reach_x = HALF * (abs(warp[0, 0]) + abs(warp[0, 1])) + 1.0
    reach_y = HALF * (abs(warp[1, 0]) + abs(warp[1, 1])) + 1.0
    done = False
    for step in range(steps + 1):
        if not (reach_x < place[0] < width - reach_x and reach_y < place[1] < height - reach_y):
            return 0.0
        patch = _sampled(picture, place, warp, HALF)
        _normalise(patch)
        correlation = (patch * mean).sum()
        if done or step == steps:
            break
        along, down = (derivatives[0] * (patch - mean)).sum(), (derivatives[1] * (patch - mean)).sum()
        dx = normal[0, 0] * along + normal[0, 1] * down
        dy = normal[1, 0] * along + normal[1, 1] * down
        place[0] -= warp[0, 0] * dx + warp[0, 1] * dy
        place[1] -= warp[1, 0] * dx + warp[1, 1] * dy
        done = dx * dx + dy * dy < CONVERGED
    return float(correlation)


@compiled(fastmath=True)
def _add_slopes(
    normals: tuple[Array, Array, Array], patch: Array, towards: Array, mean: Array, derivatives: Array, weight: float
) -> None:
    """Adds an observation's share to the normal equations of the plane's slope: a matrix (2, 2) and a right side (2,).

    `normals` are these two, and the inverse of the sums of products of the `derivatives`. `patch` is the normalised one
    of the observation. `towards` (2,) is its parallax in pixels of the mean patch.
    """
    matrix, right, normal = normals
    by_slope = np.empty((2, SIDE * SIDE))
    for axis in range(2):
        for k in range(SIDE * SIDE):
            offset = k // SIDE - HALF if axis else k % SIDE - HALF
            by_slope[axis, k] = (towards[0] * derivatives[0, k] + towards[1] * derivatives[1, k]) * offset
        _make_orthogonal(by_slope[axis], mean)
        along, down = (by_slope[axis] * derivatives[0]).sum(), (by_slope[axis] * derivatives[1]).sum()
        # Less the part that a shift explains.
        by_slope[axis] -= (normal[0, 0] * along + normal[0, 1] * down) * derivatives[0]
        by_slope[axis] -= (normal[1, 0] * along + normal[1, 1] * down) * derivatives[1]
    for row in range(2):
        right[row] -= weight * (by_slope[row] * (patch - mean)).sum()
        for column in range(2):
            matrix[row, column] += weight * (by_slope[row] * by_slope[column]).sum()


@compiled(fastmath=True)
def _one_round(
    pictures: Array,
    cameras: Array,
    geometry: tuple[Array, Array, Array],
    places: Array,
    before: Array,
    correlations: Array,
    bordered: Array,
    steps: int,
) -> Array:
    """Aligns a point's observations with the patch `bordered`, and fits its slope. Changes `places`, `correlations` and
    the slope in place. `geometry` are warps, parallax and slope. Returns the observations' new mean patch, with its
    border; the given one where none takes part."""
    warps, parallax, slope = geometry
    mean, derivatives = np.empty(SIDE * SIDE), np.empty((2, SIDE * SIDE))
    normal = _prepare(bordered, mean, derivatives)
    matrix, right = RIDGE * np.eye(2), -RIDGE * slope
    sums, total = np.zeros(BORDERED * BORDERED), 0.0
    for m in range(len(places)):
        picture, place, warp = pictures[cameras[m]], places[m].copy(), _warp(warps[m], parallax[m], slope)
        correlations[m] = _align(picture, place, warp, mean, derivatives, normal, steps)
        if ((place - before[m]) ** 2).sum() > LARGEST_CORRECTION**2:
            correlations[m] = 0.0
        if correlations[m] < LEAST_CORRELATION:
            continue
        places[m] = place
        weight, patch = correlations[m] ** 4, _sampled(picture, place, warp, HALF + 1)
        inner = patch.reshape(BORDERED, BORDERED)[1:-1, 1:-1].copy().reshape(-1)
        _normalise(inner)
        area = warp[0, 0] * warp[1, 1] - warp[0, 1] * warp[1, 0]
        towards = np.empty(2)
        towards[0] = (warp[1, 1] * parallax[m, 0] - warp[0, 1] * parallax[m, 1]) / area
        towards[1] = (warp[0, 0] * parallax[m, 1] - warp[1, 0] * parallax[m, 0]) / area
        _add_slopes((matrix, right, normal), inner, towards, mean, derivatives, weight)
        if area < SMALL:
            weight *= SMALL_WEIGHT
        _normalise(patch)
        sums += weight * patch
        total += weight
    determinant = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0]
    dx = (matrix[1, 1] * right[0] - matrix[0, 1] * right[1]) / determinant
    dy = (matrix[0, 0] * right[1] - matrix[1, 0] * right[0]) / determinant
    slope[0] = min(max(slope[0] + dx, -LARGEST_SLOPE), LARGEST_SLOPE)
    slope[1] = min(max(slope[1] + dy, -LARGEST_SLOPE), LARGEST_SLOPE)
    return sums / total if total > 0 else bordered


@compiled(fastmath=True)
def register(
    pictures: Array, begins: Array, cameras: Array, references: Array, warps: Array, parallax: Array, places: Array
) -> Array:
    """Moves `places` (M, 2) of observations, in place, to where they agree with the other ones of their point.

    Point p has the observations from `begins[p]` up to `begins[p + 1]`, and `references[p]` is the one whose pixels its
    patch has. Observation m is in the picture `cameras[m]` of `pictures` (F, H, W) float32. `warps` (M, 2, 2) are the
    Jacobians from pixels of the patch to pixels of the picture, for a plane that faces the reference. `parallax` (M, 2)
    is the derivative of the place by the logarithm of the point's inverse depth.

    Returns the normalised cross-correlations (M,) with the mean patch. Those that do not take part have less than
    LEAST_CORRELATION, and their places stay as they were.
    """
    correlations, before = np.zeros(len(places)), places.copy()
    for p in range(len(begins) - 1):
        first, last, slope = begins[p], begins[p + 1], np.zeros(2)
        here = pictures[cameras[references[p]]]
        bordered = _sampled(here, places[references[p]], np.eye(2), HALF + 1)
        for round_number in range(ROUNDS):
            steps = LATER_STEPS if round_number else FIRST_STEPS
            bordered = _one_round(
                pictures,
                cameras[first:last],
                (warps[first:last], parallax[first:last], slope),
                places[first:last],
                before[first:last],
                correlations[first:last],
                bordered,
                steps,
            )
        for m in range(first, last):
            if correlations[m] < LEAST_CORRELATION:
                places[m] = before[m]
    return correlations
