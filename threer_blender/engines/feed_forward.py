"""[R] The common declaration and `reconstruct` of engines whose network sees many photos at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..model.engine import TOGETHER, Cost, Engine, Reconstruct, Report, Weights
from ..model.reconstruction import Photo, Reconstruction
from .options import REFINE, SHOT

if TYPE_CHECKING:
    from torch.nn import Module

    from ..geometry.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Load, Network
    from ..runtime.device import Device

    Predict = Callable[[Any, Iterable[Input], Device], Iterator[ViewPrediction]]

# The most photos that a network sees at once. With more, networks that were trained on two dozen become unreliable, and
# time grows with the square of their number.
MOST_AT_ONCE = 100
FEWEST_AT_ONCE = 12  # photos in a chunk: smaller ones share too few photos with their neighbours


def declaration(
    id: str, label: str, summary: str, weights: Weights, cost: Cost, *, commercial: bool, metric: bool = False,
    group: str = TOGETHER,
) -> Engine:  # fmt: skip
    """The declaration of an engine that sees many photos, at once or one after the other.

    `cost` is without bounds on the number of photos at once; it gets those of this file. The licence is that of the
    weights.
    """
    return Engine(
        id,
        label,
        summary,
        weights.licence,
        commercial,
        requires=("torch", "numba", "pycolmap", "PIL", "pillow_heif"),
        options=(REFINE, *SHOT),
        weights=(weights,),
        costs={"": cost.in_parts(MOST_AT_ONCE, FEWEST_AT_ONCE)},  # "", since there is no option `quality`
        can_start_splats=True,
        group=group,
        metric=metric,
    )


def video_network(network: Module, predict: Predict, device: Device) -> Network:
    """A network of videos in metres, whose frames are 512 pixels long. `predict` is the way of `pipelines/online.py`
    that takes it through the frames."""
    from ..networks import view_inputs
    from ..pipelines.feed_forward import Network

    on_device = network.to(device.torch)
    prepared = view_inputs.inputs_by(view_inputs.video_512)
    return Network(prepared, lambda frames: predict(on_device, frames, device), metric=True, one_lens=True)


def reconstruct_by(engine: Engine, load: Load) -> Reconstruct:
    """The `reconstruct` of an engine that sees many photos at once. `load` makes its network from a checkpoint."""

    def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
        """Cameras, pointmaps and a cloud. Raises UserError where weights or memory are missing."""
        from ..pipelines import feed_forward

        return feed_forward.reconstruct(engine, photos, options, load, report)

    return reconstruct
