"""[R] The transformer blocks of the CroCo family, with rotary positions or, where none are given, without. torch.

Weinzaepfel et al., "CroCo v2" (ICCV 2023), which DUSt3R and its descendants build on. Parameters are named as
in the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .sizes import TransformerSize

Grid = tuple[int, int]
"""Rows and columns of patches. A photo's tokens are ordered row by row."""

EPSILON = 1e-6  # of the layer norms
ROPE_BASE = 100.0


def rotary(grid: Grid, head_width: int, like: Tensor) -> Tensor:
    """`rotary_at` the places of the N tokens of a grid. `like` has the device and the type."""
    rows, columns = (torch.arange(side, device=like.device) for side in grid)
    return rotary_at(torch.cartesian_prod(rows, columns), head_width, like)


def rotary_at(places: Tensor, head_width: int, like: Tensor) -> Tensor:
    """(2, N, 2, head_width / 4) cosines and sines of the angles by which tokens at `places` (N, 2) are rotated.

    A place is an integer row and column. Su et al., "RoFormer" (2021), applied to each axis: half of a head's channels
    are rotated by the token's row, half by its column. Angle k of an axis is the index times
    ROPE_BASE^(-4k / head_width). `like` has the device and the type.
    """
    quarter = head_width // 4
    frequencies = ROPE_BASE ** (-torch.arange(quarter, device=like.device) / quarter)
    angles = places[:, :, None] * frequencies
    return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)


def rotated(heads: Tensor, rotations: Tensor | None) -> Tensor:
    """Queries or keys (B, heads, N, head_width), rotated by the `rotary` of their positions; None rotates nothing."""
    if rotations is None:
        return heads
    first, second = heads.unflatten(-1, (2, 2, -1)).unbind(-2)
    cosine, sine = rotations
    both = first * cosine - second * sine, second * cosine + first * sine
    return torch.stack(both, dim=-2).flatten(-3)


def _heads(tokens: Tensor, count: int) -> Tensor:
    """(B, N, width) -> (B, heads, N, head_width), with `count` heads."""
    return tokens.unflatten(-1, (count, -1)).transpose(1, 2)


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention: (B, heads, N, head_width) each -> (B, N, width). The matrix of weights is never held as a whole."""
    return functional.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)


class Attention(nn.Module):
    """The tokens of one photo attend to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotations: Tensor | None = None) -> Tensor:
        queries, keys, values = (_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, dim=-1))
        attended: Tensor = self.proj(attend(rotated(queries, rotations), rotated(keys, rotations), values))
        return attended


class CrossAttention(nn.Module):
    """The tokens of one photo attend to those of the other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.projq = nn.Linear(width, width)
        self.projk = nn.Linear(width, width)
        self.projv = nn.Linear(width, width)
        self.proj = nn.Linear(width, width)

    def forward(
        self, tokens: Tensor, other: Tensor, rotations: Tensor | None = None, other_rotations: Tensor | None = None
    ) -> Tensor:
        queries = rotated(_heads(self.projq(tokens), self.heads), rotations)
        keys = rotated(_heads(self.projk(other), self.heads), other_rotations)
        attended: Tensor = self.proj(attend(queries, keys, _heads(self.projv(other), self.heads)))
        return attended


class Mlp(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, width: int, hidden: int, output: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, output)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(tokens)))
        return mixed


class _Layer(nn.Module):
    """The common part of the layers of encoder and decoders: attention within a photo, and an MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, EPSILON)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, EPSILON)
        self.mlp = Mlp(width, 4 * width, width)


class Block(_Layer):
    """A layer of the encoder: (B, N, width) -> the same."""

    def forward(self, tokens: Tensor, rotations: Tensor | None = None) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), rotations)
        return tokens + self.mlp(self.norm2(tokens))


class DecoderBlock(_Layer):
    """A layer of one of the two decoders: tokens attend within their photo, then to the `other` photo's tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.norm_y = nn.LayerNorm(width, EPSILON)
        self.cross_attn = CrossAttention(width, heads)
        self.norm3 = nn.LayerNorm(width, EPSILON)

    def forward(
        self, tokens: Tensor, other: Tensor, rotations: Tensor | None = None, other_rotations: Tensor | None = None
    ) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), rotations)
        tokens = tokens + self.cross_attn(self.norm2(tokens), self.norm_y(other), rotations, other_rotations)
        return tokens + self.mlp(self.norm3(tokens))


class Encoder(nn.Module):
    """A ViT with rotary positions: photos (B, 3, H, W) in [-1, 1] -> tokens (B, H W / patch², width).

    H and W are multiples of the patch. `channels` is another number than 3 where the input is no photo.
    """

    def __init__(self, size: TransformerSize, patch: int, channels: int = 3) -> None:
        super().__init__()
        width, depth, heads = size
        self.head_width = size.head_dim
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(channels, width, patch, patch)})
        self.enc_blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.enc_norm = nn.LayerNorm(width, EPSILON)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](images)
        rotations = rotary(patches.shape[-2:], self.head_width, patches)
        tokens = patches.flatten(2).transpose(1, 2)
        for block in self.enc_blocks:
            tokens = block(tokens, rotations)
        encoded: Tensor = self.enc_norm(tokens)
        return encoded
