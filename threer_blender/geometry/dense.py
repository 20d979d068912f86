"""Dense stereo as one function: posed pictures in, depth with normals and a confidence per picture out. [R] numpy, numba.

For each view: a plane sweep with semi-global matching at a coarse size (``planesweep.py``), PatchMatch up to the full
size (``stereo.py``), PatchMatch again with the other views' depths as witnesses, and a confirmation that turns the
witnesses into a confidence. Knows nothing of files, mappers or Blender; whoever calls resizes and undistorts.
"""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import planesweep, stereo

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

TRUSTED = 0.5
"""Least confidence at which a pixel's depth is shown, fused and measured: more likely right than wrong."""

_BEST_ANGLE = 10.0
"""Degrees of triangulation at which depth is both exact and still matched."""

ROUND_TRIP_PIXELS = 1.5
ROUND_TRIP_DEPTH = 0.015
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
    sweeps: tuple[int, ...]  # PatchMatch iterations per pyramid level, coarse to fine, each level twice the last
    geometric_sweeps: int  # iterations at full size that also ask for agreement with the other views' depths


PREVIEW = StereoSettings(long_side=288, sources=3, sweeps=(1, 1), geometric_sweeps=0)
STANDARD = StereoSettings(long_side=512, sources=4, sweeps=(2, 2), geometric_sweeps=2)
HIGH = StereoSettings(long_side=768, sources=4, sweeps=(1, 2, 2), geometric_sweeps=2)

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


# --- one view at one pyramid level -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Level:
    """A view and its sources at one size, as the kernels want them: pixel centres at integers."""

    rgb: Float32
    grey: Float32
    intrinsics: Float64
    stack: Float32
    sizes: NDArray[np.int32]
    forward: Float64
    backward: Float64
    nearest: float  # inverse depth
    farthest: float  # inverse depth
    parallax: float  # pixels per unit of inverse depth

    @property
    def shape(self) -> tuple[int, int]:
        return self.grey.shape[0], self.grey.shape[1]


def _halved(picture: Float32, times: int) -> Float32:
    """Averages 2 x 2 pixels; an odd last row or column is dropped, so pixel (0, 0)'s corner stays where it is."""
    for _ in range(times):
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        even = picture[:height, :width]
        picture = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) * np.float32(0.25)
    return np.ascontiguousarray(picture)


def _picture(view: View, halvings: int) -> Float32:
    return _halved(view.image.astype(np.float32) / np.float32(255), halvings)


def _grey(rgb: Float32) -> Float32:
    return np.ascontiguousarray(rgb @ np.array([0.299, 0.587, 0.114], np.float32))


def _intrinsics(view: View, halvings: int) -> Float64:
    """K with pixel centres at integers, at the level's size."""
    intrinsics = np.array(view.intrinsics, np.float64)
    intrinsics[:2] *= 0.5**halvings
    intrinsics[:2, 2] -= 0.5
    return intrinsics


def transfer(a: View, b: View, halvings: int = 0) -> Float64:
    """The 12 numbers of A and b that send a pixel and inverse depth of ``a`` to ``b``."""
    b_from_a = np.linalg.inv(b.world_from_camera) @ a.world_from_camera
    intrinsics = _intrinsics(b, halvings)
    matrix = intrinsics @ b_from_a[:3, :3] @ np.linalg.inv(_intrinsics(a, halvings))
    return np.concatenate([matrix.ravel(), intrinsics @ b_from_a[:3, 3]])


def _stacked(pictures: Sequence[Float32], padding: int) -> Float32:
    """Pictures of any sizes in one array, top left, each with a replicated border."""
    height = max(picture.shape[0] for picture in pictures) + 2 * padding
    width = max(picture.shape[1] for picture in pictures) + 2 * padding
    stack = np.zeros((len(pictures), height, width, *pictures[0].shape[2:]), np.float32)
    border = ((padding, padding), (padding, padding))
    for slot, picture in zip(stack, pictures, strict=True):
        padded = np.pad(picture, border, mode="edge") if padding else picture
        slot[: padded.shape[0], : padded.shape[1]] = padded
    return stack


