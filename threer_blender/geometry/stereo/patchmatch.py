"""[R] Multi-view PatchMatch stereo on the CPU: the kernels. numpy and numba only.

A surface hypothesis at a pixel is a plane written as *inverse depth that is linear in the pixel*:

    rho(x + dx, y + dy) = rho + rho_x dx + rho_y dy

which holds exactly for planes under perspective. A pixel p with inverse depth rho is seen by another camera at the
homogeneous pixel ``A p + rho b`` with ``A = K' R K^-1`` and ``b = K' t`` (Hartley and Zisserman 2004, eq. 13.1), and
its inverse depth there is ``rho / (A p + rho b)_3``. This needs no normals and no division by a plane's distance. The
twelve numbers of A (row by row) and b are called a transfer.

The optimisation is the red-black PatchMatch of Galliani, Lasinger and Schindler, "Massively Parallel Multiview
Stereopsis by Surface Normal Diffusion" (ICCV 2015), with the bilaterally weighted NCC and the geometric consistency
of Schoenberger et al., "Pixelwise View Selection for Unstructured Multi-View Stereo" (ECCV 2016, eqs. 5 and 15), and
with a truncated smoothness between neighbouring planes, as in Besse et al., "PMBP" (BMVC 2012), that decides where
the pictures cannot.

Conventions inside the kernels: pixel centres are at integers (``views.centred`` shifts the intrinsics); arrays are
C-contiguous float32; several views are stacked and padded to one size, so that one compiled kernel serves all.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...model.arrays import Float32Array, FloatArray, Int32Array
from ..kernels import compiled
from .patches import RADIUS, SAMPLES, Patch, Real, colour_similarity, prepare_patch, source_cost

_LEAST_COSINE = 0.1
"""Cosine between ray and normal: flatter surfaces (more than 84 degrees off their normal) are not considered."""

# Steps to the four neighbours. They are also the directions of the four arms: lines of pixels whose planes are tried.
_NEIGHBOUR_X = (1, -1, 0, 0)
_NEIGHBOUR_Y = (0, 0, 1, -1)
_ARM_LENGTH = 21
"""Pixels: the largest distance along an arm from which a plane is tried."""
_TRUNCATION = 2.0
"""Pixels of parallax beyond which two neighbours are on different surfaces and no longer smooth each other."""

_GEOMETRIC_TRUNCATION = 3.0
"""Pixels: larger errors of a round trip cost as much as this."""
_SAME = 0.01
"""Pixels of parallax below which a neighbour's plane offers nothing new."""

_SECOND = 0.3
"""The most by which the second source counts as worse than the best, since it may not see the point."""

NOT_VISIBLE = 1e9
"""The error of a round trip that is not possible; finite, since fast arithmetic knows no infinity."""


class Reference(NamedTuple):
    """The view whose depths are searched: its picture `grey` (h, w) and `rgb` (h, w, 3), and K `intrinsics` (3, 3).
    `nearest` > `farthest` > 0 bound the inverse depth; `parallax` is the number of pixels by which one unit of it moves
    a point in the sources."""

    grey: Float32Array
    rgb: Float32Array
    intrinsics: FloatArray
    nearest: float
    farthest: float
    parallax: float


class Sources(NamedTuple):
    """S other views: their `sizes` (S, 2), height and width; the transfers `forward` (S, 12) to them and `backward`
    (S, 12) from them; and their `planes` (S, H, W, 3)."""

    sizes: Int32Array
    forward: FloatArray
    backward: FloatArray
    planes: Float32Array


class SweepSettings(NamedTuple):
    """`colour`, 0 or 1, says which pixels of the chequered picture are improved. `seed` is that of the random changes,
    and `step` their size in pixels of parallax. `smoothness` and `geometric` are the costs of one pixel of parallax
    between neighbours, and of one pixel's error of a round trip."""

    colour: int
    seed: int
    step: float
    smoothness: float
    geometric: float


@compiled(fastmath=True)
def round_trip(
    x: float,
    y: float,
    rho: float,
    forward: FloatArray,
    backward: FloatArray,
    planes: Float32Array,
    height: int,
    width: int,
) -> tuple[float, float, float]:
    """Sends the pixel (x, y) of inverse depth `rho` to a source, and back by the source's own depth there.

    `planes` (H, W, 3) are the source's, of which `height` and `width` are used. Returns the distance in pixels from the
    start to the end, the inverse depth at the end, and the source's inverse depth over the one expected there. The
    distance is NOT_VISIBLE where the source does not see the point or has no depth there.
    """
    z = forward[6] * x + forward[7] * y + forward[8] + rho * forward[11]
    if z <= 1e-9:
        return NOT_VISIBLE, 0.0, 0.0
    u = (forward[0] * x + forward[1] * y + forward[2] + rho * forward[9]) / z
    v = (forward[3] * x + forward[4] * y + forward[5] + rho * forward[10]) / z
    if not (u > -0.5 and v > -0.5 and u < width - 0.5 and v < height - 0.5):
        return NOT_VISIBLE, 0.0, 0.0
    iu = min(int(u + 0.5), width - 1)
    iv = min(int(v + 0.5), height - 1)
    if planes[iv, iu, 0] <= 0:
        return NOT_VISIBLE, 0.0, 0.0
    there = planes[iv, iu, 0] + planes[iv, iu, 1] * (u - iu) + planes[iv, iu, 2] * (v - iv)
    back = backward[6] * u + backward[7] * v + backward[8] + there * backward[11]
    if there <= 0 or back <= 1e-9:
        return NOT_VISIBLE, 0.0, 0.0
    bx = (backward[0] * u + backward[1] * v + backward[2] + there * backward[9]) / back
    by = (backward[3] * u + backward[4] * v + backward[5] + there * backward[10]) / back
    return math.hypot(bx - x, by - y), there / back, there * z / rho


