"""[R] The DPT head of the DUSt3R family: four layers of a transformer's tokens -> a map of full size. torch.

Ranftl et al., "Vision Transformers for Dense Prediction" (ICCV 2021), in CroCo v2's variant. Parameters are named as in
the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from .transformer import Grid

LEVEL_CHANNELS = (96, 192, 384, 768)  # channels of the four levels, from fine to coarse
FUSED_CHANNELS = 256  # channels while they are fused
FULL_SIZE_CHANNELS = 128  # channels at full size


def unneeded(name: str) -> bool:
    """Whether the network does not need a published tensor.

    `layer_rn` is a second name of other tensors. The first unit of the coarsest level is never used, since that level
    has no second input.
    """
    return ".scratch.layer_rn." in name or ".scratch.refinenet4.resConfUnit1." in name


class Dpt(nn.Module):
    """Four layers of tokens (B, N, widths[i]) on a grid of patches -> a map (B, channels, H, W).

    `patch` is the side of a patch in pixels.
    """

    def __init__(self, widths: Sequence[int], channels: int, patch: int = 16) -> None:
        super().__init__()
        self.patch = patch
        finer, fine, same, coarse = LEVEL_CHANNELS
        self.act_postprocess = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(widths[0], finer, 1), nn.ConvTranspose2d(finer, finer, 4, 4)),
                nn.Sequential(nn.Conv2d(widths[1], fine, 1), nn.ConvTranspose2d(fine, fine, 2, 2)),
                nn.Sequential(nn.Conv2d(widths[2], same, 1)),
                nn.Sequential(nn.Conv2d(widths[3], coarse, 1), nn.Conv2d(coarse, coarse, 3, 2, 1)),
            ]
        )
        self.scratch = nn.ModuleDict(
            {
                f"layer{i}_rn": nn.Conv2d(width, FUSED_CHANNELS, 3, 1, 1, bias=False)
                for i, width in enumerate(LEVEL_CHANNELS, 1)
            }
            | {f"refinenet{i}": Fusion() for i in (1, 2, 3)}
            | {"refinenet4": Fusion(inputs=1)}
        )
        self.head = nn.Sequential(
            nn.Conv2d(FUSED_CHANNELS, FULL_SIZE_CHANNELS, 3, 1, 1),
            nn.Identity(),  # where the published network enlarges
            nn.Conv2d(FULL_SIZE_CHANNELS, FULL_SIZE_CHANNELS, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(FULL_SIZE_CHANNELS, channels, 1),
        )

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Tensor:
        levels = []
        for i, level in enumerate(tokens):
            pixels = self.act_postprocess[i](level.transpose(1, 2).unflatten(-1, grid))
            levels.append(self.scratch[f"layer{i + 1}_rn"](pixels))
        # The coarsest level has half the grid's sides, rounded up.
        fused = self.scratch["refinenet4"](levels[3])[..., : grid[0], : grid[1]]
        for i in (3, 2, 1):
            fused = self.scratch[f"refinenet{i}"](fused, levels[i - 1])
        size = (self.patch * grid[0], self.patch * grid[1])
        pixels = functional.interpolate(self.head[0](fused), size, mode="bilinear", align_corners=True)
        whole: Tensor = self.head[1:](pixels)
        return whole


class Fusion(nn.Module):
    """Adds a level to the sum of the coarser ones, and doubles the size of the result."""

    def __init__(self, inputs: int = 2) -> None:
        super().__init__()
        if inputs == 2:
            self.resConfUnit1 = Residual()
        self.resConfUnit2 = Residual()
        self.out_conv = nn.Conv2d(FUSED_CHANNELS, FUSED_CHANNELS, 1)

    def forward(self, fused: Tensor, level: Tensor | None = None) -> Tensor:
        if level is not None:
            fused = fused + self.resConfUnit1(level)
        # A 1 × 1 convolution and bilinear interpolation commute. Done first, the convolution costs a quarter.
        return _doubled(self.out_conv(self.resConfUnit2(fused)))


class Residual(nn.Module):
    """Two convolutions, each after a ReLU, added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(FUSED_CHANNELS, FUSED_CHANNELS, 3, 1, 1)
        self.conv2 = nn.Conv2d(FUSED_CHANNELS, FUSED_CHANNELS, 3, 1, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        change: Tensor = self.conv2(functional.relu(self.conv1(functional.relu(pixels))))
        return pixels + change


def _doubled(pixels: Tensor) -> Tensor:
    return functional.interpolate(pixels, scale_factor=2, mode="bilinear", align_corners=True)
