"""[R] What all engines share whose network answers for many photos at once: inputs, memory, chunks, cameras, cloud."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..catalog import Engine
from ..geometry import assembly, chunks, cleaning, refinement
from ..geometry.chunks import Settings
from ..geometry.poses import Similarity
from ..geometry.views import ViewPrediction
from ..geometry.voxels import Voxels
from ..messages import UserError
from ..networks import checkpoints
from ..networks.inputs import Input
from ..networks.view_inputs import inside
from ..reconstruction import MEDIAN_DEPTH, Array, Photo, Reconstruction
from . import weights
from .device import Device, choose
from .photos import pixels
from .report import Report, Watch

LOADING, LOOKING, MERGING = "Loading the network", "Looking at all photos", "Merging"

TRUSTED = 0.3  # quantile of the confidences below which points are not trusted
MOST_AT_ONCE = 100  # photos; beyond it, networks trained on two dozen grow unsure and time grows with the square
FEWEST_AT_ONCE = 12  # photos; smaller chunks share too little with each other
SHARED = 0.25  # of a chunk, is also in the next
MOST_POINTMAPS = 60  # photos whose pointmaps are kept and compared with each other; of longer captures the cloud alone
MEMORY = 0.8  # of the free memory may be used
THUMBNAIL = 16  # pixels a side
CONFIDENCE = "1 and more, the network's own scale: 1 + exp of what it says; it learnt to be high where errors are small"


@dataclass(frozen=True)
class Network:
    """A loaded network as engines drive it.

    `inputs` makes of all photos a function of an index that gives one photo's input. `predict` answers for the photos
    of some inputs, in one frame.
    """

    inputs: Callable[[Sequence[Photo]], Callable[[int], Input]]
    predict: Callable[[Sequence[Input]], Sequence[ViewPrediction]]


Load = Callable[[Mapping[str, Tensor], Device], Network]
"""The tensors of a checkpoint and a device -> the network on it."""


def batch(seen: Sequence[Input], device: Device) -> Tensor:
    """(N, 3, H, W) float32 in [0, 1] on the device, of inputs of one size."""
    images = torch.from_numpy(np.stack([one.image for one in seen]))
    return images.to(device.torch).permute(0, 3, 1, 2).float() / 255


def answered(device: Device, ask: Callable[[], Iterable[Tensor]]) -> list[Array]:
    """What `ask` returns as float32 arrays, computed in the device's own precision and without gradients."""
    half = torch.autocast(device.torch.type, device.dtype, enabled=device.dtype != torch.float32)
    with torch.inference_mode(), half:
        return [tensor.float().cpu().numpy() for tensor in ask()]


def reconstruct(
    engine: Engine, photos: Sequence[Photo], options: Mapping[str, Any], load: Load, report: Report
) -> Reconstruction:
    """Cameras, pointmaps and a cloud of one photo or more, in the order of a capture where there are many.

    `options` are `catalog.REFINE` alone. Raises UserError where the weights are missing or others than the network's,
    or the memory is too small.
    """
    watch = Watch()
    plan = {LOADING: 5.0, LOOKING: 2.0 * len(photos), MERGING: 0.3 * len(photos)}
    report.plan(plan | refinement.plan(len(photos), options["refine"]))
    report(LOADING, 0, 1)
    device = choose()
    tensors = checkpoints.read(weights.locate(engine.weights[0]))
    network = load(tensors, device)
    held = sum(tensor.nbytes for tensor in tensors.values())
    watch.lap("loading")
    give = network.inputs(photos)
    settings = _settings(engine, device, held, len(photos))

    def predict(indices: Sequence[int]) -> list[ViewPrediction]:
        seen = [give(index) for index in indices]
        answers = network.predict(seen)
        return [
            replace(answer, confidence=np.where(inside(photos[i], one), answer.confidence, 0))
            for i, one, answer in zip(indices, seen, answers, strict=True)
        ]

    with tempfile.TemporaryDirectory() as folder:
        loops = _loops(photos, settings)
        solution = chunks.solve(
            len(photos), predict, settings, Path(folder), loops, lambda done, total: report(LOOKING, done, total)
        )
        watch.lap("network")
        result = _merged(engine, photos, give, solution, report)
    if len(photos) > settings.size:
        result.notes.append(
            f"The photos were looked at {settings.size} at a time, in their order; a capture whose order is not that "
            "of the camera's way comes out bent."
        )
    watch.lap("merging")
    return refinement.refined(replace(result, timings=watch.laps), options["refine"], pixels, report)


