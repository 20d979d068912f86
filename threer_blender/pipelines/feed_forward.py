"""[R] Reconstruction by a network that sees many photos at once.

The free memory decides how many photos the network sees at once. A longer capture is split into overlapping chunks,
whose predictions are aligned. The predictions become cameras, pointmaps and a cloud.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..geometry.alignment import chunks
from ..geometry.alignment.chunks import ChunkSettings
from ..geometry.clouds import assembly, cleaning
from ..geometry.clouds.voxels import Voxels
from ..geometry.features import retrieval
from ..geometry.features.database import Excluded
from ..geometry.view_prediction import ViewPrediction, with_focal
from ..model.arrays import Array
from ..model.engine import Engine, Report, Stage
from ..model.errors import UserError
from ..model.reconstruction import MEDIAN_DEPTH, Photo, Reconstruction, Unregistered
from ..model.similarity import Similarity
from ..networks import checkpoints
from ..networks.inputs import Input
from ..networks.view_inputs import shows_photo
from ..pictures import masks
from ..pictures.photos import pixels
from ..runtime import weights
from ..runtime.device import Device, choose
from ..runtime.report import Watch
from . import refinement
from .finishing import improved
from .live_picture import LivePicture

# The stages, with the seconds that are expected on two cores: for loading in all, for the others per photo.
LOADING, SORTING = Stage("loading", "Loading the network", 5.0), Stage("sorting", "Comparing photos", 0.3)
LOOKING, MERGING = Stage("looking", "Looking at all photos", 2.0), Stage("merging", "Merging", 0.3)

UNTRUSTED_SHARE = 0.3  # share of the points, those with the lowest confidences, that are not trusted
SHARED = 0.25  # share of a chunk's photos that are in the next chunk, too
MOST_POINTMAPS = 60  # pointmaps of a result; those of a longer capture are spread evenly over its photos
LIVE_SIDE = 128  # pixels, about, of the longer side of a photo in the live picture
NOT_REACHED = ("You stopped the work before its turn came.", "Reconstruct again, and let it finish.")
MEMORY = 0.8  # share of the free memory that may be used
CONFIDENCE = "1 and more, the network's own scale: 1 + exp of what it says; it learnt to be high where errors are small"


InputOf = Callable[[int], Input]
"""The index of a photo -> its input to the network."""

PredictionOf = Callable[[int], ViewPrediction]
"""The index of a photo -> its prediction, in the frame that all photos share."""


@dataclass(frozen=True)
class Predictions:
    """The predictions `of` the photos whose indices are `photos`, in the artist's order, and `notes` for the artist."""

    of: PredictionOf
    photos: list[int]
    notes: list[str]


@dataclass(frozen=True)
class Network:
    """A loaded network, as an engine gives it to `reconstruct`.

    `inputs` takes all photos and returns the function from the index of a photo to its input. `predict` takes some
    inputs and returns a prediction for each, all in one frame; it may take and return them one by one. `metric`: the
    unit of the predictions is the metre. `one_lens`: photos of one size were taken with one lens, as those of a video.
    """

    inputs: Callable[[Sequence[Photo]], InputOf]
    predict: Callable[[Iterable[Input]], Iterable[ViewPrediction]]
    metric: bool = False
    one_lens: bool = False


Load = Callable[[Mapping[str, Tensor], Device], Network]
"""The tensors of a checkpoint, and a device -> the network on that device."""


def batch(views: Iterable[Input], device: Device) -> Tensor:
    """The images of N inputs of one size as a tensor (N, 3, H, W), float32 in [0, 1], on the device."""
    images = torch.from_numpy(np.stack([one.image for one in views]))
    return images.to(device.torch).permute(0, 3, 1, 2).float() / 255


@contextmanager
def inference(device: Device) -> Iterator[None]:
    """Networks compute in the device's precision and without gradients."""
    precision = torch.autocast(device.torch.type, device.dtype, enabled=device.dtype != torch.float32)
    with torch.inference_mode(), precision:
        yield