def _level(view: View, sources: Sequence[View], bounds: tuple[float, float], halvings: int) -> _Level:
    rgb = _picture(view, halvings)
    pictures = [_grey(_picture(source, halvings)) for source in sources]
    forward = np.stack([transfer(view, source, halvings) for source in sources])
    nearest, farthest = bounds
    return _Level(
        rgb=rgb,
        grey=_grey(rgb),
        intrinsics=_intrinsics(view, halvings),
        stack=_stacked(pictures, stereo.PADDING),
        sizes=np.array([picture.shape for picture in pictures], np.int32),
        forward=forward,
        backward=np.stack([transfer(source, view, halvings) for source in sources]),
        nearest=nearest,
        farthest=farthest,
        parallax=_parallax(forward, (rgb.shape[0], rgb.shape[1]), 0.5 * (nearest + farthest)),
    )


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
        forward = np.stack([transfer(view, source, 0) for source in sources])
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

    def run(self, kernel: Callable[..., None], rows: int, *arguments: Any) -> None:
        """Calls ``kernel(first, last, *arguments)`` for bands that cover range(rows)."""
        edges = np.linspace(0, rows, min(4 * self._count, rows) + 1).astype(int)
        bands = zip(edges[:-1], edges[1:], strict=True)
        for done in [self._pool.submit(kernel, int(first), int(last), *arguments) for first, last in bands]:
            done.result()


class _Progress:
    """Counts work in units of one sweep over a quarter-size picture."""

    def __init__(self, report: Report, total: int) -> None:
        self._report, self._done, self._total = report, 0, total

    def add(self, amount: int) -> None:
        self._done += amount
        self._report(self._done, self._total)


def estimate_depths(views: Sequence[View], settings: StereoSettings, report: Report) -> list[DepthMap]:
    """Depth, normals and confidence of every view.

    At least two views at different places are needed. ``report(done, total)`` is called every second or two from the
    calling thread; what it raises ends the work. Memory: the pictures, and 40 bytes per pixel and view.
    """
    if len(views) < 2:
        raise ValueError("dense stereo needs at least two views")
    chosen = select_sources(views, settings.sources)
    levels = len(settings.sweeps)
    per_view = sum(2 * count * 4**i for i, count in enumerate(settings.sweeps)) + 4 + 1
    per_view += 2 * settings.geometric_sweeps * 4 ** (levels - 1)
    progress = _Progress(report, per_view * len(views))
    planes: list[Float32] = []
    costs: list[Float32] = []
    with Workers() as workers:
        bounds = []
        for i, view in enumerate(views):
            sources = [views[j] for j in chosen[i]]
            bounds.append(_bounds(view, views, sources))
            plane, cost = _photometric(view, sources, bounds[i], settings, workers, progress, seed=i)
            planes.append(plane)
            costs.append(cost)
        if settings.geometric_sweeps:
            witnesses = [plane.copy() for plane in planes]
            for i, view in enumerate(views):
                level = _level(view, [views[j] for j in chosen[i]], bounds[i], 0)
                others = _stacked([witnesses[j] for j in chosen[i]], 0)
                count = settings.geometric_sweeps
                _patchmatch(level, planes[i], costs[i], others, count, 0.25, workers, progress, 1, i)
        return [
            _confirmed(i, views, chosen[i], planes, costs[i], bounds[i], workers, progress) for i in range(len(views))
        ]


def _photometric(
    view: View,
    sources: Sequence[View],
    bounds: tuple[float, float],
    settings: StereoSettings,
    workers: Workers,
    progress: _Progress,
    seed: int,
) -> tuple[Float32, Float32]:
    """Planes (H, W, 3) and data cost (H, W) from the pictures alone."""
    coarsest = len(settings.sweeps) - 1
    planes = np.empty(0, np.float32)
    for halvings, count in zip(range(coarsest, -1, -1), settings.sweeps, strict=True):
        level = _level(view, sources, bounds, halvings)
        if halvings == coarsest:
            planes = _plane_sweep(level, workers)
            progress.add(4)
        else:
            planes = _finer(planes, level.shape)
        cost = np.ones(level.shape, np.float32)
        none = np.zeros((len(sources), 1, 1, 3), np.float32)
        _patchmatch(level, planes, cost, none, count, 0.5, workers, progress, 4 ** (coarsest - halvings), seed)
    return planes, cost


