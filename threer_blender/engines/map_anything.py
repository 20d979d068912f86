"""[R] MapAnything by the weights under Apache-2.0: metric cameras and depth of one photo or many in one go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..model.engine import Cost, Engine, Report, Weights
from ..model.reconstruction import Photo, Reconstruction
from .options import IN_PARTS, REFINE

if TYPE_CHECKING:
    from torch import Tensor

    from ..geometry.alignment.view_prediction import ViewPrediction
    from ..networks.inputs import Input
    from ..pipelines.feed_forward import Network
    from ..runtime.device import Device

REPOSITORY = "https://huggingface.co/facebook/map-anything-apache"

ENGINE = Engine(
    id="map_anything",
    label="MapAnything",
    summary="Cameras and depth in metres from one photo or many, in one go. Its weights may be used commercially.",
    licence="Apache-2.0",
    commercial=True,
    produces=frozenset({"cameras", "pointmaps", "cloud"}),
    requires=("torch", "numba", "pycolmap", "PIL", "pillow_heif"),
    options=(REFINE,),
    weights=(
        Weights(
            name="map-anything-apache.safetensors",
            url=f"{REPOSITORY}/resolve/00f9c245bbcb60522d1ed7f9e9d88462c6e3f38a/model.safetensors",
            size=4_914_062_480,
            sha256="fa06c0fdccefc5048e072c85935d5789b1e36b307f3859033c17f9dcb9fd5201",
            family="MapAnything",
            licence="Apache-2.0",
            terms_url=REPOSITORY,
        ),
    ),
    costs={"": Cost(1.0e9, 0.27e9, 15.0, 50.0, **IN_PARTS)},
    starts_splats=True,
)


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Cameras, pointmaps and a cloud in metres. Raises UserError where weights or memory are missing."""
    from ..pipelines import feed_forward

    return feed_forward.reconstruct(ENGINE, photos, options, _load, report)


def _load(tensors: Mapping[str, Tensor], device: Device) -> Network:
    from ..geometry.alignment.view_prediction import from_camera
    from ..networks import checkpoints, view_inputs
    from ..networks.layers.vit import normalised
    from ..networks.map_anything import MapAnything, pinhole, rename
    from ..pipelines.feed_forward import Network, answered, batch

    network = checkpoints.load(MapAnything, tensors, rename).to(device.torch)

    def predict(seen: Sequence[Input]) -> list[ViewPrediction]:
        def ask() -> list[Tensor]:
            found = network(normalised(batch(seen, device)))
            clear = found.confidence * (found.clear > 0)
            return [found.depth, clear, pinhole(found.rays), found.camera_from_world]

        return list(map(from_camera, *answered(device, ask)))

    return Network(view_inputs.by(view_inputs.map_anything), predict, metric=True)
