"""[R] VGGT-Omega: cameras and depth of one photo or many, for non-commercial use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
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

SUMMARY = "Cameras and depth from one photo or many, in one go; the strongest of its kind, for non-commercial use."
COST = Cost(memory=1.0e9, memory_per_photo=0.25e9, seconds=15.0, seconds_per_photo=62.0)
ENGINE = declaration("vggt_omega", "VGGT-Omega", SUMMARY, published_weights.VGGT_OMEGA, COST, commercial=False)


def load(tensors: Mapping[str, Tensor], device: Device, side: int = 512) -> Network:
    """The network of either of its checkpoints. Its training pictures have as many pixels as a square of `side`."""
    from ..geometry.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.layers.pose_encoding import camera_matrices
    from ..networks.vggt_omega import VGGTOmega, rename
    from ..pipelines.feed_forward import Network, batch, infer

    network = checkpoints.load(VGGTOmega, tensors, rename).to(device.torch)

    def predict(views: Iterable[Input]) -> list[ViewPrediction]:
        def forward() -> list[Tensor]:
            images = batch(views, device)
            answer = network(images)
            return [answer.depth, answer.confidence, *camera_matrices(answer.pose, images.shape[2], images.shape[3])]

        depths, confidences, poses, intrinsics = infer(device, forward)
        return list(map(from_camera, depths, confidences, intrinsics, poses))

    return Network(view_inputs.inputs_by(partial(view_inputs.vggt_omega, side=side)), predict)


reconstruct = reconstruct_by(ENGINE, load)
