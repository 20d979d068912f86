"""[R] Fusion of depth maps to one cloud, in which a surface that several views see appears once. numpy and numba only.

Views vote for and against a depth, as in Merrell et al., "Real-Time Visibility-Based Fusion of Depth Maps" (ICCV 2007).
Each trusted pixel is compared with the other views by a round trip. Where round trip and colour agree, both views show
the same surface: that is a vote for it, and the depths are averaged by confidence. Where the other view trusts a
surface clearly behind, or shows another colour at the same place (a depth of the background that has spread over an
edge), that is a vote against it. A pixel with more votes for than against becomes a point. Then the pixels of other
views that show the same point are spent: they make no points themselves. Other pixels are not spent, so no hole opens
between two views that would leave a surface to each other. Pixels that sample their surface most densely come first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...model.arrays import BoolArray, Float32Array, FloatArray, Int32Array, UInt8Array
from ..kernels import compiled, in_bands
from . import dense, patchmatch
from .views import DepthMap, View, planes_of, transfer

_FREE_SPACE = 0.98
"""A point whose depth over that of another view's surface is below this ratio violates that view's free space."""
_STEEPEST = 0.2
"""The least cosine between ray and normal with which a pixel's spacing on the surface is computed."""
_LEAST_TOLERANCE = 0.1
"""Colour difference (mean over the channels, 0 to 1) that always counts as equal; more where exposures differ."""
_OVERLAP = 0.02
"""Share of a view's trusted pixels that must be consistent with another view for the two to be compared."""


@dataclass(frozen=True)
class Cloud:
    """The fused points."""

    positions: Float32Array  # (N, 3) world
    normals: Float32Array  # (N, 3) world, unit, towards the camera that sees the point best
    colors: UInt8Array  # (N, 3) of that camera's picture
    confidence: Float32Array  # (N,) of that camera's depth
    view: Int32Array  # (N,) index of that camera


@dataclass(frozen=True)
class _Side:
    """One view as fusion needs it."""

    view: View
    planes: Float32Array  # (H, W, 3), see patchmatch
    trust: Float32Array  # (H, W) confidence, 0 where not trusted
    normals: Float32Array  # (H, W, 3) world
    spacing: Float32Array  # (H, W) world units: the widest distance to a neighbouring pixel on the surface
    spent: BoolArray  # (H, W) already shown by a point


class _Target(NamedTuple):
    """Another view as the kernels need it: arrays as in _Side, and the transfers to it (12,) and back (12,).

    A transfer is a matrix A, row by row, and a vector b, which take a pixel p of inverse depth rho to the homogeneous
    pixel A p + rho b (`views.transfer`). Its pixels have their centres at whole numbers.
    """

    image: UInt8Array
    planes: Float32Array
    trust: Float32Array
    normals: Float32Array
    spacing: Float32Array
    forward: FloatArray
    backward: FloatArray


@compiled(fastmath=True)
def _meet(x: int, y: int, rho: float, target: _Target) -> tuple[int, int, float, float]:
    """The round trip of the pixel (x, y) with inverse depth `rho` through another view.

    Returns the other view's row and column, the inverse depth at the end, and the other's inverse depth over the
    expected one. The row is -1 where the other trusts no depth; the inverse depth is 0 where it shows another surface.
    """
    _, planes, trust, _, _, forward, backward = target
    height, width = trust.shape
    error, back, ratio = patchmatch.round_trip(x, y, rho, forward, backward, planes, height, width)
    if error >= patchmatch.NOT_VISIBLE:
        return -1, -1, 0.0, 0.0
    z = forward[6] * x + forward[7] * y + forward[8] + rho * forward[11]
    u = (forward[0] * x + forward[1] * y + forward[2] + rho * forward[9]) / z
    v = (forward[3] * x + forward[4] * y + forward[5] + rho * forward[10]) / z
    column, row = min(int(u + 0.5), width - 1), min(int(v + 0.5), height - 1)
    if trust[row, column] <= 0:
        return -1, -1, 0.0, 0.0
    if error < dense.ROUND_TRIP_PIXELS and abs(rho / back - 1) < dense.ROUND_TRIP_DEPTH:
        return row, column, back, ratio
    return row, column, 0.0, ratio


@compiled(fastmath=True)
def _difference(a: UInt8Array, b: UInt8Array) -> float:
    """The mean difference of two uint8 colours (3,) over the channels, from 0 to 1."""
    total = 0.0
    for channel in range(3):
        total += abs(float(a[channel]) - float(b[channel]))  # not int(): numba's int of a uint8 is unsigned
    return total / 765.0


