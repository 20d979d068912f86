"""[R] MapAnything, with its weights under Apache-2.0: metric cameras and depth of one photo or many."""

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

SUMMARY = "Cameras and depth in metres from one photo or many, in one go. Its weights may be used commercially."
COST = Cost(memory=1.0e9, memory_per_photo=0.27e9, seconds=15.0, seconds_per_photo=50.0)
ENGINE = declaration(
    "map_anything", "MapAnything", SUMMARY, published_weights.MAP_ANYTHING, COST, commercial=True, metric=True
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..geometry.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.layers.vit import normalised
    from ..networks.map_anything import MapAnything, pinhole, rename
    from ..pipelines.feed_forward import Network, batch, infer

    network = checkpoints.load(MapAnything, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        def forward() -> list[Tensor]:
            answer = network(normalised(batch(views, device)))
            confidence = answer.confidence * (answer.clear > 0)  # 0 where a pixel shows no definite surface
            return [answer.depth, confidence, pinhole(answer.rays), answer.camera_from_world]

        return list(map(from_camera, *infer(device, forward)))

    return Network(view_inputs.inputs_by(view_inputs.map_anything), predict, metric=ENGINE.metric)


reconstruct = reconstruct_by(ENGINE, _load)
