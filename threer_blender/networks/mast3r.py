"""[R] MASt3R: DUSt3R with metric points and a descriptor for every pixel. torch.

Leroy, Cabon, Revaud, "Grounding Image Matching in 3D with MASt3R" (ECCV 2024). Published weights: CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .dust3r import PUBLISHED, DUSt3RConfig, PairNetwork, pointmap, rename, unpatched
from .layers.dpt import Dpt
from .layers.transformer import Grid, Mlp

__all__ = ["Described", "Describing", "metric_512", "rename"]

DIMENSIONS = 24  # of a descriptor


class Described(NamedTuple):
    """The output for one photo of B pairs.

    `points` (B, H, W, 3) are metres in the first photo's camera frame, and `confidence` (B, H, W) above 1.
    `descriptors` (B, H, W, 24) are unit vectors, and `descriptor_confidence` (B, H, W) is above 0.
    """

    points: Tensor
    confidence: Tensor
    descriptors: Tensor
    descriptor_confidence: Tensor


class Describing(nn.Module):
    """The layers of MASt3R's head. A DPT predicts points; an MLP on a patch's first and last tokens its descriptors."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__()
        self.patch = config.patch
        width = config.encoder.dim + config.decoder.dim
        self.dpt = Dpt(config.widths, 4)
        self.head_local_features = Mlp(width, 4 * width, (DIMENSIONS + 1) * config.patch**2)

    def describe(self, tokens: Sequence[Tensor], grid: Grid) -> Described:
        """Four layers of tokens (B, N, width) on a `grid` -> points and descriptors."""
        points, confidence = pointmap(self.dpt(tokens, grid))
        features = self.head_local_features(torch.cat([tokens[0], tokens[-1]], dim=-1))
        pixels = unpatched(features, grid, self.patch).permute(0, 2, 3, 1)
        descriptors = pixels[..., :DIMENSIONS]
        return Described(
            points,
            confidence,
            descriptors / descriptors.norm(dim=-1, keepdim=True),
            pixels[..., DIMENSIONS].exp(),
        )


class DescribingHead(Describing):
    """MASt3R's head. Splatt3R's head extends `Describing`, too."""

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Described:
        return self.describe(tokens, grid)


def metric_512(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Described]:
    """The network of `MASt3R_ViTLarge_BaseDecoder_512_catmlpdpt_metric`."""
    return PairNetwork(config, lambda: DescribingHead(config))
