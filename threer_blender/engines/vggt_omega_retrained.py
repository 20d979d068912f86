"""[R] VGGT-Omega by the weights that its authors retrained in August 2026; the network is `vggt_omega`'s.

They ask for these weights in benchmarks: they could not rule out that the first ones had been trained on pictures of
those. They say, too, that on films from everywhere the new ones do not always look as good as the first, so both are
offered (facebookresearch/vggt-omega, "Reproduction").
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from . import published_weights, vggt_omega
from .feed_forward import reconstruct_by

SIDE = 416  # pixels of a square as large as the pictures of the training

ENGINE = replace(
    vggt_omega.ENGINE,
    id="vggt_omega_retrained",
    label="VGGT-Omega Retrained",
    summary="VGGT-Omega by weights whose training data were checked again: its authors ask for them in benchmarks.",
    weights=(published_weights.VGGT_OMEGA_RETRAINED,),
)


reconstruct = reconstruct_by(ENGINE, partial(vggt_omega.load, side=SIDE))
