"""[R] Depth Anything 3 BASE, with weights under Apache-2.0: cameras and depth of one photo or many."""

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

SUMMARY = "Cameras and depth from one photo or many, in one go. Its weights may be used commercially."
COST = Cost(memory=0.5e9, memory_per_photo=0.16e9, seconds=5.0, seconds_per_photo=12.0)
ENGINE = declaration(
    "depth_anything3", "Depth Anything 3", SUMMARY, published_weights.DEPTH_ANYTHING3, COST, commercial=True
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..geometry.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.depth_anything3 import DepthAnything3, rename
    from ..networks.layers.vit import normalised
    from ..pipelines.feed_forward import Network, batch, infer

    network = checkpoints.load(DepthAnything3, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        depths, confidences, poses, intrinsics = infer(device, lambda: network(normalised(batch(views, device))))
        return list(map(from_camera, depths, confidences, intrinsics, poses))

    return Network(view_inputs.inputs_by(view_inputs.depth_anything3), predict)


reconstruct = reconstruct_by(ENGINE, _load)
