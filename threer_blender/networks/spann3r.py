"""[R] Spann3R: frames of a video, one after the other -> pointmaps in the first frame's camera frame. torch.

Wang and Agapito, "3D Reconstruction with Spatial Memory" (3DV 2025). Published weights: CC BY-NC-SA 4.0. It is DUSt3R
on each frame and the next one, where the tokens of the first of the two come from a memory of all frames before it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from . import dust3r
from .dust3r import DUSt3RConfig, Encoded, Pointmap
from .layers.transformer import Block
from .spatial_memory import DEFAULT, MemorySettings, Reader, SpatialMemory, empty

VALUE_BLOCKS = 6  # of the encoder of pointmaps


class Spann3RState(NamedTuple):
    """The state between two frames: the newest frame, and the memory of those before it.

    `encoded` (1, P, width) is the newest frame, whose final pointmap needs the next one. `queries` (P, width) is its
    question to the memory, and `levels` are its four layers of tokens (1, P, ·) in the second decoder. Both are None
    for the very first frame.
    """

    memory: SpatialMemory
    encoded: Encoded
    queries: Tensor | None = None
    levels: list[Tensor] | None = None


class Spann3R(nn.Module):
    """The whole network: `start` with a frame, then `step` by step, then `last`."""

    def __init__(self, config: DUSt3RConfig = dust3r.PUBLISHED, settings: MemorySettings = DEFAULT) -> None:
        super().__init__()
        self.settings = settings
        width, _, heads = config.encoder
        both = width + config.decoder.dim
        self.dust3r = dust3r.dpt_512(config)
        self.pos_patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, config.patch, config.patch)})
        self.value_encoder = nn.ModuleList(Block(width, heads) for _ in range(VALUE_BLOCKS))
        self.value_norm = nn.LayerNorm(width)
        self.value_out = nn.Linear(width, width)
        self.attn_head_1 = nn.Sequential(nn.Linear(both, both), nn.GELU(), nn.Linear(both, width))
        self.attn_head_2 = nn.Sequential(nn.Linear(both, both), nn.GELU(), nn.Linear(both, width))
        self.reader = Reader(width)

    def start(self, image: Tensor) -> Spann3RState:
        """The state after the first frame (1, 3, H, W) in [-1, 1]. H and W are multiples of 16."""
        encoded = self.dust3r.encode(image)
        _, patches, width = encoded.tokens.shape
        return Spann3RState(empty(width, patches, image), encoded)

    def step(self, state: Spann3RState, image: Tensor) -> tuple[Pointmap, Spann3RState]:
        """Takes the next frame, of the first one's size. Returns the pointmap of the frame before it, and the state.

        The frame before goes into the memory.
        """
        encoded, memory = self.dust3r.encode(image), state.memory
        assert encoded.grid == state.encoded.grid
        context = state.encoded
        if state.queries is not None:
            read, memory = self.reader(state.queries, memory, self.settings)
            context = context._replace(tokens=read[None])
        before, levels = self.dust3r.levels(context, encoded)
        result = self._head(self.dust3r.downstream_head1, before, encoded)
        keys = self.attn_head_1(torch.cat([state.encoded.tokens, before[-1]], dim=-1))
        values = self._values(result.points) + keys
        memory = memory.with_frame(keys[0].float(), values[0].float(), self.settings)
        queries = self.attn_head_2(torch.cat([encoded.tokens, levels[-1]], dim=-1))
        return result, Spann3RState(memory, encoded, queries[0].float(), levels)

    def last(self, state: Spann3RState) -> Pointmap:
        """The pointmap of the newest frame, by the second decoder's head. There must have been a `step`.

        It is less accurate than the one that the next `step` would return.
        """
        assert state.levels is not None
        return self._head(self.dust3r.downstream_head2, state.levels, state.encoded)

    def _head(self, head: nn.Module, levels: list[Tensor], encoded: Encoded) -> Pointmap:
        """The pointmap by one of the heads, in float32."""
        with torch.autocast(encoded.tokens.device.type, enabled=False):
            pointmap: Pointmap = head([tokens.float() for tokens in levels], encoded.grid)
        return pointmap

    def _values(self, points: Tensor) -> Tensor:
        """Points (1, H, W, 3) -> tokens (1, P, width). The points are read like a picture's colours."""
        tokens = self.pos_patch_embed["proj"](points.permute(0, 3, 1, 2)).flatten(2).transpose(1, 2)
        for block in self.value_encoder:
            tokens = block(tokens)
        values: Tensor = self.value_out(self.value_norm(tokens))
        return values


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that it does not need."""
    if name.startswith("dust3r."):
        inner = dust3r.rename(name.removeprefix("dust3r."))
        return None if inner is None else f"dust3r.{inner}"
    return f"reader.{name}" if name.startswith("norm_") else name