@compiled(fastmath=True)
def _best_two(costs: Float32Array) -> Real:
    """The mean of the two smallest of `costs` (S,), the second counted as at most ``_SECOND`` worse than the first.

    Two of several sources suffice, since a point is hidden in some of them. One suffices if the next is much worse.
    """
    first = costs[0]
    second = first + np.float32(_SECOND)
    for i in range(1, costs.shape[0]):
        if costs[i] < first:
            second = min(first, costs[i] + np.float32(_SECOND))
            first = costs[i]
        else:
            second = min(second, costs[i])
    return first if costs.shape[0] == 1 else 0.5 * (first + second)


@compiled(fastmath=True)
def _random(state: NDArray[np.uint64]) -> Real:
    """A number in [-1, 1): the upper bits of Knuth's MMIX linear congruential generator, whose state (1,) advances."""
    state[0] = state[0] * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    return np.float64(state[0] >> np.uint64(40)) / 8388608.0 - 1.0


@compiled(fastmath=True)
def _smoothness(rho: float, expected: FloatArray, neighbour_weight: FloatArray, parallax: float) -> float:
    """The weighted sum of the truncated distances, in pixels of parallax, from the inverse depth `rho` to those that
    the four neighbours' planes predict here, see `_expect`."""
    total = 0.0
    for k in range(4):
        total += neighbour_weight[k] * min(abs(rho - expected[k]) * parallax, _TRUNCATION)
    return total


@compiled(fastmath=True)
def _too_flat(intrinsics: FloatArray, x: int, y: int, rho: float, rho_x: float, rho_y: float) -> bool:
    """Whether the plane is seen at a more grazing angle than _LEAST_COSINE.

    With rho(p) = m . K^-1 p the plane is m . X = 1, so the cosine is rho / (|m| |K^-1 p|) and m = K^T (gradient).
    """
    constant = rho - rho_x * x - rho_y * y
    mx = intrinsics[0, 0] * rho_x
    my = intrinsics[0, 1] * rho_x + intrinsics[1, 1] * rho_y
    mz = intrinsics[0, 2] * rho_x + intrinsics[1, 2] * rho_y + constant
    ray_y = (y - intrinsics[1, 2]) / intrinsics[1, 1]
    ray_x = (x - intrinsics[0, 2] - intrinsics[0, 1] * ray_y) / intrinsics[0, 0]
    square = (mx * mx + my * my + mz * mz) * (ray_x * ray_x + ray_y * ray_y + 1)
    return rho < _LEAST_COSINE * math.sqrt(square)


@compiled(fastmath=True)
def _best_on_arm(cost: Float32Array, x: int, y: int, arm: int) -> int:
    """The distance from (x, y) along an arm at which the `cost` (h, w) is least; 0 where the arm leaves the picture at
    once."""
    height, width = cost.shape
    best = 0
    lowest = np.float32(9)  # above all costs
    for distance in range(3, _ARM_LENGTH + 1, 2):
        ax = x + _NEIGHBOUR_X[arm] * distance
        ay = y + _NEIGHBOUR_Y[arm] * distance
        if ax < 0 or ay < 0 or ax >= width or ay >= height:
            break
        if cost[ay, ax] < lowest:
            lowest = cost[ay, ax]
            best = distance
    return best


@compiled(fastmath=True)
def _expect(
    planes: Float32Array,
    rgb: Float32Array,
    x: int,
    y: int,
    smoothness: float,
    expected: FloatArray,
    neighbour_weight: FloatArray,
) -> None:
    """Fills `expected` (4,) with the inverse depths that the four neighbours' planes predict at (x, y), and
    `neighbour_weight` (4,) with the cost of one pixel of parallax to each, less between different colours."""
    height, width = planes.shape[:2]
    for k in range(4):
        qx = x + _NEIGHBOUR_X[k]
        qy = y + _NEIGHBOUR_Y[k]
        expected[k] = 0
        neighbour_weight[k] = 0
        if qx >= 0 and qy >= 0 and qx < width and qy < height:
            plane = planes[qy, qx]
            expected[k] = plane[0] + plane[1] * (x - qx) + plane[2] * (y - qy)
            neighbour_weight[k] = smoothness * colour_similarity(rgb, x, y, qx, qy)