def _plane_sweep(level: _Level, workers: Workers) -> Float32:
    height, width = level.shape
    count = min(max(math.ceil((level.nearest - level.farthest) * level.parallax), 16), 192)
    labels = np.linspace(level.farthest, level.nearest, count)
    bits = np.empty(level.shape, np.uint32)
    planesweep.census(level.grey, bits)
    volume = np.empty((height, width, count), np.uint8)
    best = min(2, len(level.forward))
    workers.run(planesweep.match, count, bits, level.stack, level.sizes, level.forward, labels, best, volume)
    total = np.zeros((height, width, count), np.uint16)
    workers.run(planesweep.aggregate, height, False, level.grey, volume, total)
    workers.run(planesweep.aggregate, width, True, level.grey, volume, total)
    planes = np.empty((height, width, 3), np.float32)
    workers.run(planesweep.pick, height, total, labels, planes)
    tilted = np.empty_like(planes)
    workers.run(planesweep.tilt, height, planes, level.parallax, tilted)
    return tilted


SMOOTHNESS = 0.03
GEOMETRIC = 0.1


def _patchmatch(
    level: _Level,
    planes: Float32,
    cost: Float32,
    source_planes: Float32,
    count: int,
    step: float,
    workers: Workers,
    progress: _Progress,
    weight: int,
    seed: int,
) -> None:
    """``count`` red-black iterations in place, the random step (pixels of parallax) halved after each."""
    best = min(2, len(level.forward))
    geometric = GEOMETRIC if source_planes.shape[1] > 1 else 0.0
    for iteration in range(count):
        for colour in (0, 1):
            workers.run(
                stereo.sweep, level.shape[0], colour, 1000 * seed + 2 * iteration + colour,
                level.grey, level.rgb, level.stack, level.sizes, level.forward, level.backward, source_planes,
                level.intrinsics, level.nearest, level.farthest, level.parallax, best,
                SMOOTHNESS, geometric, step * 0.5**iteration, planes, cost,
            )  # fmt: skip
            progress.add(weight)


def _finer(planes: Float32, shape: tuple[int, int]) -> Float32:
    """The planes of a level at twice its size: each coarse pixel's plane over its four fine pixels."""
    y = np.arange(shape[0])
    x = np.arange(shape[1])
    cy = np.minimum(y // 2, planes.shape[0] - 1)
    cx = np.minimum(x // 2, planes.shape[1] - 1)
    fine = planes[cy[:, None], cx[None]]
    off_y = ((y + 0.5) / 2 - 0.5 - cy).astype(np.float32)[:, None]
    off_x = ((x + 0.5) / 2 - 0.5 - cx).astype(np.float32)[None]
    fine[..., 0] += fine[..., 1] * off_x + fine[..., 2] * off_y
    fine[..., 1:] *= 0.5
    return np.ascontiguousarray(fine)


def _confirmed(
    i: int,
    views: Sequence[View],
    sources: Sequence[int],
    planes: Sequence[Float32],
    cost: Float32,
    bounds: tuple[float, float],
    workers: Workers,
    progress: _Progress,
) -> DepthMap:
    view = views[i]
    height, width = view.image.shape[:2]
    forward = np.stack([transfer(view, views[j], 0) for j in sources])
    backward = np.stack([transfer(views[j], view, 0) for j in sources])
    sizes = np.array([views[j].image.shape[:2] for j in sources], np.int32)
    others = _stacked([planes[j] for j in sources], 0)
    agreeing = np.zeros((height, width), np.uint8)
    confidence = np.zeros((height, width), np.float32)
    workers.run(
        stereo.confirm, height, planes[i], cost, sizes, forward, backward, others, ROUND_TRIP_PIXELS,
        ROUND_TRIP_DEPTH, agreeing, confidence,
    )  # fmt: skip
    parallax = _parallax(forward, (height, width), sum(bounds) / 2)
    stereo.remove_speckles(planes[i], parallax, int(_SPECKLE_SHARE * height * width), confidence)
    progress.add(1)
    rho = planes[i][..., 0]
    return DepthMap(
        depth=np.where(rho > 0, 1 / np.maximum(rho, np.float32(1e-30)), 0).astype(np.float32),
        normal=_normals(planes[i], _intrinsics(view, 0)),
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
    intrinsics = _intrinsics(view, 0)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    gradient = found.normal @ np.linalg.inv(intrinsics).astype(np.float32)
    known = found.depth > 0
    rho = np.where(known, 1 / np.where(known, found.depth, 1), 0).astype(np.float32)
    scale = gradient[..., 0] * x + gradient[..., 1] * y + gradient[..., 2]
    scale = np.where(known, rho / np.where(known, scale, 1), 0)
    return np.stack([rho, gradient[..., 0] * scale, gradient[..., 1] * scale], axis=-1).astype(np.float32)
