"""[R] DUSt3R: two photos into two pointmaps in the first one's frame. torch.

Wang et al., "DUSt3R: Geometric 3D Vision Made Easy" (CVPR 2024). Published weights: CC BY-NC-SA 4.0. The encoder sees
each photo by itself, so that a photo is encoded once for all its pairs; two decoders look at each other's tokens.
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
        """Of the tokens that heads get: the encoder's, and the decoder's at a half, three quarters and all of it."""
        return (self.encoder.dim, *3 * (self.decoder.dim,))


PUBLISHED = DUSt3RConfig()


class Pointmap(NamedTuple):
    """`points` (B, H, W, 3) in the first photo's camera frame; `confidence` (B, H, W), 1 + exp of the raw output."""

    points: Tensor
    confidence: Tensor


class Encoded(NamedTuple):
    """Photos after the encoder: `tokens` (B, N, width) on a `grid` of patches."""

    tokens: Tensor
    grid: Grid


Prediction = TypeVar("Prediction", bound=tuple[Tensor, ...])


class PairNetwork(nn.Module, Generic[Prediction]):
    """Encoder, twin decoders and a head each. `head` makes one: four token tensors and their grid to a Prediction."""

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
        """Moves the network to `device`; all but the heads, whose outputs pass through exp, compute in `dtype`."""
        self.to(device)
        for name, part in self.named_children():
            if not name.startswith("downstream_head"):
                part.to(dtype)

    def encode(self, images: Tensor) -> Encoded:
        """Photos (B, 3, H, W) in [-1, 1], sides in whole patches, each by itself."""
        height, width = images.shape[-2:]
        tokens = self.encoder(images.to(self.decoder_embed.weight.dtype))
        return Encoded(tokens, (height // self.config.patch, width // self.config.patch))

    def decode(self, first: Encoded, second: Encoded) -> tuple[Prediction, Prediction]:
        """The heads' predictions of pairs (B) of encoded photos, in float32."""
        views = first, second
        head_width = self.config.decoder.head_dim
        rotations = [rotary(view.grid, head_width, view.tokens) for view in views]
        levels = [[view.tokens] for view in views]
        states = [self.decoder_embed(view.tokens) for view in views]
        depth = self.config.decoder.depth
        for number, blocks in enumerate(zip(self.dec_blocks, self.dec_blocks2, strict=True), 1):
            # Each side looks at the other's state before this layer.
            states = [blocks[i](states[i], states[1 - i], rotations[i], rotations[1 - i]) for i in (0, 1)]
            if number in (depth // 2, depth * 3 // 4, depth):
                for level, state in zip(levels, states, strict=True):
                    level.append(self.dec_norm(state) if number == depth else state)
        heads = self.downstream_head1, self.downstream_head2
        one, two = (
            head([tokens.float() for tokens in level], view.grid)
            for head, level, view in zip(heads, levels, views, strict=True)
        )
        return one, two

    def forward(self, first: Tensor, second: Tensor) -> tuple[Prediction, Prediction]:
        """The heads' predictions of pairs of photos (B, 3, H, W) in [-1, 1]; the two may have different sizes."""
        return self.decode(self.encode(first), self.encode(second))


class DptHead(nn.Module):
    """Points and confidence by a DPT."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__()
        self.dpt = dpt.Dpt(config.widths, 4)

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Pointmap:
        return pointmap(self.dpt(tokens, grid))


class LinearHead(nn.Module):
    """Points and confidence of each patch from its last token alone."""

    def __init__(self, config: DUSt3RConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.proj = nn.Linear(config.decoder.dim, 4 * config.patch**2)

    def forward(self, tokens: Sequence[Tensor], grid: Grid) -> Pointmap:
        return pointmap(unpatched(self.proj(tokens[-1]), grid, self.patch))


def unpatched(tokens: Tensor, grid: Grid, patch: int) -> Tensor:
    """(B, C, H, W) of (B, N, C patch²): every token holds its patch's pixels."""
    return functional.pixel_shuffle(tokens.transpose(1, 2).unflatten(-1, grid), patch)


def pointmap(raw: Tensor) -> Pointmap:
    """Of a head's raw output (B, 4, H, W): the direction with the length expm1 |x|, and 1 + exp."""
    vectors = raw[:, :3].permute(0, 2, 3, 1)
    length = vectors.norm(dim=-1, keepdim=True)
    return Pointmap(vectors / length.clip(min=1e-8) * torch.expm1(length), 1 + raw[:, 3].exp())


def dpt_512(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Pointmap]:
    """The network of `DUSt3R_ViTLarge_BaseDecoder_512_dpt`."""
    return PairNetwork(config, lambda: DptHead(config))


def linear_224(config: DUSt3RConfig = PUBLISHED) -> PairNetwork[Pointmap]:
    """The network of `DUSt3R_ViTLarge_BaseDecoder_224_linear`."""
    return PairNetwork(config, lambda: LinearHead(config))


def rename(name: str) -> str | None:
    """The network's name of a published tensor; the mask token served pre-training only."""
    if name == "mask_token" or dpt.unneeded(name):
        return None
    return f"encoder.{name}" if name.startswith(("patch_embed.", "enc_")) else name
