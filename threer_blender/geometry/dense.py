"""[R] Dense stereo as one function: posed pictures in, depth, normals and confidence out. numpy and numba only.

For each view: a plane sweep with semi-global matching (``planesweep.py``), PatchMatch that bends the result onto
slanted planes (``stereo.py``), PatchMatch again with the other views' depths as witnesses, and a confirmation that
turns the witnesses into a confidence (``confirmation.py``). Knows nothing of files, mappers or Blender; whoever calls
resizes and undistorts.
"""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import confirmation, planesweep, stereo

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TRUSTED = 0.5
"""Least confidence at which a pixel's depth is shown, fused and measured: more likely right than wrong."""

_BEST_ANGLE = 10.0
"""Degrees of triangulation at which depth is both exact and still matched."""

ROUND_TRIP_PIXELS = 1.5
ROUND_TRIP_DEPTH = 0.015
SMOOTHNESS = 0.15
"""Cost of one pixel of parallax between equally coloured neighbours, against 1 for a patch that does not match."""

_GEOMETRIC = 0.1
"""Cost of one pixel of round trip through another view's depth."""

_RANDOM_STEP = 0.5
"""Pixels of parallax by which PatchMatch first changes a plane at random."""

MOST_LABELS = 192
_SWEEP_UNITS = 2
"""Parts that the plane sweep is reported in."""

_SPECKLE_SHARE = 4e-4
"""Islands of depth smaller than this share of the picture are noise."""


@dataclass(frozen=True)
class View:
    """One undistorted pinhole picture with its camera."""

    image: NDArray[np.uint8]  # (H, W, 3)
    intrinsics: Float64  # (3, 3) in this picture's pixels; the centre of the top-left pixel is (0.5, 0.5)
    world_from_camera: Float64  # (4, 4) OpenCV axes
    sparse_points: Float64  # (M, 3) world points that this view sees; may be empty
    sparse_ids: NDArray[np.int64]  # (M,) names of the points, shared between views

    @property
    def centre(self) -> Float64:
        return self.world_from_camera[:3, 3]


@dataclass(frozen=True)
class DepthMap:
    """What the dense stage knows of one view, at the size of its picture."""

    depth: Float32  # (H, W) camera z in world units; 0 = none
    normal: Float32  # (H, W, 3) unit, camera frame, towards the camera
    confidence: Float32  # (H, W) in [0, 1]: chance that not all confirming views are wrong; 0 = no view confirms
    agreeing: NDArray[np.uint8]  # (H, W) views that confirm the depth


@dataclass(frozen=True)
class StereoSettings:
    """How much work to spend; the presets are below."""

    long_side: int  # pixels that the caller resizes the longer side of a picture to
    sources: int  # pictures each one is compared with
    sweeps: int  # PatchMatch iterations on the pictures alone
    geometric_sweeps: int  # iterations that also ask for agreement with the other views' depths


PREVIEW = StereoSettings(long_side=288, sources=3, sweeps=1, geometric_sweeps=0)
STANDARD = StereoSettings(long_side=512, sources=4, sweeps=1, geometric_sweeps=1)
HIGH = StereoSettings(long_side=768, sources=4, sweeps=1, geometric_sweeps=2)

Report = Callable[[int, int], None]


# --- which views to compare ------------------------------------------------------------------------------------------


def select_sources(views: Sequence[View], count: int) -> list[list[int]]:
    """For each view the indices of at most ``count`` others to compare it with, best first.

    Best are views that share many points at about 10 degrees of triangulation; where too few points are shared, the
    nearest cameras follow.
    """
    total = len(views)
    score = np.zeros((total, total))
    for i in range(total):
        for j in range(i + 1, total):
            score[i, j] = score[j, i] = _shared_view(views[i], views[j])
    centres = np.stack([view.centre for view in views])
    distance = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    chosen = []
    for i in range(total):
        order = np.lexsort((distance[i], -score[i]))
        # A camera at the same place sees no parallax.
        apart = [int(j) for j in order if j != i and distance[i, j] > 1e-9 * max(distance.max(), 1e-300)]
        chosen.append(apart[:count])
    return chosen


def _shared_view(a: View, b: View) -> float:
    """Shared points, each weighed by how near its triangulation angle is to the best one; 0 below five points."""
    _, ia, _ = np.intersect1d(a.sparse_ids, b.sparse_ids, return_indices=True)
    if len(ia) < 5:
        return 0.0
    points = a.sparse_points[ia]
    to_a, to_b = points - a.centre, points - b.centre
    cosine = (to_a * to_b).sum(1) / (np.linalg.norm(to_a, axis=1) * np.linalg.norm(to_b, axis=1) + 1e-300)
    off = np.degrees(np.arccos(np.clip(cosine, -1, 1))) - _BEST_ANGLE
    return float(np.exp(-0.5 * (off / np.where(off < 0, 5.0, 15.0)) ** 2).sum())


