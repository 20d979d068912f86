"""[R] Depth maps into one cloud in which a surface seen by several views appears once. numpy and numba only.

Pixels are fused where they are sampled most densely first, after Merrell et al., "Real-Time Visibility-Based Fusion of
Depth Maps" (ICCV 2007), whose views vote for and against a depth. A trusted pixel visits the other views. Where round
trip and colour agree, both show the same surface: the depths are averaged by confidence, and once the point stands the
other's pixel is spent. Where the other trusts a surface clearly behind, or sees another colour at the same place (a
background's depth that has crept over an edge), that is a vote against. A pixel is spent only on a point that stands:
no hole opens between two views that leave a surface to each other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from . import dense, patchmatch, views
from .patchmatch import Float32, Float64, Int32

_SEEN_THROUGH = 0.98
"""A view whose surface lies beyond the point's depth by more than this ratio has seen through it."""
_STEEPEST = 0.2
"""Least cosine between ray and normal that a pixel's spacing on the surface is computed with."""
_LEAST_TOLERANCE = 0.1
"""Colour difference (mean over channels, 0 to 1) that is always forgiven; photos of other exposure get more."""
_OVERLAP = 0.02
"""Share of a view's trusted pixels that another must see to be asked at all."""

_compile: dict[str, Any] = {"cache": True, "fastmath": True, "nogil": True, "error_model": "numpy"}
Bool = NDArray[np.bool_]
UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Cloud:
    """Points of a surface."""

    positions: Float32  # (N, 3) world
    normals: Float32  # (N, 3) world, unit, towards the camera that sees the point best
    colors: UInt8  # (N, 3) of that camera's picture
    confidence: Float32  # (N,) of that camera's depth
    view: Int32  # (N,) index of that camera


@dataclass(frozen=True)
class _Side:
    """One view as fusion needs it. `spacing` (H, W) is the widest distance of neighbouring pixels on the surface."""

    view: views.View
    planes: Float32  # (H, W, 3), see stereo.py
    trust: Float32  # (H, W) confidence, 0 where not trusted
    normals: Float32  # (H, W, 3) world
    spacing: Float32  # (H, W) world units
    spent: Bool  # (H, W) shown by a point already


@numba.njit(**_compile)
def _meet(
    x: int, y: int, rho: float, planes: Float32, trust: Float32, forward: Float64, backward: Float64,
    most_pixels: float, most_relative: float,
) -> tuple[int, int, float, float]:  # fmt: skip
    """What another view says of inverse depth `rho` at pixel (x, y).

    Returns its row and column there, the inverse depth that comes back, and its surface's inverse depth over the one
    expected; row -1 where it trusts nothing, inverse depth 0 where it shows another surface.
    """
    height, width = trust.shape
    error, back, ratio = patchmatch.round_trip(x, y, rho, forward, backward, planes, height, width)
    if error >= patchmatch.NOT_SEEN:
        return -1, -1, 0.0, 0.0
    z = forward[6] * x + forward[7] * y + forward[8] + rho * forward[11]
    u = (forward[0] * x + forward[1] * y + forward[2] + rho * forward[9]) / z
    v = (forward[3] * x + forward[4] * y + forward[5] + rho * forward[10]) / z
    column, row = min(int(u + 0.5), width - 1), min(int(v + 0.5), height - 1)
    if trust[row, column] <= 0:
        return -1, -1, 0.0, 0.0
    if error < most_pixels and abs(rho / back - 1) < most_relative:
        return row, column, back, ratio
    return row, column, 0.0, ratio


@numba.njit(**_compile)
def _difference(a: UInt8, b: UInt8) -> float:
    """Mean difference of two colours over the channels, 0 to 1."""
    total = 0.0
    for channel in range(3):
        total += abs(float(a[channel]) - float(b[channel]))  # not int(): numba's int of a uint8 is unsigned
    return total / 765.0