@compiled(fastmath=True)
def _borrowed(planes: Float32Array, cost: Float32Array, x: int, y: int, k: int) -> tuple[float, float, float]:
    """The plane of the k-th neighbour (0 to 3 the next pixels, 4 to 7 the best of each arm), extended to (x, y);
    inverse depth 0 where there is none."""
    height, width = cost.shape
    arm = k % 4
    distance = 1 if k < 4 else _best_on_arm(cost, x, y, arm)
    qx = x + _NEIGHBOUR_X[arm] * distance
    qy = y + _NEIGHBOUR_Y[arm] * distance
    if distance == 0 or qx < 0 or qy < 0 or qx >= width or qy >= height:
        return 0.0, 0.0, 0.0
    plane = planes[qy, qx]
    return plane[0] + plane[1] * (x - qx) + plane[2] * (y - qy), plane[1], plane[2]


@compiled(fastmath=True)
def sweep(
    first_row: int, last_row: int, reference: Reference, stack: Float32Array, sources: Sources, settings: SweepSettings,
    planes: Float32Array, cost: Float32Array,
) -> None:  # fmt: skip
    """Improves every second pixel of the rows from `first_row` up to `last_row`, in place.

    `planes` (h, w, 3) = rho, rho_x, rho_y, and `cost` (h, w) are read and written. The cost is that of the pictures,
    and if `geometric` > 0 of the round trips, without smoothness. `stack` (S, H + 2 PADDING, W + 2 PADDING) are the
    grey sources; their planes are read if `geometric` > 0.

    Each pixel tries its own plane, those of its four neighbours, the best one of each of four arms, and three random
    changes.
    """
    grey, rgb, intrinsics, nearest, farthest, parallax = reference
    sizes, forward, backward, source_planes = sources
    colour, seed, step, smoothness, geometric = settings
    width = grey.shape[1]
    count = forward.shape[0]
    pixels = stack.reshape(-1)
    stride = stack.shape[2]
    weights = np.empty(SAMPLES, np.float32)
    centred = np.empty(SAMPLES, np.float32)
    costs = np.empty(count, np.float32)
    base = np.empty((count, 3), np.float64)
    expected = np.empty(4, np.float64)
    neighbour_weight = np.empty(4, np.float64)
    state = np.empty(1, np.uint64)
    for y in range(first_row, last_row):
        state[0] = np.uint64(seed) * np.uint64(1000003) + np.uint64(y) * np.uint64(7919)
        _random(state)
        _random(state)
        for x in range((y + colour) % 2, width, 2):
            patch = Patch(weights, centred, prepare_patch(grey, rgb, x, y, weights, centred))
            _expect(planes, rgb, x, y, smoothness, expected, neighbour_weight)
            for v in range(count):
                for i in range(3):
                    base[v, i] = forward[v, 3 * i] * x + forward[v, 3 * i + 1] * y + forward[v, 3 * i + 2]
            now, now_x, now_y = 0.0, 0.0, 0.0
            lowest, data_cost = 1e9, 1.0
            for k in range(12):
                rho, rho_x, rho_y = now, now_x, now_y
                if k == 0:
                    rho, rho_x, rho_y = planes[y, x, 0], planes[y, x, 1], planes[y, x, 2]
                    rho = min(max(rho, farthest), nearest)
                elif k < 9:
                    rho, rho_x, rho_y = _borrowed(planes, cost, x, y, k - 1)
                    change = abs(rho - now) + RADIUS * (abs(rho_x - now_x) + abs(rho_y - now_y))
                    if change * parallax < _SAME:
                        continue
                else:  # change the depth, the slopes, both
                    if k != 10:
                        rho += _random(state) * step / parallax
                    if k != 9:
                        rho_x += _random(state) * step / (parallax * RADIUS)
                        rho_y += _random(state) * step / (parallax * RADIUS)
                if rho > nearest or rho < farthest:
                    continue
                smooth = _smoothness(rho, expected, neighbour_weight, parallax)
                if smooth >= lowest or (k > 0 and _too_flat(intrinsics, x, y, rho, rho_x, rho_y)):
                    continue
                for v in range(count):  # not a function of its own: passing so many arrays costs half the speed
                    costs[v] = source_cost(
                        pixels, v * stack.shape[1] * stride, stride, sizes[v], forward[v], base[v], (rho, rho_x, rho_y),
                        patch,
                    )  # fmt: skip
                    if geometric > 0:
                        error, _, _ = round_trip(
                            x, y, rho, forward[v], backward[v], source_planes[v], sizes[v, 0], sizes[v, 1]
                        )
                        costs[v] += geometric * min(error, _GEOMETRIC_TRUNCATION)
                matched = _best_two(costs)
                if smooth + matched < lowest:
                    lowest, data_cost = smooth + matched, matched
                    now, now_x, now_y = rho, rho_x, rho_y
            planes[y, x, 0] = now
            planes[y, x, 1] = now_x
            planes[y, x, 2] = now_y
            cost[y, x] = data_cost
