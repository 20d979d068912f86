"""[R] VGGT, with its weights for commercial use. The network is that of `vggt`."""

from __future__ import annotations

from dataclasses import replace

from . import published_weights, vggt
from .feed_forward import reconstruct_by

ENGINE = replace(
    vggt.ENGINE,
    id="vggt_commercial",
    label="VGGT Commercial",
    summary="Cameras and depth from one photo or many, in one go. Commercial use is allowed, military use is not.",
    licence="VGGT License v1",
    commercial=True,
    weights=(published_weights.VGGT_COMMERCIAL,),
)


reconstruct = reconstruct_by(ENGINE, vggt.load)