# --- one view and its sources, as the kernels want them ---------------------------------------------------------------


@dataclass(frozen=True)
class _Comparison:
    """A view with its sources as arrays for the kernels: pixel centres at integers, several sources stacked."""

    rgb: Float32  # (H, W, 3) in [0, 1]
    grey: Float32  # (H, W)
    intrinsics: Float64  # (3, 3)
    stack: Float32  # (S, ...) grey sources with a border
    sizes: NDArray[np.int32]  # (S, 2) height, width of the sources
    forward: Float64  # (S, 12) from the view to the sources
    backward: Float64  # (S, 12) from the sources to the view
    nearest: float  # inverse depth
    farthest: float  # inverse depth
    parallax: float  # pixels per unit of inverse depth

    @property
    def shape(self) -> tuple[int, int]:
        return self.grey.shape[0], self.grey.shape[1]


def _compare(view: View, sources: Sequence[View], bounds: tuple[float, float]) -> _Comparison:
    forward = np.stack([transfer(view, source) for source in sources])
    nearest, farthest = bounds
    return _Comparison(
        rgb=view.image.astype(np.float32) / np.float32(255),
        grey=_grey(view.image),
        intrinsics=_centred(view.intrinsics),
        stack=_stacked([_grey(source.image) for source in sources], stereo.PADDING),
        sizes=_sizes(sources),
        forward=forward,
        backward=np.stack([transfer(source, view) for source in sources]),
        nearest=nearest,
        farthest=farthest,
        parallax=_parallax(forward, (view.image.shape[0], view.image.shape[1]), 0.5 * (nearest + farthest)),
    )


def _grey(image: NDArray[np.uint8]) -> Float32:
    """Rec. 601 luma in [0, 1]."""
    return np.ascontiguousarray(image @ (np.array([0.299, 0.587, 0.114], np.float32) / np.float32(255)))


def _centred(intrinsics: Float64) -> Float64:
    """K for pixel centres at integers."""
    return intrinsics - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])


def _sizes(views: Sequence[View]) -> NDArray[np.int32]:
    return np.array([view.image.shape[:2] for view in views], np.int32)


def transfer(a: View, b: View) -> Float64:
    """The 12 numbers A (row by row) and b that send a pixel and inverse depth of view ``a`` to view ``b``."""
    b_from_a = np.linalg.inv(b.world_from_camera) @ a.world_from_camera
    intrinsics = _centred(b.intrinsics)
    matrix = intrinsics @ b_from_a[:3, :3] @ np.linalg.inv(_centred(a.intrinsics))
    return np.concatenate([matrix.ravel(), intrinsics @ b_from_a[:3, 3]])


def _stacked(pictures: Sequence[Float32], padding: int) -> Float32:
    """Pictures of any sizes in one array, top left, each with a replicated border."""
    height = max(picture.shape[0] for picture in pictures) + 2 * padding
    width = max(picture.shape[1] for picture in pictures) + 2 * padding
    stack = np.zeros((len(pictures), height, width, *pictures[0].shape[2:]), np.float32)
    for slot, picture in zip(stack, pictures, strict=True):
        padded = np.pad(picture, padding, mode="edge") if padding else picture
        slot[: padded.shape[0], : padded.shape[1]] = padded
    return stack


def _parallax(forward: Float64, shape: tuple[int, int], rho: float) -> float:
    """Pixels that a point moves in the sources per unit of inverse depth: the median over sources and a coarse grid."""
    height, width = shape
    x, y = np.meshgrid(np.linspace(0, width - 1, 5), np.linspace(0, height - 1, 5))
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    moved = []
    for row in forward:
        matrix, shift = row[:9].reshape(3, 3), row[9:]
        at = matrix @ pixels + rho * shift[:, None]
        seen = at[2] > 1e-9
        at, direction = at[:, seen], shift[:, None]
        motion = (direction[:2] * at[2] - at[:2] * direction[2]) / at[2] ** 2
        moved.append(np.linalg.norm(motion, axis=0))
    median = float(np.median(np.concatenate(moved))) if any(len(m) for m in moved) else 0.0
    return max(median, 1e-12)


