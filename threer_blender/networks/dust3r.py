"""[R] DUSt3R: two photos -> two pointmaps in the first photo's camera frame. torch.

Wang et al., "DUSt3R: Geometric 3D Vision Made Easy" (CVPR 2024). Published weights: CC BY-NC-SA 4.0. The encoder sees
each photo by itself, so a photo is encoded once for all of its pairs. Two decoders attend to each other's tokens.
Parameters are named as in the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers import dpt
from .layers.sizes import TransformerSize
from .layers.transformer import EPSILON, DecoderBlock, Encoder, Grid, rotary


class DUSt3RConfig(NamedTuple):
    """The published sizes: ViT-L encoder, ViT-B decoders."""

    patch: int = 16
    encoder: TransformerSize = TransformerSize(1024, 24, 16)
    decoder: TransformerSize = TransformerSize(768, 12, 12)

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four layers of tokens that heads read: the encoder's last, and the decoder's after a half,
        three quarters and all of its blocks."""
        return (self.encoder.dim, *3 * (self.decoder.dim,))


PUBLISHED = DUSt3RConfig()


class Pointmap(NamedTuple):
    """`points` (B, H, W, 3) in the first photo's camera frame, in an arbitrary unit; `confidence` (B, H, W) above 1."""

    points: Tensor
    confidence: Tensor


class Encoded(NamedTuple):
    """Encoded photos: `tokens` (B, N, width) on a `grid` of patches."""

    tokens: Tensor
    grid: Grid


Prediction = TypeVar("Prediction", bound=tuple[Tensor, ...])


class PairNetwork(nn.Module, Generic[Prediction]):
    """The network of the DUSt3R family: an encoder, and for each photo of a pair a decoder and a head.

    `head` makes a head, which takes four layers of tokens (B, N, width) and their grid to a Prediction.
    """

    def __init__(self, config: DUSt3RConfig, head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.patch)
        width, heads = config.decoder.dim, config.decoder.heads
        self.decoder_embed = nn.Linear(config.encoder.dim, width)
        self.dec_blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(config.decoder.depth))
        self.dec_blocks2 = nn.ModuleList(DecoderBlock(width, heads) for _ in range(config.decoder.depth))
        self.dec_norm = nn.LayerNorm(width, EPSILON)
        self.downstream_head1 = head()
        self.downstream_head2 = head()

    def place(self, device: torch.device, dtype: torch.dtype) -> None:
        """Moves the network to `device`, all but the heads in `dtype`. Heads stay in float32, as their outputs pass
        through exp."""
        self.to(device)
        for name, part in self.named_children():
            if not name.startswith("downstream_head"):
                part.to(dtype)

    def encode(self, images: Tensor) -> Encoded:
        """Encodes photos (B, 3, H, W) in [-1, 1], whose sides are multiples of the patch."""
        height, width = images.shape[-2:]
        tokens = self.encoder(images.to(self.decoder_embed.weight.dtype))
        return Encoded(tokens, (height // self.config.patch, width // self.config.patch))

    def decode(self, first: Encoded, second: Encoded) -> tuple[Prediction, Prediction]:
        """The heads' predictions, in float32, for the first and for the second photos of B encoded pairs."""
        levels = self.levels(first, second)
        heads = self.downstream_head1, self.downstream_head2
        one, two = (
            head([tokens.float() for tokens in level], view.grid)
            for head, level, view in zip(heads, levels, (first, second), strict=True)
        )
        return one, two

    def levels(self, first: Encoded, second: Encoded) -> tuple[list[Tensor], list[Tensor]]:
        """The four layers of tokens (B, N, width) that heads read, for the first and for the second photos of B pairs.

        They are the encoder's, and the decoder's after a half, three quarters and all of its blocks, the last normed.
        """
        views = first, second
        head_width = self.config.decoder.head_dim
        rotations = [rotary(view.grid, head_width, view.tokens) for view in views]
        levels = [first.tokens], [second.tokens]
        states = [self.decoder_embed(view.tokens) for view in views]
        depth = self.config.decoder.depth
        for number, blocks in enumerate(zip(self.dec_blocks, self.dec_blocks2, strict=True), 1):
            # Each decoder attends to the other's state before this layer.
            states = [blocks[i](states[i], states[1 - i], rotations[i], rotations[1 - i]) for i in (0, 1)]
            if number in (depth // 2, depth * 3 // 4, depth):
                for level, state in zip(levels, states, strict=True):
                    level.append(self.dec_norm(state) if number == depth else state)
        return levels

    def forward(self, first: Tensor, second: Tensor) -> tuple[Prediction, Prediction]:
        """`decode` of B pairs of photos (B, 3, H, W) in [-1, 1]. The first and second photos may differ in size."""
        return self.decode(self.encode(first), self.encode(second))


class DptHead(nn.Module):
    """A DPT: four layers of tokens (B, N, width) -> Pointmap."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__()
        self.dpt = dpt.Dpt(config.widths, 4)

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Pointmap:
        return pointmap(self.dpt(tokens, grid))


class LinearHead(nn.Module):
    """A linear layer: tokens (B, N, width) of the last layer -> Pointmap. Each token predicts its patch's pixels."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = nn.Linear(config.decoder.dim, 4 * config.patch**2)

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Pointmap:
        return pointmap(unpatched(self.proj(tokens[-1]), grid, self.patch))


def unpatched(tokens: Tensor, grid: Grid, patch: int) -> Tensor:
    """Tokens (B, N, C patch²), each with its patch's pixels -> pictures (B, C, H, W)."""
    return functional.pixel_shuffle(tokens.transpose(1, 2).unflatten(-1, grid), patch)


def exponential(vectors: Tensor) -> Tensor:
    """Vectors (..., 3) of the same direction whose length is expm1 of the given ones'."""
    length = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clip(min=1e-8) * torch.expm1(length)


def pointmap(raw: Tensor) -> Pointmap:
    """The Pointmap of a head's raw output (B, 4, H, W).

    The first three channels are a point's direction, and the logarithm of 1 + its distance is their length. The
    confidence is 1 + exp of the fourth.
    """
    return Pointmap(exponential(raw[:, :3].permute(0, 2, 3, 1)), 1 + raw[:, 3].exp())


def dpt_512(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Pointmap]:
    """The network of `DUSt3R_ViTLarge_BaseDecoder_512_dpt`."""
    return PairNetwork(config, lambda: DptHead(config))


def linear_224(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Pointmap]:
    """The network of `DUSt3R_ViTLarge_BaseDecoder_224_linear`."""
    return PairNetwork(config, lambda: LinearHead(config))


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that it does not need.

    The mask token served pre-training only.
    """
    if name == "mask_token" or dpt.unneeded(name):
        return None
    return f"encoder.{name}" if name.startswith(("patch_embed.", "enc_")) else name
