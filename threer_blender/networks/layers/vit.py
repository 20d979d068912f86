"""[R] Vision transformers of DINOv2 and its descendants: blocks, rotary positions, the DINOv2 encoder.

Blocks: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), with LayerScale (Touvron et al., 2021) and, in some
networks, normalised queries and keys (Henry et al., 2020) and rotary positions in two dimensions (Heo et al., 2024).
Encoder: Oquab et al., "DINOv2" (2023), registers by Darcet et al. (2024). Modules are named as in the published
checkpoints. PyTorch's fused kernel computes attention block by block, and never holds its whole matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .transformer import Mlp

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AXIAL_BASE = 100.0  # the frequencies of `axial_rotation` fall from 1 towards 1 / AXIAL_BASE


class Rotation(NamedTuple):
    """Rotary positions of one view's tokens: `cos` and `sin` (tokens, head width).

    A head's channels are divided into `parts`. In each part, channels of the first half and of the second half are
    rotated in pairs.
    """

    cos: Tensor
    sin: Tensor
    parts: int

    def __call__(self, features: Tensor) -> Tensor:
        """Queries or keys (..., views × tokens, head width), rotated."""
        views = features.unflatten(-2, (-1, len(self.cos)))
        first, second = views.unflatten(-1, (self.parts, 2, -1)).unbind(-2)
        turned = torch.stack([-second, first], dim=-2).flatten(-3)
        return (views * self.cos.to(views.dtype) + turned * self.sin.to(views.dtype)).flatten(-3, -2)


def axial_rotation(positions: Tensor, width: int) -> Rotation:
    """The Rotation for integer `positions` (tokens, 2), rows and columns, and heads of `width` channels.

    Half of the channels are rotated by the row, half by the column.
    """
    frequencies = AXIAL_BASE ** -(torch.arange(0, width // 2, 2, device=positions.device) / (width // 2))
    angles = positions[:, :, None] * frequencies
    angles = torch.cat([angles, angles], dim=-1).flatten(1)
    return Rotation(angles.cos(), angles.sin(), parts=2)


def plane_rotation(rows: int, columns: int, special: int, width: int, base: float, device: torch.device) -> Rotation:
    """DINOv3's Rotation for a grid of patches, and heads of `width` channels.

    Positions are the patches' centres, with the longer side from -1 to 1. The first `special` tokens are not rotated.
    Each coordinate has width / 4 frequencies, from 2π down towards 2π / `base`.
    """
    quarter = width // 4
    frequencies = 2 * math.pi * base ** -(torch.arange(quarter, device=device) / quarter)
    row, column = ((2 * torch.arange(count, device=device) + 1) / max(rows, columns) - 1 for count in (rows, columns))
    places = torch.cartesian_prod(row, column)
    angles = (places[:, :, None] * frequencies).flatten(1).repeat(1, 2)
    angles = torch.cat([angles.new_zeros(special, width), angles])
    return Rotation(angles.cos(), angles.sin(), parts=1)


def grid_positions(rows: int, columns: int, special: int, device: torch.device) -> Tensor:
    """(special + rows × columns, 2) row and column of each token, from 1 on; the first `special` tokens are at 0."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    patches = torch.stack([row, column], dim=-1).flatten(0, 1) + 1
    return torch.cat([torch.zeros(special, 2, dtype=patches.dtype), patches]).to(device)