def infer(device: Device, forward: Callable[[], Iterable[Tensor]]) -> list[Array]:
    """Calls `forward` under `inference`. Returns its tensors as float32 arrays."""
    with inference(device):
        return arrays(forward())


def arrays(tensors: Iterable[Tensor]) -> list[Array]:
    """The tensors as float32 arrays."""
    return [tensor.float().cpu().numpy() for tensor in tensors]


def reconstruct(
    engine: Engine, photos: Sequence[Photo], options: Mapping[str, Any], load: Load, report: Report
) -> Reconstruction:
    """Cameras, pointmaps and a cloud of one photo or more.

    Photos that do not fit into memory together are processed in chunks. Once the first prediction is there, a cancel
    ends the work early, and the result is of the photos up to there. `options` has values for `engines.options`'s
    REFINE and MASKS. Raises UserError where the weights are missing or are not the network's, memory is too small, or
    no surface is predicted; and `report`'s errors.
    """
    watch = Watch()
    report.plan(_plan(len(photos), options, in_parts=False))
    report(LOADING, 0, 1)
    device = choose()
    path = weights.locate(engine.weights[0])
    tensors = checkpoints.read(path)
    network = load(tensors, device)
    weights.note_fits_network(engine.weights[0], path)
    weight_bytes = sum(tensor.nbytes for tensor in tensors.values())
    watch.lap("loading")
    excluded, unmasked_input_of = masks.excluder(options), network.inputs(photos)

    def input_of(index: int) -> Input:
        return unmasked_input_of(index).masked(photos[index], excluded)

    settings = _chunk_settings(engine, device, weight_bytes, len(photos))
    with tempfile.TemporaryDirectory() as folder:
        if len(photos) > settings.size:
            report.plan(_plan(len(photos), options, in_parts=True))
        predictions = _predictions(photos, input_of, network, settings, Path(folder), report, excluded)
        if network.one_lens:
            predictions = _with_one_lens(photos, predictions)
        watch.lap("network")
        result = _merged_views(engine, photos, input_of, predictions, network.metric, report)
    result.notes.extend(predictions.notes)
    watch.lap("merging")
    result = replace(result, timings=watch.laps)
    return improved(
        result, lambda report: refinement.refined(result, options["refine"], pixels, report, excluded=excluded), report
    )


def _plan(photos: int, options: Mapping[str, Any], in_parts: bool) -> list[Stage]:
    """The stages for so many photos. `in_parts`: they are processed in several chunks."""
    per_photo = [SORTING, LOOKING, MERGING] if in_parts else [LOOKING, MERGING]
    weighed = [stage.weighing(stage.weight * photos) for stage in per_photo]
    return [LOADING, *weighed, *refinement.plan(photos, options["refine"])]


