"""[R] The dense head of VGGT, VGGT-Omega and Depth Anything 3: four layers of tokens -> one map.

Ranftl et al., "Vision Transformers for Dense Prediction" (DPT, 2021), with coordinates on the viewing plane added to
features, after Wang et al., "MoGe" (2025). Modules are named as in the checkpoints, without "scratch.".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .sizes import DenseHeadSize
from .vit import sine_cosine

VIEWS_AT_ONCE = 4  # features take many times the memory of the result; with fewer views, calls cost too much time
PLANE_GAIN = 0.1  # factor of the plane's coordinates where they are added
PLANE_BASE = 100.0  # ratio of the highest to the lowest frequency of their sines and cosines


class ResidualUnit(nn.Module):
    """Two convolutions whose result is added to the input, or, with `rectified_skip`, to its positive part.

    VGGT does the latter, since its first ReLU works in place and so changes the input of the skip connection.
    """

    def __init__(self, channels: int, rectified_skip: bool) -> None:
        super().__init__()
        self.rectified_skip = rectified_skip
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        rectified = functional.relu(features)
        change: Tensor = self.conv2(functional.relu(self.conv1(rectified)))
        return change + (rectified if self.rectified_skip else features)


class Fusion(nn.Module):
    """Adds a finer level, if there is one (`lateral`), to the sum of the coarser ones, and enlarges the result."""

    def __init__(self, channels: int, rectified_skip: bool, lateral: bool) -> None:
        super().__init__()
        if lateral:
            self.resConfUnit1 = ResidualUnit(channels, rectified_skip)
        self.resConfUnit2 = ResidualUnit(channels, rectified_skip)
        self.out_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, coarse: Tensor, finer: Tensor | None, size: Sequence[int]) -> Tensor:
        if finer is not None:
            coarse = coarse + self.resConfUnit1(finer)
        # The published code enlarges first. The two linear steps commute, and before enlarging there are fewer pixels.
        return enlarged(self.out_conv(self.resConfUnit2(coarse)), size)


class Pyramid(nn.Module):
    """Tokens of four layers, projected, resized to 4, 2, 1 and 1/2 times the patch grid, and fused from coarse to fine.

    `plane`: coordinates on the viewing plane are added. `finest` is the size of the result over that of the finest
    level.
    """

    def __init__(
        self, dim: int, size: DenseHeadSize, rectified_skip: bool, plane: bool = True, finest: int = 2
    ) -> None:
        super().__init__()
        widths, channels = size.widths, size.channels
        self.plane, self.finest = plane, finest
        self.norm = nn.LayerNorm(dim, eps=1e-5)
        self.projects = nn.ModuleList(nn.Conv2d(dim, width, 1) for width in widths)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(widths[0], widths[0], 4, 4),
                nn.ConvTranspose2d(widths[1], widths[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(widths[3], widths[3], 3, 2, 1),
            ]
        )
        for level, width in enumerate(widths, start=1):
            self.add_module(f"layer{level}_rn", nn.Conv2d(width, channels, 3, padding=1, bias=False))
            self.add_module(f"refinenet{level}", Fusion(channels, rectified_skip, lateral=level < len(widths)))

    def fused(self, layers: Sequence[Tensor], grid: tuple[int, int], aspect: float) -> Tensor:
        """Four layers' patch tokens (views, rows × columns, dim) -> one map (views, channels, ·, ·).

        `grid` is rows and columns of patches, `aspect` the picture's width over its height.
        """
        maps = []
        for level, (tokens, project, resize) in enumerate(zip(layers, self.projects, self.resize_layers, strict=True)):
            features = project(self.norm(tokens.float()).transpose(1, 2).unflatten(2, grid))
            if self.plane:
                features = with_plane(features, aspect)
            maps.append(self.get_submodule(f"layer{level + 1}_rn")(resize(features)))
        sizes = [[self.finest * side for side in maps[0].shape[2:]], *(level.shape[2:] for level in maps)]
        result: Tensor = self.get_submodule("refinenet4")(maps[3], None, sizes[3])
        for level in (3, 2, 1):
            result = self.get_submodule(f"refinenet{level}")(result, maps[level - 1], sizes[level - 1])
        return result


class DenseHead(Pyramid):
    """A Pyramid with convolutions up to `outputs` channels at the picture's full size."""

    def __init__(self, dim: int, size: DenseHeadSize, outputs: int, rectified_skip: bool) -> None:
        super().__init__(dim, size, rectified_skip)
        channels = size.channels
        self.output_conv1 = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            nn.Conv2d(channels // 2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, outputs, 1)
        )

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Four layers' patch tokens (views, rows × columns, dim) -> (views, H, W, outputs); `size` is (H, W)."""
        aspect = size[1] / size[0]
        features = enlarged(self.output_conv1(self.fused(layers, grid, aspect)), size)
        maps: Tensor = self.output_conv2(with_plane(features, aspect))
        return maps.permute(0, 2, 3, 1)


def with_plane(features: Tensor, aspect: float) -> Tensor:
    """`features` (views, channels, h, w) plus sines and cosines of the pixels' coordinates on the viewing plane.

    The first half of the channels gets those of x, the second half those of y. The plane's diagonal is 2 long, and
    `aspect` is its width over its height.
    """
    height, width = features.shape[2:]
    diagonal = (1 + aspect**2) ** 0.5
    rows = _centres(height, 1 / diagonal, features)
    columns = _centres(width, aspect / diagonal, features)
    half = features.shape[1] // 2
    along_x = sine_cosine(columns, half, PLANE_BASE).T[:, None, :].expand(-1, height, -1)
    along_y = sine_cosine(rows, half, PLANE_BASE).T[:, :, None].expand(-1, -1, width)
    return features + PLANE_GAIN * torch.cat([along_x, along_y]).to(features.dtype)


def _centres(count: int, span: float, like: Tensor) -> Tensor:
    """(count,) the centres of `count` pixels that divide the range from -span to span, on the device of `like`."""
    return torch.linspace(-1, 1, count, device=like.device) * (span * (count - 1) / count)


def enlarged(features: Tensor, size: Sequence[int]) -> Tensor:
    """`features` (views, channels, h, w), resized bilinearly to `size` (H, W); the corner pixels' centres coincide."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    return functional.interpolate(features, tuple(size), mode="bilinear", align_corners=True)


def a_few_at_a_time(head: Callable[[list[Tensor]], Tensor], layers: Sequence[Tensor]) -> Tensor:
    """`head(layers)` for `layers` of shape (views, …), computed a few views at a time to save memory."""
    starts = range(0, len(layers[0]), VIEWS_AT_ONCE)
    return torch.cat([head([layer[start : start + VIEWS_AT_ONCE] for layer in layers]) for start in starts])
