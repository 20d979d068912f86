"""[R] VGGT-Omega: cameras and depth of one photo or many in one go, for non-commercial use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..model.engine import Cost, Weights
from .feed_forward import declared, reconstruct_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.alignment.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

REPOSITORY = "https://huggingface.co/facebook/VGGT-Omega"

ENGINE = declared(
    id="vggt_omega",
    label="VGGT-Omega",
    summary="Cameras and depth from one photo or many, in one go; the strongest of its kind, for non-commercial use.",
    licence="FAIR Noncommercial Research License",
    commercial=False,
    weights=(
        Weights(
            name="vggt_omega_1b_512.pt",
            url=f"{REPOSITORY}/resolve/05654241adc2f218dfb089c373a011f8a7040576/vggt_omega_1b_512.pt",
            size=4_576_706_117,
            sha256="c02da418b18bb01d0392598d3f6147366bcde1bb70fd08a5e3bf7925b0667934",
            family="VGGT-Omega",
            licence="FAIR Noncommercial Research License",
            terms_url=REPOSITORY,
            gated=True,
        ),
    ),
    cost=Cost(1.0e9, 0.25e9, 15.0, 62.0),
)


def load(tensors: Mapping[str, Tensor], device: Device, side: int = 512) -> Network:
    """The network of either of its checkpoints; it was trained on as many pixels as a square of `side` has."""
    from ..geometry.alignment.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.layers.pose_encoding import camera_matrices
    from ..networks.vggt_omega import VGGTOmega, rename
    from ..pipelines.feed_forward import Network, answered, batch

    network = checkpoints.load(VGGTOmega, tensors, rename).to(device.torch)

    def predict(views: Sequence[Input]) -> list[ViewPrediction]:
        def ask() -> list[Tensor]:
            images = batch(views, device)
            answer = network(images)
            return [answer.depth, answer.confidence, *camera_matrices(answer.pose, images.shape[2], images.shape[3])]

        depths, confidences, poses, intrinsics = answered(device, ask)
        return list(map(from_camera, depths, confidences, intrinsics, poses))

    return Network(view_inputs.by(partial(view_inputs.vggt_omega, side=side)), predict)


reconstruct = reconstruct_by(ENGINE, load)
