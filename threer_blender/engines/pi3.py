"""[R] Pi3: cameras and points of one photo or many, none of which is the reference, for non-commercial use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..model.engine import Cost
from . import published_weights
from .feed_forward import declaration, reconstruct_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

SUMMARY = "Cameras and points from one photo or many, in one go and in any order, for non-commercial use."
COST = Cost(memory=1.0e9, memory_per_photo=0.2e9, seconds=12.0, seconds_per_photo=55.0)
ENGINE = declaration("pi3", "Pi3", SUMMARY, published_weights.PI3, COST, commercial=False)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..geometry.view_prediction import from_camera_points
    from ..networks import checkpoints, view_inputs
    from ..networks.pi3 import Pi3, rename
    from ..pipelines.feed_forward import Network, batch, infer

    network = checkpoints.load(Pi3, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        def forward() -> list[Tensor]:
            answer = network(batch(views, device))
            # As other networks' confidences: 1 and more. The network says the logarithm of right over wrong.
            return [answer.points, 1 + answer.confidence.exp(), answer.world_from_camera]

        return [from_camera_points(*one) for one in zip(*infer(device, forward), strict=True)]

    return Network(view_inputs.inputs_by(view_inputs.pi3), predict)


reconstruct = reconstruct_by(ENGINE, _load)
