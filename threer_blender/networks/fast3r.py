"""[R] Fast3R: up to 1,000 views of any sizes -> pointmaps in the first view's camera frame, and in each view's own.

Yang et al., "Fast3R: Towards 3D Reconstruction of 1000+ Images in One Forward Pass" (CVPR 2025). It has DUSt3R's
encoder, a decoder whose tokens attend to those of all views and know their view by an index alone, and two of DUSt3R's
DPT heads. Modules are named as in the published checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .dust3r import Pointmap, pointmap
from .layers import dpt
from .layers.sizes import TransformerSize
from .layers.transformer import Encoder
from .layers.vit import Block, sine_cosine

MOST_VIEWS = 1000  # the number of view indices that the network knows


class Fast3RConfig(NamedTuple):
    """The published sizes."""

    patch: int = 16
    blocks: TransformerSize = TransformerSize(1024, 24, 16)


PUBLISHED = Fast3RConfig()


class Prediction(NamedTuple):
    """Pointmaps (1, H, W, ·) of one view: `shared` in the first view's camera frame, `local` in its own."""

    shared: Pointmap
    local: Pointmap


class Decoder(nn.Module):
    """The decoder: tokens of all views attend to each other. Only the encoder knows positions within a view.

    Attention is not sharpened for many views (section 4 of the paper). The published code does that by default, but the
    released configuration and evaluations do not.
    """

    def __init__(self, config: Fast3RConfig) -> None:
        super().__init__()
        dim, depth, heads = config.blocks
        self.decoder_embed = nn.Linear(dim, dim)
        self.dec_blocks = nn.ModuleList(Block(dim, heads, eps=1e-5, scaled=False) for _ in range(depth))
        self.dec_norm = nn.LayerNorm(dim, eps=1e-6)

    def forward(self, tokens: Tensor, indices: Tensor) -> list[Tensor]:
        """Tokens (T, dim) of all views and their view `indices` (T,) -> the four layers (T, dim) that heads read.

        These are the input, and the tokens after a half, three quarters and all of the blocks.
        """
        depth = len(self.dec_blocks)
        layers_read = [tokens]
        marks = sine_cosine(indices, tokens.shape[1], 10_000.0)
        state = (self.decoder_embed(tokens) + marks)[None]
        for number, block in enumerate(self.dec_blocks, start=1):
            state = block(state)
            if number in (depth // 2, depth * 3 // 4):
                layers_read.append(state[0])
        return [*layers_read, self.dec_norm(state)[0]]


class Head(nn.Module):
    """A DPT: four layers of tokens -> Pointmap."""

    def __init__(self, config: Fast3RConfig) -> None:
        super().__init__()
        self.dpt = dpt.Dpt(4 * (config.blocks.dim,), 4)

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> Pointmap:
        """Four layers' tokens (1, rows × columns, dim) of a view on a `grid` (rows, columns) -> its Pointmap."""
        return pointmap(self.dpt(layers, grid))


class Fast3R(nn.Module):
    """The whole network."""

    def __init__(self, config: Fast3RConfig = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.blocks, config.patch)
        self.decoder = Decoder(config)
        self.downstream_head = Head(config)
        self.downstream_head_local = Head(config)

    def forward(self, images: Sequence[Tensor], indices: Sequence[int] | None = None) -> list[Prediction]:
        """The predictions for `images`, each (3, H, W) in [-1, 1] with sides that are multiples of 16.

        `indices` are distinct view indices, 0 for the first view; by default `spread_indices`.
        """
        encoded = [self.encoder(image[None])[0] for image in images]
        counts = [len(tokens) for tokens in encoded]
        chosen = torch.tensor(spread_indices(len(images)) if indices is None else indices, device=encoded[0].device)
        layers = self.decoder(torch.cat(encoded), chosen.repeat_interleave(torch.tensor(counts, device=chosen.device)))
        with torch.autocast(images[0].device.type, enabled=False):
            views = zip(*(layer.float().split(counts) for layer in layers), strict=True)
            return [
                self._heads([layer[None] for layer in view], image) for view, image in zip(views, images, strict=True)
            ]

    def _heads(self, layers: Sequence[Tensor], image: Tensor) -> Prediction:
        """The prediction for one `image` (3, H, W) from four layers of its tokens (1, tokens, dim)."""
        grid = (image.shape[1] // self.config.patch, image.shape[2] // self.config.patch)
        return Prediction(self.downstream_head(layers, grid), self.downstream_head_local(layers, grid))


def spread_indices(count: int) -> list[int]:
    """View indices for `count` views: 0, then evenly over all that the network knows.

    Training drew them at random. So does the published inference, whose results therefore vary from run to run.
    """
    assert count <= MOST_VIEWS
    return [0, *(1 + number * (MOST_VIEWS - 1) // max(1, count - 1) for number in range(count - 1))]


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that is not used here."""
    return None if dpt.unneeded(name) else name
