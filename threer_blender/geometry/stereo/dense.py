"""[R] Dense stereo as one function: posed pictures in, depth, normals and confidence out. numpy and numba only.

For each view there are four steps: a plane sweep with semi-global matching (`plane_sweep`); PatchMatch, which fits
slanted planes to the result (`patchmatch`); PatchMatch again, which also compares with the other views' depths; and a
check of geometric consistency with these depths, which gives the confidence (`consistency`). The caller resizes and
undistorts the pictures.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array
from ..kernels import in_bands
from . import consistency, patchmatch, plane_sweep
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
"""Least confidence of a pixel whose depth is displayed, fused and measured: it is more likely right than wrong."""

ROUND_TRIP_PIXELS = 1.5
"""Pixels from its start within which the round trip of a consistent pixel ends."""
ROUND_TRIP_DEPTH = 0.015
"""Relative difference of depth with which the round trip of a consistent pixel ends, at most."""
SMOOTHNESS = 0.15
"""Cost of one pixel of parallax between equally coloured neighbours, where a patch that does not match costs 1."""

_GEOMETRIC = 0.1
"""Cost of one pixel's error of the round trip through another view's depth."""

_RANDOM_STEP = 0.5
"""Pixels of parallax by which PatchMatch first changes a plane at random."""

MOST_LABELS = 192
"""Inverse depths that the plane sweep tries at most; they bound its memory."""
_SWEEP_UNITS = 2
"""Parts in which the progress of the plane sweep is reported."""

_SPECKLE_SHARE = 4e-4
"""Share of the picture: smaller islands of depth are noise."""


@dataclass(frozen=True)
class StereoSettings:
    """The amount of work; the presets are below."""

    long_side: int  # pixels of the longer side to which the caller resizes the pictures
    sources: int  # pictures with which each one is compared
    sweeps: int  # PatchMatch iterations on the pictures alone
    geometric_sweeps: int  # iterations that also ask for agreement with the other views' depths


PREVIEW = StereoSettings(long_side=288, sources=3, sweeps=1, geometric_sweeps=0)
STANDARD = StereoSettings(long_side=512, sources=4, sweeps=1, geometric_sweeps=1)
HIGH = StereoSettings(long_side=768, sources=4, sweeps=1, geometric_sweeps=2)

Report = Callable[[int, int], None]
"""report(done, total): receives the progress in units of about equal time, and may raise."""


def estimate_depths(views: Sequence[View], settings: StereoSettings, report: Report) -> list[DepthMap]:
    """Depth, normals and confidence of every view.

    `report(done, total)` is called every second or two in the calling thread and may raise. The memory is that of the
    pictures, plus 55 bytes per pixel of all views, plus 3 · MOST_LABELS bytes per pixel of one view during its sweep.
    Raises ValueError where there are no two views from different places.
    """
    chosen = select_sources(views, settings.sources)
    if not all(chosen):
        raise ValueError("dense stereo needs at least two views from different places")
    total = len(views) * (2 * settings.sweeps + 2 * settings.geometric_sweeps + _SWEEP_UNITS + 1)
    progress = itertools.count(1)

    def step() -> None:
        report(next(progress), total)

    sources = [[views[j] for j in indices] for indices in chosen]
    bounds = [bounds_of(view, views, its_sources) for view, its_sources in zip(views, sources, strict=True)]
    planes: list[Float32Array] = []
    costs: list[Float32Array] = []
    for i, view in enumerate(views):
        comparison = compare(view, sources[i], bounds[i])
        planes.append(_plane_sweep(comparison, step))
        costs.append(np.ones(comparison.shape, np.float32))
        no_planes = np.zeros((len(sources[i]), 1, 1, 3), np.float32)
        _patchmatch(comparison, planes[i], costs[i], no_planes, 0.0, settings.sweeps, i, step)
    if settings.geometric_sweeps:
        earlier_planes = [each.copy() for each in planes]
        for i, view in enumerate(views):
            comparison = compare(view, sources[i], bounds[i])
            source_planes = stacked([earlier_planes[j] for j in chosen[i]], 0)
            count = settings.geometric_sweeps
            _patchmatch(comparison, planes[i], costs[i], source_planes, _GEOMETRIC, count, i, step)
    depth_maps = []
    for i, view in enumerate(views):
        source_planes = stacked([planes[j] for j in chosen[i]], 0)
        depth_maps.append(_consistent(view, sources[i], bounds[i], planes[i], costs[i], source_planes))
        step()
    return depth_maps


def _plane_sweep(comparison: Comparison, step: Callable[[], None]) -> Float32Array:
    """Planes (H, W, 3) from semi-global matching over equal steps of inverse depth, of about one pixel of parallax."""
    height, width = comparison.shape
    span = comparison.nearest - comparison.farthest
    count = min(max(math.ceil(span * comparison.parallax), 16), MOST_LABELS)
    labels = np.linspace(comparison.farthest, comparison.nearest, count)
    bits = np.empty(comparison.shape, np.uint32)
    plane_sweep.census(comparison.grey, bits)
    volume = np.empty((height, width, count), np.uint8)
    stack, sizes, forward = comparison.stack, comparison.sizes, comparison.forward
    for part in np.array_split(np.arange(count), _SWEEP_UNITS):
        in_bands(plane_sweep.match, part[0], part[-1] + 1, bits, stack, sizes, forward, labels, volume)
        step()
    total = np.zeros((height, width, count), np.uint16)
    for dx, dy in plane_sweep.DIRECTIONS:
        lines = plane_sweep.line_count(comparison.shape, dx, dy)
        in_bands(plane_sweep.aggregate, 0, lines, dx, dy, comparison.grey, volume, total)
    planes = np.empty((height, width, 3), np.float32)
    in_bands(plane_sweep.pick, 0, height, total, labels, planes)
    tilted = np.empty_like(planes)
    in_bands(plane_sweep.tilt, 0, height, planes, comparison.parallax, tilted)
    return tilted


def _patchmatch(
    comparison: Comparison,
    planes: Float32Array,
    cost: Float32Array,
    source_planes: Float32Array,
    geometric: float,
    count: int,
    seed: int,
    step: Callable[[], None],
) -> None:
    """Improves `planes` and `cost` in place by `count` red-black iterations. The random changes are halved after each.

    With `geometric` > 0, the sources' planes `source_planes` (S, H, W, 3) are compared too, at this cost per pixel.
    """
    c = comparison
    reference = patchmatch.Reference(c.grey, c.rgb, c.intrinsics, c.nearest, c.farthest, c.parallax)
    sources = patchmatch.Sources(c.sizes, c.forward, c.backward, source_planes)
    for iteration in range(count):
        for colour in (0, 1):
            settings = patchmatch.SweepSettings(
                colour=colour,
                seed=1000 * seed + 2 * iteration + colour,
                step=_RANDOM_STEP * 0.5**iteration,
                smoothness=SMOOTHNESS,
                geometric=geometric,
            )
            in_bands(patchmatch.sweep, 0, c.shape[0], reference, c.stack, sources, settings, planes, cost)
            step()


def _consistent(
    view: View,
    sources: Sequence[View],
    bounds: tuple[float, float],
    planes: Float32Array,
    cost: Float32Array,
    source_planes: Float32Array,
) -> DepthMap:
    """The view's depth map, with a confidence by the geometric consistency with its sources."""
    height, width = view.image.shape[:2]
    forward = np.stack([transfer(view, source) for source in sources])
    backward = np.stack([transfer(source, view) for source in sources])
    agreeing = np.zeros((height, width), np.uint8)
    confidence = np.zeros((height, width), np.float32)
    parallax = parallax_of(forward, (height, width), sum(bounds) / 2)
    others = patchmatch.Sources(sizes_of(sources), forward, backward, source_planes)
    limits = consistency.ConsistencyLimits(parallax, ROUND_TRIP_PIXELS, ROUND_TRIP_DEPTH)
    in_bands(consistency.check_consistency, 0, height, planes, cost, others, limits, agreeing, confidence)
    consistency.remove_speckles(planes, parallax, int(_SPECKLE_SHARE * height * width), confidence)
    rho = planes[..., 0]
    return DepthMap(
        depth=np.where(rho > 0, 1 / np.maximum(rho, np.float32(1e-30)), 0).astype(np.float32),
        normal=normals_of(planes, centred(view.intrinsics)),
        confidence=confidence,
        agreeing=np.where(confidence > 0, agreeing, 0).astype(np.uint8),
    )
