"""[R] MUSt3R: frames of a video, a few at a time -> pointmaps in the first frame's camera and in their own. torch.

Cabon et al., "MUSt3R: Multi-view Network for Stereo 3D Reconstruction" (CVPR 2025). Published weights: MUSt3R
Non-Commercial License. DUSt3R's encoder, and one decoder whose blocks attend to the frame's own tokens and to a memory
of other frames' tokens in the same layer. Parameters are named as in the published checkpoint, prefixed by the part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .dust3r import Encoded, Pointmap, pointmap, unpatched
from .layers.sizes import TransformerSize
from .layers.transformer import DecoderBlock, Encoder, Grid, Mlp, rotary

CHANNELS = 7  # of the output: the point in the first frame's camera, the point in the frame's own, the confidence


class MUSt3RConfig(NamedTuple):
    """The published sizes."""

    patch: int = 16
    encoder: TransformerSize = TransformerSize(1024, 24, 16)
    decoder: TransformerSize = TransformerSize(768, 12, 12)


PUBLISHED = MUSt3RConfig()


class MUSt3RMemory(NamedTuple):
    """The tokens of the frames in the memory: for each of the decoder's blocks (M, width), normed for its attention.

    `labels` (M,) are the numbers of the tokens' frames, which count the frames that were stored.
    """

    layers: list[Tensor]
    labels: Tensor


class Prediction(NamedTuple):
    """Pointmaps (n, H, W, ·) of n frames: `shared` in the first frame's camera frame, `local` in each frame's own. The
    two have one confidence."""

    shared: Pointmap
    local: Pointmap


class MemoryBlock(DecoderBlock):
    """A layer of the decoder: tokens attend to those of their frame, and then, without positions, to the memory's."""

    def forward(self, tokens: Tensor, memory: Tensor, rotations: Tensor) -> Tensor:  # type: ignore[override]
        """`tokens` (n, P, width) of n frames, and what each of them may read, `memory` (n, M, width), normed."""
        tokens = tokens + self.attn(self.norm1(tokens), rotations)
        tokens = tokens + self.cross_attn(self.norm2(tokens), memory)
        return tokens + self.mlp(self.norm3(tokens))


class Decoder(nn.Module):
    """Reads and writes the memory."""

    def __init__(self, config: MUSt3RConfig) -> None:
        super().__init__()
        self.config = config
        width, depth, heads = config.decoder
        self.feat_embed_enc_to_dec = nn.Linear(config.encoder.dim, width)
        self.image2_embed = nn.Parameter(torch.empty(1, 1, width))
        self.blocks_dec = nn.ModuleList(MemoryBlock(width, heads) for _ in range(depth))
        self.feedback_layer = Mlp(width, 4 * width, width)
        self.feedback_norm = nn.LayerNorm(width)
        self.norm_dec = nn.LayerNorm(width, eps=1e-6)
        self.head_dec = nn.ModuleDict({"proj": nn.Linear(width, CHANNELS * config.patch**2)})

    def forward(self, encoded: Encoded, memory: MUSt3RMemory, render: bool) -> tuple[Tensor, MUSt3RMemory]:
        """`encoded` tokens (n, P, ·) of n frames -> raw outputs (n, 7, H, W), and the memory with these frames.

        A frame sees the memory and the other frames of this call, but not its own tokens, unless it is the only frame
        of all. `render`: it sees the whole memory and nothing else, and nothing is stored.
        """
        tokens = self.feat_embed_enc_to_dec(encoded.tokens)
        is_first = torch.arange(len(tokens), device=tokens.device) + len(memory.labels) == 0
        tokens = tokens + torch.where(is_first[:, None, None], 0, self.image2_embed)
        rotations = rotary(encoded.grid, self.config.decoder.head_dim, tokens)
        inputs = []
        for block, remembered in zip(self.blocks_dec, memory.layers, strict=True):
            inputs.append(tokens)
            readable = remembered.expand(len(tokens), -1, -1)
            if not render:
                readable = torch.cat([readable, _others(block.norm_y(tokens), alone=not len(memory.labels))], dim=1)
            tokens = block(tokens, readable.to(tokens.dtype), rotations)
        raw = self._raw(tokens, encoded.grid)
        return raw, memory if render else self._remembered(inputs, memory)

    def _raw(self, tokens: Tensor, grid: Grid) -> Tensor:
        """The last tokens (n, P, width) -> raw outputs (n, 7, H, W), in float32."""
        with torch.autocast(tokens.device.type, enabled=False):
            return unpatched(self.head_dec["proj"](self.norm_dec(tokens.float())), grid, self.config.patch)

    def _remembered(self, inputs: list[Tensor], memory: MUSt3RMemory) -> MUSt3RMemory:
        """The memory with the `inputs` (n, P, width) of each block added.

        All but the last block's are stored with the feedback: what an MLP makes of the last block's input, so that
        early layers of later frames know what late layers of this one concluded.
        """
        feedback = self.feedback_layer(self.feedback_norm(inputs[-1]))
        tokens = [*(tokens + feedback for tokens in inputs[:-1]), inputs[-1]]
        layers = [
            torch.cat([remembered, block.norm_y(added).flatten(0, 1)])
            for block, remembered, added in zip(self.blocks_dec, memory.layers, tokens, strict=True)
        ]
        start = int(memory.labels[-1]) + 1 if len(memory.labels) else 0
        new = torch.arange(start, start + len(inputs[0]), device=memory.labels.device)
        return MUSt3RMemory(layers, torch.cat([memory.labels, new.repeat_interleave(inputs[0].shape[1])]))