def _settings(engine: Engine, device: Device, held: int, count: int) -> Settings:
    """How many photos fit at once beside `held` bytes of weights. Raises UserError where those are too few."""
    half = device.dtype != torch.float32
    cost = engine.costs[""]
    each = cost.memory_per_photo / (2 if half else 1)
    # In half precision, autocast holds a second copy of the weights.
    fixed = (1.5 if half else 1.0) * held + cost.memory
    fit = min(MOST_AT_ONCE, int((MEMORY * device.memory - fixed) / each))
    if fit < min(count, FEWEST_AT_ONCE):
        needed = (fixed + min(count, FEWEST_AT_ONCE) * each) / MEMORY / 2**30
        raise UserError(
            f"{engine.label} needs {needed:.1f} GB of free memory for these photos, and {device.name} has "
            f"{device.memory / 2**30:.1f} GB; close other programs, choose fewer photos, or a smaller engine."
        )
    return Settings(fit, max(2, round(SHARED * fit)))


def _loops(photos: Sequence[Photo], settings: Settings) -> list[tuple[int, int]]:
    """Photos of a long capture that come back to where it was before, by their looks."""
    if len(photos) <= settings.size:
        return []
    thumbnails = np.stack([_thumbnail(pixels(photo, 8 * THUMBNAIL)) for photo in photos])
    return chunks.lookalikes(thumbnails, 2 * settings.size)


def _thumbnail(image: Array) -> Array:
    """(THUMBNAIL²,) mean greys of a grid of cells."""
    grey = image.mean(axis=2)
    rows = np.array_split(grey, THUMBNAIL, axis=0)
    return np.array([cell.mean() for row in rows for cell in np.array_split(row, THUMBNAIL, axis=1)])


def _merged(
    engine: Engine, photos: Sequence[Photo], give: Callable[[int], Input], solution: chunks.Solution, report: Report
) -> Reconstruction:
    """The solution as a Reconstruction; its facts are read from disk once for the unit and once for the rest."""
    depths, confidences, steps = [], [], []
    for view in solution.views():
        valid = (view.confidence > 0) & np.isfinite(view.depth) & (view.depth > 0)
        depths.append(view.depth[valid][::97])
        confidences.append(view.confidence[valid][::97])
        steps.append(1 / view.intrinsics[0, 0])
    scale = Similarity(MEDIAN_DEPTH / float(np.median(np.concatenate(depths))), np.eye(3), np.zeros(3))
    trusted = float(np.quantile(np.concatenate(confidences), TRUSTED))

    def seen() -> Iterator[assembly.View]:
        for index, (photo, view) in enumerate(zip(photos, solution.views(), strict=True)):
            report(MERGING, index, len(photos))
            yield _view(index, photo, give(index), view.moved(scale))

    if len(photos) <= MOST_POINTMAPS:
        return assembly.reconstruction(engine, photos, list(seen()), trusted, confidence_meaning=CONFIDENCE)
    cameras, collected = [], Voxels(side=MEDIAN_DEPTH * float(np.median(steps)))
    for one in seen():
        cameras.append(one.camera)
        pointmap = one.pointmap(trusted)
        normals = cleaning.normals(pointmap.points, one.camera.world_from_camera[:3, 3])
        shown = pointmap.mask
        collected.add(pointmap.points[shown], normals[shown], one.image[shown], one.confidence[shown], one.number)
    return Reconstruction(
        engine=engine.id,
        licence=engine.licence,
        photos=list(photos),
        cameras=cameras,
        cloud=collected.cloud(),
        confidence_meaning=CONFIDENCE,
        trusted_confidence=trusted,
        notes=["The capture is long: its points are in the cloud alone, not photo by photo."],
    )


def _view(index: int, photo: Photo, given: Input, view: ViewPrediction) -> assembly.View:
    """The view in the photo's own pixels; what straddles an edge of the scene counts as nothing."""
    focal = math.sqrt(view.intrinsics[0, 0] * view.intrinsics[1, 1])
    size = (view.depth.shape[1], view.depth.shape[0])
    camera = assembly.camera(photo, given.photo_from_map, size, focal, view.world_from_camera)
    told = (view.confidence > 0) & ~cleaning.edges(view.depth.astype(np.float64))
    return assembly.View(
        index, camera, given.photo_from_map, given.image, np.where(told, view.depth, 0), view.confidence
    )