@compiled(fastmath=True)
def _compare(
    first: int, last: int, pixels: Int32Array, rho: Float32Array, image: UInt8Array, target: _Target,
    differences: Float32Array,
) -> None:  # fmt: skip
    """Fills `differences` (N,) for the `pixels` (N, 2), rows and columns, from `first` up to `last`: the difference of
    colour where they are consistent with another view, -1 where they are not."""
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, _ = _meet(x, y, rho[k], target)
        differences[k] = _difference(image[y, x], target.image[row, column]) if back > 0 else -1.0


class _Sums(NamedTuple):
    """For N pixels, over the views that agree: the sums of confidence (N,), of confidence times inverse depth (N,), and
    of confidence times normal (N, 3). And the votes for each pixel less those against it (N,)."""

    weight: Float32Array
    rho: Float32Array
    normal: Float32Array
    votes: NDArray[np.int16]


@compiled(fastmath=True)
def _visit(
    first: int, last: int, pixels: Int32Array, rho: Float32Array, image: UInt8Array, target: _Target, tolerance: float,
    sums: _Sums,
) -> None:  # fmt: skip
    """Adds another view's votes for or against the `pixels` (N, 2) from `first` up to `last` to `sums`, and its depths
    and normals where it agrees."""
    other_image, _, trust, normals, _, _, _ = target
    weight, rho_sum, normal_sum, votes = sums
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, ratio = _meet(x, y, rho[k], target)
        if row < 0:
            continue
        if back > 0:
            if _difference(image[y, x], other_image[row, column]) > tolerance:
                votes[k] -= 1
                continue
            votes[k] += 1
            weight[k] += trust[row, column]
            rho_sum[k] += trust[row, column] * back
            for i in range(3):
                normal_sum[k, i] += trust[row, column] * normals[row, column, i]
        elif ratio < _FREE_SPACE:
            votes[k] -= 1


@compiled(fastmath=True)
def _spend(
    first: int, last: int, pixels: Int32Array, rho: Float32Array, spacing: Float32Array, target: _Target,
    spent: BoolArray,
) -> None:  # fmt: skip
    """Marks in `spent` (H, W) the other view's pixels that show the points made at `pixels` (N, 2): those that are
    nearer to such a point than to the next one."""
    _, planes, trust, _, other_spacing, _, _ = target
    height, width = trust.shape
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, _ = _meet(x, y, rho[k], target)
        if back <= 0:
            continue
        reach = int(0.5 * spacing[y, x] / other_spacing[row, column] + 0.25)
        for r in range(max(0, row - reach), min(height, row + reach + 1)):
            for c in range(max(0, column - reach), min(width, column + reach + 1)):
                if abs(planes[r, c, 0] / planes[row, column, 0] - 1) < 2 * dense.ROUND_TRIP_DEPTH:
                    spent[r, c] = True


def fuse(
    views: Sequence[View],
    depth_maps: Sequence[DepthMap],
    report: Callable[[int, int], None] = lambda _done, _total: None,
    min_agreeing: int = 1,
) -> Cloud:
    """The cloud of the `depth_maps` of all `views`, in the same order.

    Pixels are trusted from the confidence `dense.TRUSTED` on, if at least `min_agreeing` other views are consistent
    with them. Such a pixel makes a point where more views agree with it than contradict it. `report(done, total)` may
    raise. The time grows with the number of views times those that overlap each, the memory with the number of views.
    """
    sides = [_side(v, d, min_agreeing) for v, d in zip(views, depth_maps, strict=True)]
    # The pixels with the smallest spacing come first, those within a factor of two together.
    octaves = [np.where(side.trust > 0, np.floor(np.log2(side.spacing)), np.inf) for side in sides]
    rising = np.unique(np.concatenate([octave[np.isfinite(octave)] for octave in octaves]))
    parts: list[_Points] = [_NO_POINTS]
    others = [_others(sides, i) for i in range(len(sides))]
    for number, octave in enumerate(rising):
        for i, side in enumerate(sides):
            report(number * len(sides) + i, len(rising) * len(sides))
            pixels = np.argwhere((octaves[i] == octave) & ~side.spent).astype(np.int32)
            if len(pixels):
                parts.append(_fused(sides, i, others[i], pixels))
    positions, normals, colors, confidence, view = zip(*parts, strict=True)
    return Cloud(*map(np.concatenate, (positions, normals, colors, confidence, view)))


