"""[R] CUT3R: cameras and points of a video, seen frame by frame, for non-commercial use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..model.engine import FRAME_BY_FRAME, Cost
from . import published_weights
from .feed_forward import declaration, reconstruct_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

SUMMARY = "A video's cameras and points, roughly in metres, seen frame by frame; for non-commercial use."
COST = Cost(memory=1.5e9, memory_per_photo=3.0e6, seconds=10.0, seconds_per_photo=30.0)
ENGINE = declaration(
    "cut3r", "CUT3R", SUMMARY, published_weights.CUT3R, COST, commercial=False, metric=True, group=FRAME_BY_FRAME
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..networks import checkpoints, view_inputs
    from ..networks.cut3r import CUT3R, rename
    from ..pipelines.feed_forward import Network
    from ..pipelines.online import cut3r_views

    network = checkpoints.load(CUT3R, tensors, rename).to(device.torch)

    def predict(frames: Iterable[Input]) -> Iterator[ViewPrediction]:
        return cut3r_views(network, frames, device)

    return Network(view_inputs.inputs_by(view_inputs.video_512), predict, metric=ENGINE.metric, one_lens=True)


reconstruct = reconstruct_by(ENGINE, _load)
