"""[R] Runs a pair network over many photos: each is encoded once, pairs are decoded in batches and handed on at once.

Between encoder and decoder a photo waits in half precision in main memory. One batch is held at a time, however many
pairs there are. The two orders of a pair share their photos' encodings and a batch, and that is all they can: past
the encoder each order runs through weights of its own, for the first photo and for the second. The projection between
the two is the exception, less than 1 % of decoding; to keep it would take three quarters more memory for each photo.
"""

from __future__ import annotations

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

# Expected seconds on two cores at 512 pixels of loading, of a photo and of a pair: their ratios hold anywhere.
LOADING = Stage("loading", "Loading the network", 5.0)
ENCODING = Stage("encoding", "Looking at each photo", 6.0)
PREDICTING = Stage("predicting", "Comparing photos", 12.0)

# Tokens of both photos that a batch of pairs may have. A CPU gains nothing from more, and they take memory: that of one
# pair of 224 pixels. On a GPU, memory is all that counts.
CPU_TOKENS = 400
BYTES_PER_TOKEN = 2_000_000  # of decoders and heads at work, with a reserve


class Predicted(NamedTuple, Generic[Prediction]):
    """A network's prediction of the photos `first` and `second` (indices); its tensors have no batch dimension."""

    first: int
    second: int
    of_first: Prediction
    of_second: Prediction


def plan(photos: int, pairs: int) -> list[Stage]:
    """The stages of this file for so many photos and ordered pairs."""
    return [LOADING, ENCODING.weighing(ENCODING.weight * photos), PREDICTING.weighing(PREDICTING.weight * pairs)]


def load(
    build: Callable[[], PairNetwork[Prediction]], rename: Callable[[str], str | None], path: Path, report: ReportStage
) -> tuple[PairNetwork[Prediction], Device]:
    """The network with the weights of the file at `path`, and this machine's best device, with the memory they leave.

    Raises UserError where they are not the network's.
    """
    report(LOADING, 0, 1)
    device = choose()
    network = checkpoints.load(build, checkpoints.read(path), rename)
    network.place(device.torch, device.dtype)
    return network, choose()


def encode(network: PairNetwork[Any], device: Device, photos: Sequence[Input], report: ReportStage) -> list[Encoded]:
    """Each photo by itself."""
    encoded = []
    for done, photo in enumerate(photos):
        report(ENCODING, done, len(photos))
        with torch.inference_mode():
            tokens, grid = network.encode(photo.normalised[None].to(device.torch))
            encoded.append(Encoded(tokens.to("cpu", torch.float16), grid))
    return encoded


def similarity(encoded: Sequence[Encoded]) -> NDArray[np.float32] | None:
    """(N, N) how alike the photos are to the encoder; None where all are compared with all anyway."""
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
    """Yields the network's predictions of the ordered `pairs` of encoded `photos`, those of equal shapes together.

    Where a batch does not fit into the device's memory, smaller ones are tried.
    """

    def shapes(pair: tuple[int, int]) -> tuple[Any, Any]:
        return photos[pair[0]].grid, photos[pair[1]].grid

    done = 0
    for (one, two), alike in groupby(sorted(pairs, key=shapes), shapes):
        waiting = list(alike)
        most = _batch(one[0] * one[1] + two[0] * two[1], device)
        while waiting:
            report(PREDICTING, done, len(pairs))
            batch = waiting[:most]
            try:
                sides = _decoded(network, device, photos, batch)
            except (MemoryError, RuntimeError) as error:
                if len(batch) == 1 or not hardware.is_out_of_memory(error):
                    raise
                most = len(batch) // 2
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
    """The pointmaps and their confidence as arrays."""
    one, two = predicted.of_first, predicted.of_second
    parts = (one.points, two.points, one.confidence, two.confidence)
    return PairPrediction(predicted.first, predicted.second, *(part.cpu().numpy() for part in parts))


def _batch(tokens: int, device: Device) -> int:
    """How many pairs of so many tokens go together."""
    most = CPU_TOKENS if device.torch.type == "cpu" else device.memory // BYTES_PER_TOKEN
    return max(1, most // tokens)


def _decoded(
    network: PairNetwork[Prediction], device: Device, photos: Sequence[Encoded], pairs: Sequence[tuple[int, int]]
) -> tuple[Prediction, Prediction]:
    first, second = (
        Encoded(
            torch.cat([photos[index].tokens for index in indices]).to(device.torch, device.dtype),
            photos[indices[0]].grid,
        )
        for indices in zip(*pairs, strict=True)
    )
    with torch.inference_mode():
        return network.decode(first, second)