_Points = tuple[Float32Array, Float32Array, UInt8Array, Float32Array, Int32Array]  # in the order of Cloud's fields
_NO_POINTS: _Points = (
    np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.float32),
    np.zeros(0, np.int32),
)  # fmt: skip
_Other = tuple[int, _Target, float]  # index, the view, colour tolerance


def _side(view: View, depth_map: DepthMap, min_agreeing: int) -> _Side:
    """The view with its trusted depths, as `fuse` says, and none of its pixels spent."""
    rotation = view.world_from_camera[:3, :3].T.astype(np.float32)
    trusted = (depth_map.agreeing >= min_agreeing) & (depth_map.confidence >= dense.TRUSTED) & (depth_map.depth > 0)
    height, width = depth_map.depth.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    k = view.intrinsics.astype(np.float32)
    rays = np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], axis=-1)
    cosine = np.abs((depth_map.normal * rays).sum(axis=-1)) / np.linalg.norm(rays, axis=-1)
    spacing = depth_map.depth / k[0, 0] / np.maximum(cosine, np.float32(_STEEPEST))
    return _Side(
        view,
        planes_of(view, depth_map),
        np.where(trusted, depth_map.confidence, 0).astype(np.float32),
        np.ascontiguousarray(depth_map.normal @ rotation),
        np.where(trusted, spacing, 1).astype(np.float32),
        np.zeros(trusted.shape, np.bool_),
    )


def _others(sides: Sequence[_Side], i: int) -> list[_Other]:
    """The other views that see enough of view i's surface, each with the tolerance of its colours."""
    side = sides[i]
    pixels = np.argwhere(side.trust > 0).astype(np.int32)[:: max(1, int((side.trust > 0).sum()) // 2000)]
    if not len(pixels):
        return []
    rho = np.ascontiguousarray(side.planes[pixels[:, 0], pixels[:, 1], 0])
    overlapping = []
    for j, other in enumerate(sides):
        if j == i:
            continue
        target = _target(side, other)
        differences = np.empty(len(pixels), np.float32)
        in_bands(_compare, 0, len(pixels), pixels, rho, side.view.image, target, differences)
        agreeing = differences[differences >= 0]
        if len(agreeing) > _OVERLAP * len(pixels):
            overlapping.append((j, target, max(_LEAST_TOLERANCE, 3 * float(np.median(agreeing)))))
    return overlapping


def _fused(sides: Sequence[_Side], i: int, others: Sequence[_Other], pixels: Int32Array) -> _Points:
    """The points of those `pixels` (N, 2), rows and columns, of view i that have more votes for than against. Marks the
    pixels of other views that they spend."""
    side = sides[i]
    y, x = pixels.T
    confidence = side.trust[y, x]
    rho = np.ascontiguousarray(side.planes[y, x, 0])
    normals = side.normals[y, x] * confidence[:, None]
    sums = _Sums(confidence.copy(), confidence * rho, normals, np.zeros(len(pixels), np.int16))
    for _, target, tolerance in others:
        in_bands(_visit, 0, len(pixels), pixels, rho, side.view.image, target, tolerance, sums)
    accepted = sums.votes > 0
    accepted_pixels, accepted_rho = np.ascontiguousarray(pixels[accepted]), np.ascontiguousarray(rho[accepted])
    for j, target, _ in others:
        in_bands(_spend, 0, len(accepted_pixels), accepted_pixels, accepted_rho, side.spacing, target, sides[j].spent)
    mean_rho = sums.rho[accepted] / sums.weight[accepted]
    return _points(i, side.view, accepted_pixels, mean_rho, sums.normal[accepted], confidence[accepted])


def _target(side: _Side, other: _Side) -> _Target:
    """The view `other` as a target of pixels of `side`."""
    there, back = transfer(side.view, other.view), transfer(other.view, side.view)
    return _Target(other.view.image, other.planes, other.trust, other.normals, other.spacing, there, back)


def _points(
    index: int, view: View, pixels: Int32Array, rho: Float32Array, normals: Float32Array, confidence: Float32Array
) -> _Points:
    """The points at these `pixels` (N, 2), rows and columns, of one view with inverse depths `rho` (N,)."""
    y, x = pixels.T
    homogeneous = np.stack([x + 0.5, y + 0.5, np.ones(len(x))])
    camera = (np.linalg.inv(view.intrinsics) @ homogeneous) / rho
    positions = view.world_from_camera[:3, :3] @ camera + view.centre[:, None]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (
        positions.T.astype(np.float32),
        (normals / np.maximum(length, np.float32(1e-12))).astype(np.float32),
        view.image[y, x],
        confidence,
        np.full(len(x), index, np.int32),
    )
