"""[R] Splatt3R: MASt3R with a Gaussian for each pixel. torch.

Smart et al., "Splatt3R: Zero-shot Gaussian Splatting from Uncalibrated Image Pairs" (2024). Published weights:
CC BY-NC 4.0, made from MASt3R's, which are CC BY-NC-SA 4.0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from ..model import spherical_harmonics
from ..model.arrays import Array, BoolArray
from ..model.reconstruction import Gaussians
from ..model.splat_rendering import ALPHA_LEAST
from .dust3r import PUBLISHED, DUSt3RConfig, PairNetwork, exponential
from .dust3r import rename as rename_pair_network
from .layers.dpt import Dpt
from .layers.transformer import Grid
from .mast3r import Describing

CHANNELS = (3, 3, 4, 3, 1)  # of offset, scales, rotation, colour, opacity
OFFSET_SHIFT = 6.0  # offsets are scaled by exp(-6), so that they start small
PREFIX = "encoder."  # of the network's names in the published file, which also holds the training's loss network


class Splatted(NamedTuple):
    """The output for one photo of B pairs: MASt3R's `Described`, and a Gaussian for each pixel.

    Gaussians are in the first photo's camera frame: `means` (B, H, W, 3); `scales` (B, H, W, 3), linear; `rotations`
    (B, H, W, 4), unit quaternions xyzw; `colours` (B, H, W, 3), spherical harmonics of degree 0 that are added to those
    of the photo's colour; `opacities` (B, H, W) in [0, 1].
    """

    points: Tensor
    confidence: Tensor
    descriptors: Tensor
    descriptor_confidence: Tensor
    means: Tensor
    scales: Tensor
    rotations: Tensor
    colours: Tensor
    opacities: Tensor


class GaussianHead(Describing):
    """MASt3R's head, and a second DPT for the Gaussians."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__(config)
        self.gaussian_dpt = nn.ModuleDict({"dpt": Dpt(config.widths, sum(CHANNELS))})

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Splatted:
        described = self.describe(tokens, grid)
        raw = self.gaussian_dpt["dpt"](tokens, grid).permute(0, 2, 3, 1)
        offset, scales, rotation, colours, opacity = raw.split(CHANNELS, dim=-1)
        moved = exponential(offset) * math.exp(-OFFSET_SHIFT)
        return Splatted(
            *described,
            described.points + moved,
            scales.exp(),
            rotation / (rotation.norm(dim=-1, keepdim=True) + 1e-8),
            colours,
            opacity[..., 0].sigmoid(),
        )


def gaussians(answer: Splatted, image: Array, excluded: BoolArray | None = None) -> Gaussians:
    """The Gaussians of one photo, from the network's `answer` without a batch dimension.

    `image` (H, W, 3) uint8 is the network's input. Gaussians are left out where they are too faint to be drawn, where
    pixels are `excluded` (H, W), and where a number is not finite.
    """
    colours = (image.astype(np.float32) / 255 - 0.5) / spherical_harmonics.C0 + answer.colours.cpu().numpy()
    rotations = answer.rotations.cpu().numpy()[..., [3, 0, 1, 2]]
    means, scales, opacities = (part.cpu().numpy() for part in (answer.means, answer.scales, answer.opacities))
    parts = (means, scales, rotations, colours)
    keep = (opacities >= ALPHA_LEAST) & np.logical_and.reduce([np.isfinite(part).all(axis=-1) for part in parts])
    if excluded is not None:
        keep &= ~excluded
    return Gaussians(means[keep], scales[keep], rotations[keep], opacities[keep], colours[keep][:, None])


def network(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Splatted]:
    """The network of Splatt3R v1.0."""
    return PairNetwork(config, lambda: GaussianHead(config))


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that it does not need.

    The published file also holds the training's loss network.
    """
    if name.startswith("lpips_criterion."):
        return None
    return rename_pair_network(name.removeprefix(PREFIX))
