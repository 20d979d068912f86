"""[R] Fast3R: pointmaps of one photo or very many, for non-commercial use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..model.engine import Cost
from ..model.reconstruction import Photo
from . import published_weights
from .feed_forward import declaration, reconstruct_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

SIDE = 512  # pixels of the long side that the network was trained at

SUMMARY = "Cameras and points from one photo or very many, in one go, for non-commercial use."
COST = Cost(memory=1.0e9, memory_per_photo=0.25e9, seconds=10.0, seconds_per_photo=28.0)
ENGINE = declaration("fast3r", "Fast3R", SUMMARY, published_weights.FAST3R, COST, commercial=False)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..geometry.view_prediction import from_pointmaps
    from ..networks import checkpoints, inputs
    from ..networks.fast3r import Fast3R, rename
    from ..pipelines.feed_forward import Network, infer

    network = checkpoints.load(Fast3R, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        def forward() -> list[Tensor]:
            answers = network([one.normalised.to(device.torch) for one in views])
            # Four tensors of each view: its points and confidence in its own frame, and those in the shared frame.
            return [part[0] for view in answers for pointmap in (view.local, view.shared) for part in pointmap]

        tensors = infer(device, forward)
        return [from_pointmaps(*tensors[start : start + 4]) for start in range(0, len(tensors), 4)]

    def prepared(photos: Sequence[Photo]) -> Callable[[int], Input]:
        return lambda index: inputs.dust3r(photos[index], SIDE)

    return Network(prepared, predict)


reconstruct = reconstruct_by(ENGINE, _load)
