"""[R] VGGT, with its weights for non-commercial use: cameras and depth of one photo or many."""

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

SUMMARY = "Cameras and depth from one photo or many, in one go; its first weights, for non-commercial use."
COST = Cost(memory=1.0e9, memory_per_photo=0.24e9, seconds=15.0, seconds_per_photo=47.0)
ENGINE = declaration("vggt", "VGGT", SUMMARY, published_weights.VGGT, COST, commercial=False)


def load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    """The network of either of VGGT's checkpoints.

    Points are computed from depth and cameras. Its authors found them better than those of its point head.
    """
    from ..geometry.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.layers.pose_encoding import camera_matrices
    from ..networks.vggt import VGGT, rename
    from ..pipelines.feed_forward import Network, batch, infer

    network = checkpoints.load(VGGT, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        def forward() -> list[Tensor]:
            images = batch(views, device)
            answer = network(images)
            cameras = camera_matrices(answer.pose, images.shape[2], images.shape[3])
            return [answer.depth, answer.depth_confidence, *cameras]

        depths, confidences, poses, intrinsics = infer(device, forward)
        return list(map(from_camera, depths, confidences, intrinsics, poses))

    return Network(view_inputs.inputs_by(view_inputs.vggt), predict)


reconstruct = reconstruct_by(ENGINE, load)
