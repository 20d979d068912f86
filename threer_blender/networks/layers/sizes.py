"""[R] Sizes that the networks' configurations are made of."""

from __future__ import annotations

from typing import NamedTuple


class TransformerSize(NamedTuple):
    """`depth` blocks over tokens of `dim` channels, with so many `heads` of attention in each."""

    dim: int
    depth: int
    heads: int

    @property
    def head_dim(self) -> int:
        """Channels of a head of attention."""
        return self.dim // self.heads


class DenseHeadSize(NamedTuple):
    """`layers`: the indices of the four blocks whose tokens a dense head reads, in order; `widths`: the channels that
    it makes of each; `channels`: those of all after they are joined."""

    layers: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    channels: int