def _predictions(
    photos: Sequence[Photo],
    input_of: InputOf,
    network: Network,
    settings: ChunkSettings,
    folder: Path,
    report: Report,
    excluded: Excluded,
) -> Predictions:
    """The predictions of all photos in one frame, or of those up to the one at which the artist ended the work.

    The predictions are stored in `folder` and read from there at each call, so the folder must exist as long.
    """
    images: deque[Array] = deque()  # small ones of the inputs whose predictions are due
    live = LivePicture(report.preview)
    order, loops, in_parts = list(range(len(photos))), [], len(photos) > settings.size
    if in_parts:
        similarity = retrieval.photo_similarity(
            photos, pixels, folder, lambda _, done, total: report(SORTING, done, total), excluded
        )
        order = retrieval.in_order(similarity)
        loops = retrieval.revisits(similarity[np.ix_(order, order)], 2 * settings.size)

    def predict(indices: Sequence[int]) -> Iterator[ViewPrediction]:
        shows: deque[Array] = deque()  # of the inputs whose predictions are due: whether a pixel shows the photo
        images.clear()

        def views() -> Iterator[Input]:
            for index in indices:
                view = input_of(order[index])
                shows.append(shows_photo(photos[order[index]], view))
                step = max(1, max(view.image.shape) // LIVE_SIDE)
                images.append(view.image[::step, ::step].copy())
                yield view

        for answer in network.predict(views()):
            yield replace(answer, confidence=np.where(shows.popleft(), answer.confidence, 0))

    def arrived(chunk: int, index: int, view: ViewPrediction) -> bool:
        live.add(chunk, index, view, images.popleft())
        if view.confidence.any():
            report.keep()
        return report.finishing.is_set()

    solution = chunks.solve(
        len(photos), predict, settings, folder, loops, lambda done, total: report(LOOKING, done, total), arrived
    )
    how = "in their order" if order == sorted(order) else "sorted by what they show, as their order jumps about"
    part_note = (
        f"The photos were looked at {settings.size} at a time, {how}; where the parts meet, at least "
        f"{solution.agreement:.0%} of their points agree."
    )
    notes = [part_note] if in_parts else []
    if len(solution) < len(photos):
        notes.append(f"You stopped the work after {len(solution)} of {len(photos)} photos; the result is of these.")
    rank = np.argsort(order)
    return Predictions(lambda index: solution[rank[index]], sorted(order[: len(solution)]), notes)


def _with_one_lens(photos: Sequence[Photo], predictions: Predictions) -> Predictions:
    """The predictions with one focal length for all photos of one size: the median of what each of them says."""
    focals = defaultdict(list)
    for index in predictions.photos:
        view, photo = predictions.of(index), photos[index]
        if view.confidence.any():
            focals[photo.width, photo.height].append(view.intrinsics[0, 0])
    shared = {size: float(np.median(values)) for size, values in focals.items()}

    def with_shared_focal(index: int) -> ViewPrediction:
        view, photo = predictions.of(index), photos[index]
        return with_focal(view, shared.get((photo.width, photo.height), view.intrinsics[0, 0]))

    return replace(predictions, of=with_shared_focal)


def _chunk_settings(engine: Engine, device: Device, weight_bytes: int, count: int) -> ChunkSettings:
    """The settings of chunks for `count` photos: a chunk has as many photos as fit into memory beside the weights.

    Raises UserError where fewer fit than the engine needs at once.
    """
    is_half = device.dtype != torch.float32
    cost = engine.costs[""]
    per_photo = cost.memory_per_photo / (2 if is_half else 1)
    # In half precision, autocast holds a second copy of the weights.
    fixed = (1.5 if is_half else 1.0) * weight_bytes + cost.memory
    most = min(cost.most_at_once, int((MEMORY * device.memory - fixed) / per_photo))
    fewest = min(count, cost.fewest_at_once)
    if most < fewest:
        needed = (fixed + fewest * per_photo) / MEMORY / 2**30
        raise UserError(
            f"{engine.label} needs {needed:.1f} GB of free memory for these photos, and {device.name} has "
            f"{device.memory / 2**30:.1f} GB; close other programs, choose fewer photos, or a smaller engine."
        )
    return ChunkSettings(most, max(2, round(SHARED * most)))


def _merged_views(
    engine: Engine,
    photos: Sequence[Photo],
    input_of: InputOf,
    predictions: Predictions,
    metric: bool,
    report: Report,
) -> Reconstruction:
    """The predictions as a Reconstruction, with a median depth of MEDIAN_DEPTH unless they are metric.

    Each prediction is read twice, to save memory: first for the median depth and the confidences, then for all else.
    Raises UserError where no prediction has any depth.
    """
    depths: list[Array] = []
    confidences: list[Array] = []
    steps: list[float] = []
    for index in predictions.photos:
        view, photo = predictions.of(index), photos[index]
        valid = (view.confidence > 0) & np.isfinite(view.depth) & (view.depth > 0)
        if not valid.any():
            report.warn("No surface is recognised in it, so its camera is a guess.", photo.name)
        depths.append(view.depth[valid][::97])  # a sample of the pixels is enough for medians
        confidences.append(view.confidence[valid][::97])
        steps.append(1 / view.intrinsics[0, 0])  # between two pixels, at a depth of 1
    if not any(map(len, depths)):
        raise UserError(f"{engine.label} finds no surface in these photos; choose others, or another engine.")
    middle = float(np.median(np.concatenate(depths)))
    unit = 1.0 if metric else MEDIAN_DEPTH / middle
    trusted = float(np.quantile(np.concatenate(confidences), UNTRUSTED_SHARE))
    rescaling = Similarity(unit, np.eye(3), np.zeros(3))

    def views() -> Iterator[assembly.View]:
        for done, index in enumerate(predictions.photos):
            report(MERGING, done, len(predictions.photos))
            yield _view(index, photos[index], input_of(index), predictions.of(index).transformed(rescaling))

    if len(predictions.photos) > MOST_POINTMAPS:
        chosen = np.linspace(0, len(predictions.photos) - 1, MOST_POINTMAPS).round().astype(int)
        mapped = {predictions.photos[position] for position in chosen}
        side = unit * middle * float(np.median(steps))
        result = _merged_long_capture(engine, photos, views(), mapped, trusted, side)
    else:
        result = assembly.reconstruction(engine, photos, list(views()), trusted)
    not_reached = sorted(set(range(len(photos))) - set(predictions.photos))
    unregistered = [Unregistered(photos[index].name, *NOT_REACHED) for index in not_reached]
    return replace(result, unregistered=unregistered, metric=metric, confidence_meaning=CONFIDENCE)


def _merged_long_capture(
    engine: Engine,
    photos: Sequence[Photo],
    views: Iterable[assembly.View],
    mapped: Set[int],
    trusted: float,
    side: float,
) -> Reconstruction:
    """The Reconstruction of a capture that is too long to hold all of its pointmaps in memory.

    It has pointmaps of the photos `mapped`, by their indices. Its cloud is of all photos, with one point for each cube
    of `side` world units.
    """
    cameras, chosen_views, collected = [], [], Voxels(side)
    for one in views:
        cameras.append(one.camera)
        pointmap = one.pointmap(trusted)
        normals = cleaning.normals(pointmap.points, one.camera.world_from_camera[:3, 3])
        visible = pointmap.mask
        collected.add(
            pointmap.points[visible], normals[visible], one.image[visible], one.confidence[visible], one.number
        )
        if one.number in mapped:
            chosen_views.append(one)
    cleaned = cleaning.clean(
        [one.camera for one in chosen_views],
        [one.pointmap(trusted) for one in chosen_views],
        [one.image for one in chosen_views],
    )
    solved = (cameras, cleaned, collected.cloud())
    note = f"The capture is long: depth maps are kept of {len(chosen_views)} photos along it; the points are of all."
    return Reconstruction(engine.id, engine.licence, list(photos), *solved, trusted_confidence=trusted, notes=[note])


def _view(index: int, photo: Photo, view_input: Input, view: ViewPrediction) -> assembly.View:
    """The view of a prediction, with its camera in the photo's pixels. A depth between two surfaces becomes 0: none."""
    focal = math.sqrt(view.intrinsics[0, 0] * view.intrinsics[1, 1])
    size = (view.depth.shape[1], view.depth.shape[0])
    camera = assembly.camera(photo, view_input.photo_from_map, size, focal, view.world_from_camera)
    trusted_pixels = (view.confidence > 0) & ~cleaning.edges(view.depth.astype(np.float64))
    return assembly.View(
        index,
        camera,
        view_input.photo_from_map,
        view_input.image,
        np.where(trusted_pixels, view.depth, 0),
        view.confidence,
    )