@numba.njit(**_compile)
def _compare(
    first: int, last: int, pixels: Int32, rho: Float32, image: UInt8, other_image: UInt8, planes: Float32,
    trust: Float32, forward: Float64, backward: Float64, most_pixels: float, most_relative: float, found: Float32,
) -> None:  # fmt: skip
    """Colour differences of the pixels (N, row and column) that agree with another view, -1 of those that do not."""
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, _ = _meet(
            x, y, rho[k], planes, trust, forward, backward, most_pixels, most_relative
        )  # fmt: skip
        found[k] = _difference(image[y, x], other_image[row, column]) if back > 0 else -1.0


@numba.njit(**_compile)
def _visit(
    first: int, last: int, pixels: Int32, rho: Float32, image: UInt8, other_image: UInt8, planes: Float32,
    trust: Float32, normals: Float32, forward: Float64, backward: Float64, most_pixels: float, most_relative: float,
    tolerance: float, weight: Float32, rho_sum: Float32, normal_sum: Float32, votes: NDArray[np.int16],
) -> None:  # fmt: skip
    """Let one other view confirm or contradict the pixels."""
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, ratio = _meet(x, y, rho[k], planes, trust, forward, backward, most_pixels, most_relative)
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
        elif ratio < _SEEN_THROUGH:
            votes[k] -= 1


@numba.njit(**_compile)
def _spend(
    first: int, last: int, pixels: Int32, rho: Float32, spacing: Float32, planes: Float32, trust: Float32,
    other_spacing: Float32, forward: Float64, backward: Float64, most_pixels: float, most_relative: float, spent: Bool,
) -> None:  # fmt: skip
    """Mark the other view's pixels that the standing points at `pixels` show: those nearer to it than to the next."""
    height, width = trust.shape
    for k in range(first, last):
        y, x = pixels[k]
        row, column, back, _ = _meet(x, y, rho[k], planes, trust, forward, backward, most_pixels, most_relative)
        if back <= 0:
            continue
        reach = int(0.5 * spacing[y, x] / other_spacing[row, column] + 0.25)
        for r in range(max(0, row - reach), min(height, row + reach + 1)):
            for c in range(max(0, column - reach), min(width, column + reach + 1)):
                if abs(planes[r, c, 0] / planes[row, column, 0] - 1) < 2 * most_relative:
                    spent[r, c] = True


def fuse(
    views: Sequence[views.View],
    depth_maps: Sequence[views.DepthMap],
    report: Callable[[int, int], None] = lambda _done, _total: None,
    min_agreeing: int = 1,
) -> Cloud:
    """The cloud of all trusted pixels which at least ``min_agreeing`` other views confirmed.

    A point stands where more views confirm it than contradict it. ``report(done, total)`` may raise. Time
    grows with the views times those that overlap each, memory with the views.
    """
    sides = [_side(v, d, min_agreeing) for v, d in zip(views, depth_maps, strict=True)]
    octaves = [np.where(s.trust > 0, np.floor(np.log2(s.spacing)), np.inf) for s in sides]
    steps = sorted({float(o) for octave in octaves for o in np.unique(octave[np.isfinite(octave)])})
    parts: list[_Points] = [_NONE]
    with dense.Workers() as workers:
        others = [_others(workers, sides, i) for i in range(len(sides))]
        for number, step in enumerate(steps):
            for i, side in enumerate(sides):
                report(number * len(sides) + i, len(steps) * len(sides))
                pixels = np.argwhere((octaves[i] == step) & ~side.spent).astype(np.int32)
                if len(pixels):
                    parts.append(_fused(workers, sides, i, others[i], pixels))
    positions, normals, colors, confidence, view = zip(*parts, strict=True)
    return Cloud(*map(np.concatenate, (positions, normals, colors, confidence, view)))


_Points = tuple[Float32, Float32, UInt8, Float32, Int32]  # in the order of Cloud's fields
_NONE: _Points = (
    np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), np.zeros(0, np.float32),
    np.zeros(0, np.int32),
)  # fmt: skip
_Other = tuple[int, Float64, Float64, float]  # index, forward, backward, colour tolerance