class Attention(nn.Module):
    """Multi-head self-attention.

    `qk_norm` is the epsilon of the layer norms of queries and keys, None for no norms. Without `key_bias`, the bias of
    the keys is taken as 0.
    """

    def __init__(self, dim: int, heads: int, qk_norm: float | None = None, key_bias: bool = True) -> None:
        super().__init__()
        self.heads, self.key_bias = heads, key_bias
        self.qkv = nn.Linear(dim, 3 * dim)
        self.q_norm = nn.Identity() if qk_norm is None else nn.LayerNorm(dim // heads, eps=qk_norm)
        self.k_norm = nn.Identity() if qk_norm is None else nn.LayerNorm(dim // heads, eps=qk_norm)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """(batch, tokens, dim) -> the same."""
        bias = self.qkv.bias
        if not self.key_bias:
            query, key, value = bias.chunk(3)
            bias = torch.cat([query, torch.zeros_like(key), value])
        qkv = functional.linear(tokens, self.qkv.weight, bias)
        query, key, value = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key = self.q_norm(query), self.k_norm(key)
        if rotation is not None:
            query, key = rotation(query), rotation(key)
        # Under autocast the norms return float32, and the fused kernel needs one type.
        query, key = query.to(value.dtype), key.to(value.dtype)
        attended = functional.scaled_dot_product_attention(query, key, value)
        mixed: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return mixed


class LayerScale(nn.Module):
    """A learned factor for each channel of a residual."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens * self.gamma


class GatedMlp(nn.Module):
    """An MLP with a gate: one half of the first layer's output, through SiLU, multiplies the other half.

    `width` is the hidden width of a plain MLP with as many parameters. Source: Shazeer, "GLU Variants Improve
    Transformer" (2020).
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        hidden = (width * 2 // 3 + 7) // 8 * 8
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        gate, passed = self.w12(tokens).chunk(2, dim=-1)
        mixed: Tensor = self.w3(functional.silu(gate) * passed)
        return mixed


class Block(nn.Module):
    """Attention, then an MLP four times as wide. The input of each is normalised; its result is added to the input.

    `scaled`: with a LayerScale before the sum. `gated`: with a GatedMlp. `eps` is that of the norms; `qk_norm` and
    `key_bias` are as in Attention.
    """

    def __init__(
        self, dim: int, heads: int, eps: float, qk_norm: float | None = None, key_bias: bool = True,
        scaled: bool = True,
        gated: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=eps)
        self.attn = Attention(dim, heads, qk_norm, key_bias)
        self.ls1 = LayerScale(dim) if scaled else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=eps)
        self.mlp = GatedMlp(dim, 4 * dim) if gated else Mlp(dim, 4 * dim, dim)
        self.ls2 = LayerScale(dim) if scaled else nn.Identity()

    def forward(self, tokens: Tensor, rotation: Rotation | None = None) -> Tensor:
        """(batch, tokens, dim) -> the same."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens), rotation))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class PatchEmbed(nn.Module):
    """Pictures (views, 3, H, W) -> patches (views, H / patch × W / patch, dim), row by row."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images)
        return patches.flatten(2).transpose(1, 2)


@dataclass(frozen=True)
class PositionTable:
    """Resizes DINOv2's learned positions, a square grid of 37 × 37 patches (518 pixels), to other grids.

    The interpolation is bicubic, with `antialias` or without. `offset` is added to the sizes before their ratio is
    taken, as in the first DINO. The published weights expect that.
    """

    side: int = 37
    antialias: bool = False
    offset: float = 0.1

    def resized(self, table: Tensor, rows: int, columns: int) -> Tensor:
        """The `table` (1, 1 + side², dim) -> (1, 1 + rows × columns, dim). The class token's position is the first."""
        if (rows, columns) == (self.side, self.side):
            return table
        grid = table[:, 1:].float().unflatten(1, (self.side, self.side)).permute(0, 3, 1, 2)
        if self.offset:
            factors = [(count + self.offset) / self.side for count in (rows, columns)]
            grid = functional.interpolate(grid, scale_factor=factors, mode="bicubic", antialias=self.antialias)
        else:
            grid = functional.interpolate(grid, (rows, columns), mode="bicubic", antialias=self.antialias)
        assert grid.shape[2:] == (rows, columns)
        return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2).to(table.dtype)], dim=1)


class DinoV2(nn.Module):
    """DINOv2 with patches of 14 pixels.

    It is the encoder of VGGT, with `registers` and a last norm (`normed`), and of MapAnything, with neither and with
    `gated` MLPs.
    """

    def __init__(
        self, dim: int, depth: int, heads: int, positions: PositionTable, registers: int = 0, gated: bool = False,
        normed: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.positions = positions
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.register_tokens = nn.Parameter(torch.empty(1, registers, dim)) if registers else None
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + positions.side**2, dim))
        self.patch_embed = PatchEmbed(14, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, eps=1e-6, gated=gated) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-6) if normed else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """Normalised pictures (views, 3, H, W) -> tokens (views, 1 + registers + H / 14 × W / 14, dim).

        The class token comes first, then the registers, then the patches row by row.
        """
        patches = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = tokens + self.positions.resized(self.pos_embed, images.shape[2] // 14, images.shape[3] // 14)
        if self.register_tokens is not None:
            registers = self.register_tokens.expand(len(patches), -1, -1)
            tokens = torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


def normalised(images: Tensor) -> Tensor:
    """Pictures (views, 3, H, W) in [0, 1], less ImageNet's mean, over its standard deviation."""
    mean, deviation = (images.new_tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (images - mean) / deviation


def sine_cosine(positions: Tensor, dim: int, base: float) -> Tensor:
    """(N,) positions -> (N, dim): sines, then cosines, at frequencies that fall geometrically from 1 towards 1 / base.

    They are computed in double precision on the CPU, since Apple's GPUs have no doubles.
    """
    exponents = torch.arange(dim // 2, dtype=torch.float64) / (dim / 2)
    angles = positions.cpu().double()[:, None] * math.e ** (-math.log(base) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1).float().to(positions.device)