def _bounds(view: View, views: Sequence[View], sources: Sequence[View]) -> tuple[float, float]:
    """(nearest, farthest) inverse depth to search, from the sparse points that the view sees.

    Without points of its own it takes those of the others that fall into its picture, without any the depths that
    move a pixel between half a pixel and four tenths of the picture.
    """
    depth = _depths_in_view(view, view.sparse_points)
    if len(depth) < 8:
        depth = _depths_in_view(view, np.concatenate([other.sparse_points for other in views]))
    if len(depth) < 8:
        forward = np.stack([transfer(view, source) for source in sources])
        height, width = view.image.shape[:2]
        per_pixel = 1 / _parallax(forward, (height, width), 0.0)
        return 0.4 * width * per_pixel, 0.5 * per_pixel
    near, far = np.percentile(depth, [1, 99])
    return 1 / (0.75 * float(near)), 1 / (1.35 * float(far))


def _depths_in_view(view: View, points: Float64) -> Float64:
    camera_from_world = np.linalg.inv(view.world_from_camera)
    camera = points.reshape(-1, 3) @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    camera = camera[camera[:, 2] > 1e-9]
    pixel = camera @ view.intrinsics.T
    height, width = view.image.shape[:2]
    u, v = pixel[:, 0] / camera[:, 2], pixel[:, 1] / camera[:, 2]
    inside = (u >= 0) & (v >= 0) & (u <= width) & (v <= height)
    depth: Float64 = camera[inside, 2]
    return depth


# --- the work --------------------------------------------------------------------------------------------------------


class Workers:
    """Runs a kernel over bands of rows on all cores (the kernels release the interpreter's lock)."""

    def __init__(self) -> None:
        self._count = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._count)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, kernel: Callable[..., None], first: int, last: int, *arguments: Any) -> None:
        """Calls ``kernel(low, high, *arguments)`` for bands that cover range(first, last)."""
        edges = np.linspace(first, last, min(4 * self._count, last - first) + 1).astype(int)
        bands = itertools.pairwise(edges)
        for done in [self._pool.submit(kernel, int(low), int(high), *arguments) for low, high in bands]:
            done.result()


def estimate_depths(views: Sequence[View], settings: StereoSettings, report: Report) -> list[DepthMap]:
    """Depth, normals and confidence of every view.

    At least two views at different places are needed. ``report(done, total)`` is called every second or two from the
    calling thread; what it raises ends the work. Memory: the pictures, 55 bytes per pixel and view, and while one view
    is swept at most 3 * MOST_LABELS bytes per pixel of it.
    """
    chosen = select_sources(views, settings.sources)
    if not all(chosen):
        raise ValueError("dense stereo needs at least two views from different places")
    total = len(views) * (2 * settings.sweeps + 2 * settings.geometric_sweeps + _SWEEP_UNITS + 1)
    progress = itertools.count(1)

    def step() -> None:
        report(next(progress), total)

    with Workers() as workers:
        sources = [[views[j] for j in indices] for indices in chosen]
        bounds = [_bounds(view, views, others) for view, others in zip(views, sources, strict=True)]
        planes: list[Float32] = []
        costs: list[Float32] = []
        for i, view in enumerate(views):
            comparison = _compare(view, sources[i], bounds[i])
            planes.append(_plane_sweep(comparison, workers, step))
            costs.append(np.ones(comparison.shape, np.float32))
            unseen = np.zeros((len(sources[i]), 1, 1, 3), np.float32)
            _patchmatch(comparison, planes[i], costs[i], unseen, 0.0, settings.sweeps, i, workers, step)
        if settings.geometric_sweeps:
            witnesses = [plane.copy() for plane in planes]
            for i, view in enumerate(views):
                comparison = _compare(view, sources[i], bounds[i])
                others = _stacked([witnesses[j] for j in chosen[i]], 0)
                count = settings.geometric_sweeps
                _patchmatch(comparison, planes[i], costs[i], others, _GEOMETRIC, count, i, workers, step)
        found = []
        for i, view in enumerate(views):
            others = _stacked([planes[j] for j in chosen[i]], 0)
            found.append(_confirmed(view, sources[i], bounds[i], planes[i], costs[i], others, workers))
            step()
    return found


