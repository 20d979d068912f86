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

from . import consistency, patchmatch, plane_sweep
from .patchmatch import Float32
from .views import (
    Comparison,
    DepthMap,
    View,
    bounds_of,
    centred,
    compare,
    normals_of,
    parallax_of,
    select_sources,
    sizes_of,
    stacked,
    transfer,
)

TRUSTED = 0.5
"""Least confidence at which a pixel's depth is shown, fused and measured: more likely right than wrong."""

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
        bounds = [bounds_of(view, views, others) for view, others in zip(views, sources, strict=True)]
        planes: list[Float32] = []
        costs: list[Float32] = []
        for i, view in enumerate(views):
            comparison = compare(view, sources[i], bounds[i])
            planes.append(_plane_sweep(comparison, workers, step))
            costs.append(np.ones(comparison.shape, np.float32))
            unseen = np.zeros((len(sources[i]), 1, 1, 3), np.float32)
            _patchmatch(comparison, planes[i], costs[i], unseen, 0.0, settings.sweeps, i, workers, step)
        if settings.geometric_sweeps:
            witnesses = [plane.copy() for plane in planes]
            for i, view in enumerate(views):
                comparison = compare(view, sources[i], bounds[i])
                others = stacked([witnesses[j] for j in chosen[i]], 0)
                count = settings.geometric_sweeps
                _patchmatch(comparison, planes[i], costs[i], others, _GEOMETRIC, count, i, workers, step)
        found = []
        for i, view in enumerate(views):
            others = stacked([planes[j] for j in chosen[i]], 0)
            found.append(_confirmed(view, sources[i], bounds[i], planes[i], costs[i], others, workers))
            step()
    return found


def _plane_sweep(comparison: Comparison, workers: Workers, step: Callable[[], None]) -> Float32:
    """Planes (H, W, 3) from semi-global matching over equal steps of inverse depth, about a pixel each."""
    height, width = comparison.shape
    span = comparison.nearest - comparison.farthest
    count = min(max(math.ceil(span * comparison.parallax), 16), MOST_LABELS)
    labels = np.linspace(comparison.farthest, comparison.nearest, count)
    bits = np.empty(comparison.shape, np.uint32)
    plane_sweep.census(comparison.grey, bits)
    volume = np.empty((height, width, count), np.uint8)
    stack, sizes, forward = comparison.stack, comparison.sizes, comparison.forward
    for part in np.array_split(np.arange(count), _SWEEP_UNITS):
        workers.run(plane_sweep.match, part[0], part[-1] + 1, bits, stack, sizes, forward, labels, volume)
        step()
    total = np.zeros((height, width, count), np.uint16)
    for dx, dy in plane_sweep.DIRECTIONS:
        lines = plane_sweep.line_count(comparison.shape, dx, dy)
        workers.run(plane_sweep.aggregate, 0, lines, dx, dy, comparison.grey, volume, total)
    planes = np.empty((height, width, 3), np.float32)
    workers.run(plane_sweep.pick, 0, height, total, labels, planes)
    tilted = np.empty_like(planes)
    workers.run(plane_sweep.tilt, 0, height, planes, comparison.parallax, tilted)
    return tilted


def _patchmatch(
    comparison: Comparison,
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
                patchmatch.sweep, 0, c.shape[0], colour, 1000 * seed + 2 * iteration + colour, c.grey, c.rgb, c.stack,
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
    parallax = parallax_of(forward, (height, width), sum(bounds) / 2)
    workers.run(
        consistency.confirm, 0, height, planes, cost, sizes_of(sources), forward, backward, source_planes, parallax,
        ROUND_TRIP_PIXELS, ROUND_TRIP_DEPTH, agreeing, confidence,
    )  # fmt: skip
    consistency.remove_speckles(planes, parallax, int(_SPECKLE_SHARE * height * width), confidence)
    rho = planes[..., 0]
    return DepthMap(
        depth=np.where(rho > 0, 1 / np.maximum(rho, np.float32(1e-30)), 0).astype(np.float32),
        normal=normals_of(planes, centred(view.intrinsics)),
        confidence=confidence,
        agreeing=np.where(confidence > 0, agreeing, 0).astype(np.uint8),
    )