class MUSt3R(nn.Module):
    """The whole network."""

    def __init__(self, config: MUSt3RConfig = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, config.patch)
        self.decoder = Decoder(config)

    def empty(self) -> MUSt3RMemory:
        """The memory before the first frame."""
        like = self.decoder.image2_embed
        width, depth, _ = self.config.decoder
        return MUSt3RMemory([like.new_zeros(0, width)] * depth, torch.zeros(0, dtype=torch.int64, device=like.device))

    def encode(self, images: Tensor) -> Encoded:
        """Encodes frames (n, 3, H, W) in [-1, 1], whose sides are multiples of 16."""
        height, width = images.shape[-2:]
        return Encoded(self.encoder(images), (height // self.config.patch, width // self.config.patch))

    def forward(self, encoded: Encoded, memory: MUSt3RMemory, render: bool = False) -> tuple[Prediction, MUSt3RMemory]:
        """The prediction for encoded frames, and the memory with them. With `render`, frames that are in the memory
        are predicted again, from all that it has learnt since, and it stays as it is."""
        raw, memory = self.decoder(encoded, memory, render)
        return prediction(raw), memory


def prediction(raw: Tensor) -> Prediction:
    """The Prediction of raw outputs (n, 7, H, W)."""
    return Prediction(pointmap(raw[:, [0, 1, 2, 6]]), pointmap(raw[:, 3:]))


def rename(name: str) -> str:
    """The network's name of a published tensor."""
    for published, ours in (("encoder.blocks_enc.", "encoder.enc_blocks."), ("encoder.norm_enc.", "encoder.enc_norm.")):
        if name.startswith(published):
            return ours + name.removeprefix(published)
    return name


def _others(tokens: Tensor, alone: bool) -> Tensor:
    """(n, (n - 1) P, width) for each of n frames the `tokens` (n, P, width) of the other frames.

    `alone`: the memory is empty; then the only frame of a call gets its own tokens.
    """
    count = len(tokens)
    if count == 1:
        return tokens if alone else tokens[:, :0]
    others = ~torch.eye(count, dtype=torch.bool, device=tokens.device)
    return torch.stack([tokens[mask].flatten(0, 1) for mask in others])