def _plane_sweep(comparison: _Comparison, workers: Workers, step: Callable[[], None]) -> Float32:
    """Planes (H, W, 3) from semi-global matching over equal steps of inverse depth, about a pixel each."""
    height, width = comparison.shape
    span = comparison.nearest - comparison.farthest
    count = min(max(math.ceil(span * comparison.parallax), 16), MOST_LABELS)
    labels = np.linspace(comparison.farthest, comparison.nearest, count)
    bits = np.empty(comparison.shape, np.uint32)
    planesweep.census(comparison.grey, bits)
    volume = np.empty((height, width, count), np.uint8)
    stack, sizes, forward = comparison.stack, comparison.sizes, comparison.forward
    for part in np.array_split(np.arange(count), _SWEEP_UNITS):
        workers.run(planesweep.match, part[0], part[-1] + 1, bits, stack, sizes, forward, labels, volume)
        step()
    total = np.zeros((height, width, count), np.uint16)
    for dx, dy in planesweep.DIRECTIONS:
        lines = planesweep.line_count(comparison.shape, dx, dy)
        workers.run(planesweep.aggregate, 0, lines, dx, dy, comparison.grey, volume, total)
    planes = np.empty((height, width, 3), np.float32)
    workers.run(planesweep.pick, 0, height, total, labels, planes)
    tilted = np.empty_like(planes)
    workers.run(planesweep.tilt, 0, height, planes, comparison.parallax, tilted)
    return tilted


def _patchmatch(
    comparison: _Comparison,
    planes: Float32,
    cost: Float32,
    source_planes: Float32,
    geometric: float,
    count: int,
    seed: int,
    workers: Workers,
    step: Callable[[], None],
) -> None:
    """``count`` red-black iterations in place, the random changes halved after each."""
    c = comparison
    for iteration in range(count):
        for colour in (0, 1):
            workers.run(
                stereo.sweep, 0, c.shape[0], colour, 1000 * seed + 2 * iteration + colour, c.grey, c.rgb, c.stack,
                c.sizes, c.forward, c.backward, source_planes, c.intrinsics, c.nearest, c.farthest, c.parallax,
                SMOOTHNESS, geometric, _RANDOM_STEP * 0.5**iteration, planes, cost,
            )  # fmt: skip
            step()


def _confirmed(
    view: View,
    sources: Sequence[View],
    bounds: tuple[float, float],
    planes: Float32,
    cost: Float32,
    source_planes: Float32,
    workers: Workers,
) -> DepthMap:
    height, width = view.image.shape[:2]
    forward = np.stack([transfer(view, source) for source in sources])
    backward = np.stack([transfer(source, view) for source in sources])
    agreeing = np.zeros((height, width), np.uint8)
    confidence = np.zeros((height, width), np.float32)
    parallax = _parallax(forward, (height, width), sum(bounds) / 2)
    workers.run(
        confirmation.confirm, 0, height, planes, cost, _sizes(sources), forward, backward, source_planes, parallax,
        ROUND_TRIP_PIXELS, ROUND_TRIP_DEPTH, agreeing, confidence,
    )  # fmt: skip
    confirmation.remove_speckles(planes, parallax, int(_SPECKLE_SHARE * height * width), confidence)
    rho = planes[..., 0]
    return DepthMap(
        depth=np.where(rho > 0, 1 / np.maximum(rho, np.float32(1e-30)), 0).astype(np.float32),
        normal=_normals(planes, _centred(view.intrinsics)),
        confidence=confidence,
        agreeing=np.where(confidence > 0, agreeing, 0).astype(np.uint8),
    )


def _normals(planes: Float32, intrinsics: Float64) -> Float32:
    """Unit normals towards the camera: rho(p) = m . K^-1 p is the plane m . X = 1, so m = K^T (gradient of rho)."""
    height, width = planes.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    constant = planes[..., 0] - planes[..., 1] * x - planes[..., 2] * y
    gradient = np.stack([planes[..., 1], planes[..., 2], constant], axis=-1)
    normal = -gradient @ intrinsics.astype(np.float32)
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return (normal / np.maximum(length, np.float32(1e-30))).astype(np.float32)


def planes_of(view: View, found: DepthMap) -> Float32:
    """The planes (H, W, 3) in the form of ``stereo.py`` that a depth map's depths and normals stand for."""
    height, width = found.depth.shape
    intrinsics = _centred(view.intrinsics)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    gradient = found.normal @ np.linalg.inv(intrinsics).astype(np.float32)
    known = found.depth > 0
    rho = np.where(known, 1 / np.where(known, found.depth, 1), 0).astype(np.float32)
    scale = gradient[..., 0] * x + gradient[..., 1] * y + gradient[..., 2]
    scale = np.where(known, rho / np.where(known, scale, 1), 0)
    return np.stack([rho, gradient[..., 0] * scale, gradient[..., 1] * scale], axis=-1).astype(np.float32)
