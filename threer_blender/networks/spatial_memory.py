"""[R] Spann3R's spatial memory: tokens of earlier frames that a new frame reads. torch.

Wang and Agapito, "3D Reconstruction with Spatial Memory" (3DV 2025), section 3.3. The newest frames are the working
memory, and are always whole. Of older frames, the long-term memory, the tokens that are read least are pruned.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

YOUNG_WEIGHT = 1e8  # of a token that is too young to be pruned; true weights are at most the tokens of a frame


class MemorySettings(NamedTuple):
    """The published constants.

    `working_frames` are in the working memory. The long-term memory is pruned when it has more than `most_tokens`, so
    that `most_tokens` remain in both together. Attention below `least_attention` counts as none. A frame that is more
    similar than `most_similarity` (mean cosine) to a working frame is not stored. A token is young, and not pruned,
    until `young` more frames have been stored.

    `published`: pruning sorts the tokens by weight, as the released program does. Then the memory's last tokens, which
    it takes for the working frames, are those that are read least, until five more frames have been stored.
    """

    working_frames: int = 5
    most_tokens: int = 4000
    least_attention: float = 5e-4
    most_similarity: float = 0.95
    young: int = 10
    published: bool = False


DEFAULT = MemorySettings()


class SpatialMemory(NamedTuple):
    """The tokens of the frames that were stored, the oldest first; `working` frames are the working memory.

    `keys` and `values` (M, width). `attention` (M,) is what readers gave to each token in all, and `count` (M,) how
    many frames were stored after it. `patches` is the number of tokens of a frame.
    """

    keys: Tensor
    values: Tensor
    attention: Tensor
    count: Tensor
    working: int
    patches: int

    @property
    def long_tokens(self) -> int:
        """The number of tokens in the long-term memory."""
        return len(self.keys) - self.working * self.patches

    def similarity(self, keys: Tensor) -> float:
        """How similar a frame's `keys` (P, width) are to the most similar working frame's: the mean cosine of patches
        at the same place. -1 for an empty memory."""
        if not self.working:
            return -1.0
        frames = self.keys[self.long_tokens :].unflatten(0, (self.working, self.patches))
        return float(functional.cosine_similarity(frames, keys, dim=-1).mean(dim=1).max())

    def with_frame(self, keys: Tensor, values: Tensor, settings: MemorySettings) -> SpatialMemory:
        """The memory with a frame's `keys` and `values` (P, width) added, or as it is where the frame is too similar to
        a working one. It is pruned where it has grown too large."""
        if self.similarity(keys) > settings.most_similarity:
            return self
        unread = self.attention.new_zeros(len(keys))
        grown = self._replace(
            keys=torch.cat([self.keys, keys]),
            values=torch.cat([self.values, values]),
            attention=torch.cat([self.attention, unread]),
            count=torch.cat([self.count + 1, unread]),
            working=min(self.working + 1, settings.working_frames),
        )
        return grown._pruned(settings) if grown.long_tokens > settings.most_tokens else grown

    def _pruned(self, settings: MemorySettings) -> SpatialMemory:
        """The memory with the `most_tokens` tokens that were read most, per frame stored after them."""
        weight = torch.where(self.count < settings.young, YOUNG_WEIGHT, self.attention / self.count)
        if not settings.published:
            weight[self.long_tokens :] = torch.inf
        remaining = weight.sort(descending=True, stable=True).indices[: settings.most_tokens]
        if not settings.published:
            remaining = remaining.sort().values
        return self._replace(
            keys=self.keys[remaining],
            values=self.values[remaining],
            attention=self.attention[remaining],
            count=self.count[remaining],
        )


def empty(width: int, patches: int, like: Tensor) -> SpatialMemory:
    """A memory without tokens. `like` has the device; memories are float32."""
    keys, unread = torch.zeros(0, width, device=like.device), torch.zeros(0, device=like.device)
    return SpatialMemory(keys, keys, unread, unread, 0, patches)


class Reader(nn.Module):
    """Reads a memory: one head of attention over all of its tokens, without small weights."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_q = nn.LayerNorm(width)
        self.norm_k = nn.LayerNorm(width)
        self.norm_v = nn.LayerNorm(width)

    def forward(self, queries: Tensor, memory: SpatialMemory, settings: MemorySettings) -> tuple[Tensor, SpatialMemory]:
        """Queries (P, width) -> the queries plus what they read (P, width), and the memory that notes its readers.

        A query that gives no token enough attention reads nothing.
        """
        scores = self.norm_q(queries) @ self.norm_k(memory.keys).T / math.sqrt(queries.shape[1])
        weights = scores.softmax(dim=1)
        weights = torch.where(weights < settings.least_attention, 0, weights)
        weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=settings.least_attention)
        read = queries + weights @ self.norm_v(memory.values)
        return read, memory._replace(attention=memory.attention + weights.sum(dim=0))
