"""[R] Spann3R: cameras and points of a video, seen frame by frame, for non-commercial use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..model.engine import FRAME_BY_FRAME, Cost
from ..model.errors import UserError
from ..model.reconstruction import Photo
from . import published_weights
from .feed_forward import declaration, reconstruct_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

SIDE = 224  # pixels of the squares that the network was trained at

SUMMARY = "A video's cameras, and points of the frames' middle squares, seen frame by frame; for non-commercial use."
COST = Cost(memory=1.5e9, memory_per_photo=1.0e6, seconds=8.0, seconds_per_photo=8.0)
ENGINE = declaration(
    "spann3r", "Spann3R", SUMMARY, published_weights.SPANN3R, COST, commercial=False, group=FRAME_BY_FRAME
)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..networks import checkpoints, inputs
    from ..networks.spann3r import Spann3R, rename
    from ..pipelines.feed_forward import Network
    from ..pipelines.online import spann3r_views

    network = checkpoints.load(Spann3R, tensors, rename).to(device.torch)

    def predict(frames: Iterable[Input]) -> Iterator[ViewPrediction]:
        return spann3r_views(network, frames, device)

    def prepared(photos: Sequence[Photo]) -> Callable[[int], Input]:
        for photo in photos:  # the first frame's focal length is that of all
            if (photo.width, photo.height) != (photos[0].width, photos[0].height):
                raise UserError(
                    f"Spann3R sees videos, so all frames must have one size, and {photo.name} has another than "
                    f"{photos[0].name}; take it out of the selection, or choose another engine."
                )
        return lambda index: inputs.dust3r(photos[index], SIDE)

    return Network(prepared, predict, one_lens=True)


reconstruct = reconstruct_by(ENGINE, _load)
