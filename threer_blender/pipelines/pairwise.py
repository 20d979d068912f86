"""[R] Runs a pair network over many photos. Each photo is encoded once, and pairs are decoded in batches.

Encoded photos are kept in main memory, in half precision. Each batch's predictions are yielded at once, so only one
batch is held, however many pairs there are. Both orders of a pair use the same encoded photos, but are decoded
separately, since the decoders of the first and of the second photo have different weights. Only the projection before
the decoders would be the same. It takes less than 1 % of the time of decoding, and storing its result would take three
quarters more memory per photo.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..geometry.pairs import scene_graph
from ..geometry.pairs.pairs import PairPrediction
from ..host import hardware
from ..model.engine import Report, ReportStage, Stage
from ..networks import checkpoints
from ..networks.dust3r import Encoded, PairNetwork, Prediction
from ..networks.inputs import Input
from ..runtime.device import Device, choose

# A stage's number is its share of the progress, in expected seconds on two cores at 512 pixels: for loading in all, per
# photo, and per ordered pair.
LOADING = Stage("loading", "Loading the network", 5.0)
ENCODING = Stage("encoding", "Looking at each photo", 6.0)
PREDICTING = Stage("predicting", "Comparing photos", 12.0)

# The most tokens of both photos in a batch of pairs on a CPU: about those of one pair at 224 pixels. More would take
# memory but gain no speed. On a GPU the free memory is the limit.
CPU_TOKENS = 400
BYTES_PER_TOKEN = 2_000_000  # of decoders and heads on a GPU, with a reserve


class Predicted(NamedTuple, Generic[Prediction]):
    """A network's predictions for the photos with the indices `first` and `second`. Tensors have no batch dimension."""

    first: int
    second: int
    of_first: Prediction
    of_second: Prediction


def plan(photos: int, pairs: int) -> list[Stage]:
    """The stages of `load`, `encode` and `predict`, for so many photos and ordered pairs."""
    return [LOADING, ENCODING.weighing(ENCODING.weight * photos), PREDICTING.weighing(PREDICTING.weight * pairs)]


def load(
    build: Callable[[], PairNetwork[Prediction]], rename: Callable[[str], str | None], path: Path, report: ReportStage
) -> tuple[PairNetwork[Prediction], Device]:
    """The network that `build` makes, with the weights of the file at `path`, on this machine's best device.

    `rename` takes a name in the file to the name in the network, or to None for a tensor to leave out. The Device's
    memory is that left free by the weights. Raises UserError where the weights are not the network's.
    """
    report(LOADING, 0, 1)
    device = choose()
    network = checkpoints.load(build, checkpoints.read(path), rename)
    network.place(device.torch, device.dtype)
    return network, choose()  # again: the network now takes some of the memory


def encode(network: PairNetwork[Any], device: Device, photos: Sequence[Input], report: ReportStage) -> list[Encoded]:
    """Encodes each photo by itself. The tokens are float16 on the CPU."""
    encoded = []
    for done, photo in enumerate(photos):
        report(ENCODING, done, len(photos))
        with torch.inference_mode():
            tokens, grid = network.encode(photo.normalised[None].to(device.torch))
            encoded.append(Encoded(tokens.to("cpu", torch.float16), grid))
    return encoded


def similarity(encoded: Sequence[Encoded]) -> NDArray[np.float32] | None:
    """(N, N) the similarity of each two photos by their tokens, at most 1; None where all pairs are compared anyway."""
    if len(encoded) <= scene_graph.FEW:
        return None
    return scene_graph.similarity([photo.tokens[0].float().numpy() for photo in encoded])


def predict(
    network: PairNetwork[Prediction],
    device: Device,
    photos: Sequence[Encoded],
    pairs: Sequence[tuple[int, int]],
    report: Report,
) -> Iterator[Predicted[Prediction]]:
    """Yields the network's predictions of the ordered `pairs` (indices of `photos`), grouped by the photos' shapes.

    Where a batch does not fit into the device's memory, smaller ones are tried. Raises MemoryError or RuntimeError
    where not even one pair fits, and `report`'s errors.
    """

    def shapes(pair: tuple[int, int]) -> tuple[Any, Any]:
        return photos[pair[0]].grid, photos[pair[1]].grid

    done = 0
    for (first_grid, second_grid), group in groupby(sorted(pairs, key=shapes), shapes):
        waiting = list(group)
        batch_size = _batch_size(math.prod(first_grid) + math.prod(second_grid), device)
        while waiting:
            report(PREDICTING, done, len(pairs))
            batch = waiting[:batch_size]
            try:
                sides = _decoded(network, device, photos, batch)
            except (MemoryError, RuntimeError) as error:
                if len(batch) == 1 or not hardware.is_out_of_memory(error):
                    raise
                batch_size = len(batch) // 2
                report.warn(
                    f"The memory of {device.name} is short: fewer photos are compared at a time, which is slower."
                )
                continue
            for row, (first, second) in enumerate(batch):
                of_first, of_second = (type(side)(*(part[row] for part in side)) for side in sides)
                yield Predicted(first, second, of_first, of_second)
            done += len(batch)
            del waiting[: len(batch)]


def pair_prediction(predicted: Predicted[Any]) -> PairPrediction:
    """The pointmaps and confidences of a prediction as numpy arrays."""
    one, two = predicted.of_first, predicted.of_second
    parts = (one.points, two.points, one.confidence, two.confidence)
    return PairPrediction(predicted.first, predicted.second, *(part.cpu().numpy() for part in parts))


def _batch_size(tokens: int, device: Device) -> int:
    """The number of pairs in a batch. `tokens` is the number of tokens of one pair."""
    most = CPU_TOKENS if device.torch.type == "cpu" else device.memory // BYTES_PER_TOKEN
    return max(1, most // tokens)


def _decoded(
    network: PairNetwork[Prediction], device: Device, photos: Sequence[Encoded], pairs: Sequence[tuple[int, int]]
) -> tuple[Prediction, Prediction]:
    """The predictions of a batch of pairs: for their first photos, and for their second photos."""
    first, second = (
        Encoded(
            torch.cat([photos[index].tokens for index in indices]).to(device.torch, device.dtype),
            photos[indices[0]].grid,
        )
        for indices in zip(*pairs, strict=True)
    )
    with torch.inference_mode():
        return network.decode(first, second)
