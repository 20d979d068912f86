"""[R] Splatt3R: Gaussian splats of two photos from one run of a network, and of more photos from aligned pairs.

Smart et al., "Splatt3R: Zero-shot Gaussian Splatting from Uncalibrated Image Pairs" (2024).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..model.arrays import Array
from ..model.engine import GROUPS, Cost, Report
from ..model.reconstruction import Gaussians, Photo, Reconstruction
from . import published_weights
from .options import MASKS
from .photo_pairs import declaration

if TYPE_CHECKING:
    from ..geometry.pairs.pairs import PairPrediction
    from ..networks.inputs import Input
    from ..pipelines.pair_solution import PairSolution

Pair = tuple[int, int]

SUMMARY = "Gaussian splats from two photos in one go, in metres; learned, for non-commercial use."
ENGINE = replace(
    declaration("splatt3r", "Splatt3R", SUMMARY, published_weights.SPLATT3R, MASKS, seconds_per_pair=30.0, metric=True),
    group=GROUPS[-1],
    produces=frozenset({"cameras", "pointmaps", "cloud", "gaussians"}),
    requires=("torch", "numba", "PIL", "pillow_heif"),
    costs={
        "": Cost(
            memory=1.5e9,
            memory_per_photo=0.02e9,
            seconds=10.0,
            seconds_per_photo=11.0,
            seconds_per_pair=30.0,
            neighbours=8,
        )
    },
    can_start_splats=False,
)
SIDE = 512  # pixels of the square that the network was trained at
TRUSTED = 1.5  # confidence from which on a point is trusted
CONFIDENCE = "MASt3R's own, from 1: how much surer than a guess the network is of a point; from 1.5 on it is trusted"
SQUARE = 1.1  # ratio of a photo's sides above which the artist is told about the crop


class Answer(NamedTuple):
    """The network's prediction for a pair: pointmaps, and the Gaussians of both photos in the first camera's frame."""

    pointmaps: PairPrediction
    of_first: Gaussians
    of_second: Gaussians


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Splats, cameras, pointmaps and a cloud of one photo or more, in metres.

    The Gaussians of a photo are those of its most confident pair. Raises UserError where no two photos connect, or
    predictions are not finite.
    """
    from ..geometry.clouds import assembly
    from ..geometry.pairs import scene_graph
    from ..geometry.pairs.pairs import PairStore
    from ..networks import inputs
    from ..pictures import masks
    from ..pipelines import pair_solution, pairwise
    from ..runtime.report import Watch

    watch = Watch()
    excluded = masks.excluder(options)
    squares = [inputs.square_crop(photo.width, photo.height, SIDE) for photo in photos]
    prepared = [
        inputs.prepared(photo, square).masked(photo, excluded) for photo, square in zip(photos, squares, strict=True)
    ]
    pairs = pair_solution.both_orders(scene_graph.chosen("auto", photos)) or [(0, 0)]
    report.plan([*pairwise.plan(len(photos), len(pairs)), *pair_solution.plan(len(photos))])
    log_confidence: dict[Pair, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = PairStore(Path(folder))
        for answer in predict(prepared, pairs, report):
            prediction = pair_solution.without_masked(answer.pointmaps, prepared)
            store.add(prediction)
            log_confidence[prediction.first, prediction.second] = _log_confidence(prediction)
            # The first photo's file is written last: a photo paired with itself has one file, and there the first
            # one's Gaussians must win.
            for number, part in ((prediction.second, answer.of_second), (prediction.first, answer.of_first)):
                np.savez(_file(folder, (prediction.first, prediction.second), number), **_arrays(part))
        watch.lap("network")
        # Splats fit a photo only through the lens that the network assumed, so the focal length in EXIF is ignored.
        without_focal = [replace(photo, focal=None) for photo in photos]
        solution = pair_solution.solve(store, without_focal, prepared, TRUSTED, report)
        watch.lap("alignment")
        gaussians = _gaussians_in_metres(folder, solution, log_confidence)
    # `solution.unit`: how many of the solution's units are one metre of the network's.
    return assembly.reconstruction(
        ENGINE,
        photos,
        [assembly.scaled(view, 1 / solution.unit) for view in solution.views],
        solution.trusted,
        gaussians=gaussians,
        metric=ENGINE.metric,
        confidence_meaning=CONFIDENCE,
        options=options,
        timings=watch.laps,
        unregistered=solution.unregistered,
        notes=[*solution.notes, *_crop_note(photos)],
    )


def predict(photos: Sequence[Input], pairs: Sequence[Pair], report: Report) -> Iterator[Answer]:
    """Yields the network's predictions for the ordered `pairs`, indices of `photos`.

    Raises UserError where the weights are missing or are not the network's.
    """
    from ..networks import splatt3r
    from ..pipelines import pairwise
    from ..runtime import weights

    path = weights.locate(ENGINE.weights[0])
    network, device = pairwise.load(splatt3r.network, splatt3r.rename, path, report)
    weights.note_fits_network(ENGINE.weights[0], path)
    encoded = pairwise.encode(network, device, photos, report)
    for prediction in pairwise.predict(network, device, encoded, pairs, report):
        first, second = photos[prediction.first], photos[prediction.second]
        yield Answer(
            pairwise.pair_prediction(prediction),
            splatt3r.gaussians(prediction.of_first, first.image, first.excluded),
            splatt3r.gaussians(prediction.of_second, second.image, second.excluded),
        )


def _log_confidence(prediction: PairPrediction) -> float:
    """The network's confidence in a pair: the mean log confidence of a photo, the lower one of both photos."""
    return min(
        float(np.log(np.where(np.isfinite(confidence), np.maximum(confidence, 1), 1)).mean())
        for confidence in (prediction.confidence_first, prediction.confidence_second)
    )


def _gaussians_in_metres(folder: str, solution: PairSolution, log_confidence: Mapping[Pair, float]) -> Gaussians:
    """The Gaussians of all solved photos, each photo's from its most confident pair, in the world in metres."""
    from ..model import gaussian_transform

    to_metres = np.diag([1 / solution.unit] * 3 + [1])
    parts = []
    for view in solution.views:
        pair = max((pair for pair in solution.frames if view.number in pair), key=log_confidence.__getitem__)
        with np.load(_file(folder, pair, view.number)) as arrays:
            of_photo = Gaussians(**arrays, photo=np.full(len(arrays["means"]), view.number, np.int32))
        parts.append(gaussian_transform.transformed(of_photo, to_metres @ solution.frames[pair]))
    return _concatenated(parts)


def _file(folder: str, pair: Pair, number: int) -> Path:
    """The file of the Gaussians of the photo `number`, as predicted in `pair`."""
    return Path(folder) / f"{pair[0]}-{pair[1]}-{number}.npz"


def _arrays(gaussians: Gaussians) -> dict[str, Array]:
    """The arrays of the Gaussians by name, without those that are None."""
    return {name: values for name, values in vars(gaussians).items() if values is not None}


def _concatenated(parts: Sequence[Gaussians]) -> Gaussians:
    """All Gaussians as one set."""
    arrays = [_arrays(part) for part in parts]
    return Gaussians(**{name: np.concatenate([array[name] for array in arrays]) for name in arrays[0]})


def _crop_note(photos: Sequence[Photo]) -> list[str]:
    """A sentence for the artist where photos are not square, since the network sees only their middle."""
    oblong = sum(max(photo.width, photo.height) > SQUARE * min(photo.width, photo.height) for photo in photos)
    return ["Only the middle square of each photo was used: Splatt3R knows no other shape."] if oblong else []
