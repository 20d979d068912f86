"""[R] VGGT-Omega, with the weights that its authors retrained in August 2026. The network is that of `vggt_omega`.

Its authors ask for these weights in benchmarks, since they could not rule out that pictures of benchmarks were among
the training pictures of the first ones. They also say that on arbitrary videos the new weights are not always as good.
So both are offered (facebookresearch/vggt-omega, "Reproduction").
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import published_weights, vggt_omega
from .feed_forward import reconstruct_by

SIDE = 416  # pixels of the side of a square with as many pixels as a training picture

ENGINE = replace(
    vggt_omega.ENGINE,
    id="vggt_omega_retrained",
    label="VGGT-Omega Retrained",
    summary="VGGT-Omega by weights whose training data were checked again: its authors ask for them in benchmarks.",
    weights=(published_weights.VGGT_OMEGA_RETRAINED,),
)


reconstruct = reconstruct_by(ENGINE, partial(vggt_omega.load, side=SIDE))
