"""[R] The sizes in the networks' configurations."""

from __future__ import annotations

from typing import NamedTuple


class TransformerSize(NamedTuple):
    """A transformer of `depth` blocks over tokens of `dim` channels, with `heads` heads of attention in each block."""

    dim: int
    depth: int
    heads: int

    @property
    def head_dim(self) -> int:
        """The channels of a head of attention."""
        return self.dim // self.heads


class DenseHeadSize(NamedTuple):
    """The size of a dense head.

    `layers` are the indices of the four blocks whose tokens it reads. It projects each to `widths` channels, and fuses
    them with `channels` channels.
    """

    layers: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    channels: int