def _side(view: views.View, found: views.DepthMap, min_agreeing: int) -> _Side:
    rotation = view.world_from_camera[:3, :3].T.astype(np.float32)
    trusted = (found.agreeing >= min_agreeing) & (found.confidence >= dense.TRUSTED) & (found.depth > 0)
    height, width = found.depth.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32) + 0.5, np.arange(height, dtype=np.float32) + 0.5)
    k = view.intrinsics.astype(np.float32)
    rays = np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], axis=-1)
    cosine = np.abs((found.normal * rays).sum(axis=-1)) / np.linalg.norm(rays, axis=-1)
    spacing = found.depth / k[0, 0] / np.maximum(cosine, np.float32(_STEEPEST))
    return _Side(
        view,
        views.planes_of(view, found),
        np.where(trusted, found.confidence, 0).astype(np.float32),
        np.ascontiguousarray(found.normal @ rotation),
        np.where(trusted, spacing, 1).astype(np.float32),
        np.zeros(trusted.shape, np.bool_),
    )


def _others(workers: dense.Workers, sides: Sequence[_Side], i: int) -> list[_Other]:
    """The views that see enough of view i's surface, and how far their colours may differ."""
    side = sides[i]
    pixels = np.argwhere(side.trust > 0).astype(np.int32)[:: max(1, int((side.trust > 0).sum()) // 2000)]
    if not len(pixels):
        return []
    rho = np.ascontiguousarray(side.planes[pixels[:, 0], pixels[:, 1], 0])
    overlapping = []
    for j, other in enumerate(sides):
        if j == i:
            continue
        forward, backward = views.transfer(side.view, other.view), views.transfer(other.view, side.view)
        found = np.empty(len(pixels), np.float32)
        workers.run(
            _compare, 0, len(pixels), pixels, rho, side.view.image, other.view.image, other.planes, other.trust,
            forward, backward, dense.ROUND_TRIP_PIXELS, dense.ROUND_TRIP_DEPTH, found,
        )  # fmt: skip
        agreeing = found[found >= 0]
        if len(agreeing) > _OVERLAP * len(pixels):
            overlapping.append((j, forward, backward, max(_LEAST_TOLERANCE, 3 * float(np.median(agreeing)))))
    return overlapping


def _fused(workers: dense.Workers, sides: Sequence[_Side], i: int, others: Sequence[_Other], pixels: Int32) -> _Points:
    """Points of those `pixels` (N, row and column) of view i that stand, in the order of Cloud's fields."""
    side = sides[i]
    y, x = pixels.T
    confidence = side.trust[y, x]
    rho = np.ascontiguousarray(side.planes[y, x, 0])
    weight, rho_sum = confidence.copy(), confidence * rho
    normal_sum = side.normals[y, x] * confidence[:, None]
    votes = np.zeros(len(pixels), np.int16)
    limits = dense.ROUND_TRIP_PIXELS, dense.ROUND_TRIP_DEPTH
    for j, forward, backward, tolerance in others:
        other = sides[j]
        workers.run(
            _visit, 0, len(pixels), pixels, rho, side.view.image, other.view.image, other.planes, other.trust,
            other.normals, forward, backward, *limits, tolerance, weight, rho_sum, normal_sum, votes,
        )  # fmt: skip
    stands = votes > 0
    standing, kept = np.ascontiguousarray(pixels[stands]), np.ascontiguousarray(rho[stands])
    for j, forward, backward, _ in others:
        other = sides[j]
        workers.run(
            _spend, 0, len(standing), standing, kept, side.spacing, other.planes, other.trust, other.spacing, forward,
            backward, *limits, other.spent,
        )  # fmt: skip
    return _points(i, side.view, standing, rho_sum[stands] / weight[stands], normal_sum[stands], confidence[stands])


def _points(
    index: int, view: views.View, pixels: Int32, rho: Float32, normals: Float32, confidence: Float32
) -> _Points:
    """The pixels of one view at the given inverse depths, in the order of Cloud's fields."""
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
