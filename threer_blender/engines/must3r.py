"""[R] MUSt3R: cameras and points of a video, seen frame by frame, for non-commercial use."""

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

SUMMARY = "A video's cameras and points, roughly in metres, from a memory of key frames; for non-commercial use."
COST = Cost(memory=1.5e9, memory_per_photo=40.0e6, seconds=10.0, seconds_per_photo=40.0)
ENGINE = declaration(
    "must3r", "MUSt3R", SUMMARY, published_weights.MUST3R, COST, commercial=False, metric=True, group=FRAME_BY_FRAME
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..networks import checkpoints
    from ..networks.must3r import MUSt3R, rename
    from ..pipelines.online import must3r_views

    return video_network(checkpoints.load(MUSt3R, tensors, rename), must3r_views, device)


reconstruct = reconstruct_by(ENGINE, _load)
