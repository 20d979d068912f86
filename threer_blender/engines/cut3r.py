"""[R] CUT3R: cameras and points of a video, seen frame by frame, for non-commercial use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..model.engine import FRAME_BY_FRAME, Cost
from . import published_weights
from .feed_forward import declaration, reconstruct_by, video_network

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

SUMMARY = "A video's cameras and points, roughly in metres, seen frame by frame; for non-commercial use."
COST = Cost(memory=1.5e9, memory_per_photo=3.0e6, seconds=10.0, seconds_per_photo=30.0)
ENGINE = declaration(
    "cut3r", "CUT3R", SUMMARY, published_weights.CUT3R, COST, commercial=False, metric=True, group=FRAME_BY_FRAME
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..networks import checkpoints
    from ..networks.cut3r import CUT3R, rename
    from ..pipelines.online import cut3r_views

    return video_network(checkpoints.load(CUT3R, tensors, rename), cut3r_views, device)


reconstruct = reconstruct_by(ENGINE, _load)
