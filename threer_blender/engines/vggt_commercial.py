"""[R] VGGT by the weights that may be used commercially; the network is `vggt`'s."""

from __future__ import annotations

from dataclasses import replace

from ..model.engine import Weights
from . import vggt
from .feed_forward import reconstruct_by

REPOSITORY = "https://huggingface.co/facebook/VGGT-1B-Commercial"

ENGINE = replace(
    vggt.ENGINE,
    id="vggt_commercial",
    label="VGGT Commercial",
    summary="Cameras and depth from one photo or many, in one go. Commercial use is allowed, military use is not.",
    licence="VGGT License v1",
    commercial=True,
    weights=(
        Weights(
            name="VGGT-1B-Commercial.safetensors",
            url=f"{REPOSITORY}/resolve/ebb29a532abe92960eeb6903a5530f16990ef4ab/model.safetensors",
            size=5_026_367_224,
            sha256="2b766b284359bc47ce26be107254621f685b758a0282082ff109f3ff02788b53",
            family="VGGT-1B-Commercial",
            licence="VGGT License v1, whose use policy excludes military use",
            terms_url=REPOSITORY,
            gated=True,
        ),
    ),
)


reconstruct = reconstruct_by(ENGINE, vggt.load)
