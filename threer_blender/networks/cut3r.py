"""[R] CUT3R: frames of a video, one after the other -> their cameras, and points in metres. torch.

Wang et al., "Continuous 3D Perception Model with Persistent State" (CVPR 2025). Published weights: CC BY-NC-SA 4.0. The
state, tokens of what was seen so far, and a frame's tokens attend to each other in two decoders. A second memory keeps
what earlier frames looked like from where, and guesses a new frame's camera. Parameters are named as in the published
checkpoint. The released program computes the encoder's rotary positions in half precision; here they are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dust3r import Encoded, Pointmap, exponential, pointmap
from .layers import dpt
from .layers.pose_encoding import matrices_from_xyzw
from .layers.sizes import TransformerSize
from .layers.transformer import EPSILON, Attention, DecoderBlock, Encoder, Grid, Mlp, rotary, rotary_at

POSE_PLACE = -1  # row and column of the pose token
STATE_COLUMNS = 28  # the state's tokens stand at the places of a grid with so many columns
MEMORY_BLOCKS = 2  # that write and that read the memory of cameras
RAY_CHANNELS = 6  # of a ray map: origin and direction


class CUT3RConfig(NamedTuple):
    """The published sizes: the encoder of pictures and that of ray maps, the decoders, and the heads of attention of
    the state's decoder. The state has `state_tokens` tokens, the memory of cameras `memory_tokens` of twice the width.
    """

    patch: int = 16
    encoder: TransformerSize = TransformerSize(1024, 24, 16)
    ray_encoder: TransformerSize = TransformerSize(1024, 2, 16)
    decoder: TransformerSize = TransformerSize(768, 12, 12)
    state_heads: int = 16
    state_tokens: int = 768
    memory_tokens: int = 256


PUBLISHED = CUT3RConfig()


class CUT3RState(NamedTuple):
    """The state between two frames, of constant size: `tokens` (1, 768, 768), and the memory of cameras,
    `memory` (1, 256, 1536). `fresh`: no frame was seen yet."""

    tokens: Tensor
    memory: Tensor
    fresh: bool


class Prediction(NamedTuple):
    """The output for one frame, in about metres; the first dimension is 1.

    `pose` (1, 7) is world_from_camera: translation, and unit quaternion wxyz with w >= 0. The world is the first
    frame's camera frame, about. `local` is the pointmap in the frame's own camera frame. `shared`, that in the world,
    and `colours` (1, H, W, 3) in [-1, 1] are None unless they were asked for.
    """

    pose: Tensor
    local: Pointmap
    shared: Pointmap | None
    colours: Tensor | None


class CameraMemory(nn.Module):
    """The memory of cameras: what it says about a frame's camera, and how it learns."""

    def __init__(self, width: int, encoder_width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.proj_q = nn.Linear(encoder_width, width)
        self.masked_token = nn.Parameter(torch.empty(1, 1, width))
        self.mem = nn.Parameter(torch.empty(1, tokens, 2 * width))
        self.write_blocks = nn.ModuleList(DecoderBlock(2 * width, heads) for _ in range(MEMORY_BLOCKS))
        self.read_blocks = nn.ModuleList(DecoderBlock(2 * width, heads) for _ in range(MEMORY_BLOCKS))

    def read(self, memory: Tensor, frame: Tensor) -> Tensor:
        """(1, 1, width) the pose token of a frame by its mean encoder token `frame` (1, 1, encoder width)."""
        tokens = torch.cat([self.proj_q(frame), self.masked_token], dim=-1)
        for block in self.read_blocks:
            tokens = block(tokens, memory)
        return tokens[..., self.masked_token.shape[-1] :]

    def written(self, memory: Tensor, frame: Tensor, pose_token: Tensor) -> Tensor:
        """The memory that has learnt the final `pose_token` (1, 1, width) of a frame."""
        learnt = torch.cat([self.proj_q(frame), pose_token], dim=-1)
        for block in self.write_blocks:
            memory = block(memory, learnt)
        return memory


class ModulatedNorm(nn.Module):
    """A layer norm whose scale and shift another token gives (Peebles and Xie, 2023)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, EPSILON)
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, tokens: Tensor, modulating: Tensor) -> Tensor:
        shift, scale = self.mlp(modulating).chunk(2, dim=-1)
        normed: Tensor = self.norm(tokens)
        return normed * (1 + scale) + shift


class ModulatedBlock(nn.Module):
    """A layer of a transformer whose norms the pose token modulates."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = ModulatedNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = ModulatedNorm(width)
        self.mlp = Mlp(width, 4 * width, width)

    def forward(self, tokens: Tensor, pose_token: Tensor, rotations: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens, pose_token), rotations)
        return tokens + self.mlp(self.norm2(tokens, pose_token))


class Head(nn.Module):
    """Four layers of a frame's tokens, and its pose token -> Prediction."""

    def __init__(self, config: CUT3RConfig) -> None:
        super().__init__()
        width, _, heads = config.decoder
        widths = (config.encoder.dim, *3 * (width,))
        self.pose_head = nn.ModuleDict({"mlp": Mlp(width, 4 * width, 7)})
        self.dpt_self = dpt.Dpt(widths, 4)
        self.dpt_cross = dpt.Dpt(widths, 4)
        self.dpt_rgb = dpt.Dpt(widths, 3)
        self.final_transform = nn.ModuleList(ModulatedBlock(width, heads) for _ in range(2))

    def forward(self, levels: Sequence[Tensor], pose_token: Tensor, grid: Grid, complete: bool) -> Prediction:
        """`levels` are tokens (1, P, width) of patches, `pose_token` is (1, 1, width); float32.

        `complete`: with the points in the world and the colours, which the cameras and points of a scene do not need.
        """
        pose = self.pose_head["mlp"](pose_token[:, 0])
        quaternion = functional.normalize(pose[:, 3:], dim=-1)
        quaternion = torch.where(quaternion[:, :1] < 0, -quaternion, quaternion)
        pose = torch.cat([exponential(pose[:, :3]), quaternion], dim=-1)
        shared, colours = None, None
        if complete:
            # A sigmoid that stops a millionth short of 0 and 1.
            raw = self.dpt_rgb(levels, grid).permute(0, 2, 3, 1).sigmoid()
            colours = 2 * (raw * (1 - 2e-6) + 1e-6) - 1
            tokens = levels[-1]
            rotations = rotary(grid, tokens.shape[-1] // self.final_transform[0].attn.heads, tokens)
            for block in self.final_transform:
                tokens = block(tokens, pose_token, rotations)
            shared = pointmap(self.dpt_cross([*levels[:-1], tokens], grid))
        return Prediction(pose, pointmap(self.dpt_self(levels, grid)), shared, colours)


class CUT3R(nn.Module):
    """The whole network: `initial`, then `step` with each frame. `initial` again forgets all."""

    def __init__(self, config: CUT3RConfig = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        width, depth, heads = config.decoder
        outer = config.encoder.dim
        self.encoder = Encoder(config.encoder, config.patch)
        self.ray_encoder = Encoder(config.ray_encoder, config.patch, RAY_CHANNELS)
        self.register_tokens = nn.Embedding(config.state_tokens, outer)
        self.decoder_embed_state = nn.Linear(outer, width)
        self.decoder_embed = nn.Linear(outer, width)
        self.dec_blocks = nn.ModuleList(DecoderBlock(width, heads) for _ in range(depth))
        self.dec_blocks_state = nn.ModuleList(DecoderBlock(width, config.state_heads) for _ in range(depth))
        self.dec_norm = nn.LayerNorm(width, EPSILON)
        self.dec_norm_state = nn.LayerNorm(width, EPSILON)
        self.pose_token = nn.Parameter(torch.empty(1, 1, width))
        self.pose_retriever = CameraMemory(width, outer, heads, config.memory_tokens)
        self.downstream_head = Head(config)

    def initial(self) -> CUT3RState:
        """The state before the first frame."""
        return CUT3RState(
            self.decoder_embed_state(self.register_tokens.weight)[None], self.pose_retriever.mem, fresh=True
        )

    def step(
        self, state: CUT3RState, image: Tensor, update: bool = True, complete: bool = False
    ) -> tuple[Prediction, CUT3RState]:
        """The prediction of a frame (1, 3, H, W) in [-1, 1], and the state after it. H and W are multiples of 16.

        Without `update`, the frame leaves no trace in the state. `complete` is as in Head.
        """
        prediction, after = self._decode(state, self._encoded(self.encoder, image), complete)
        return prediction, after if update else state

    def view_along(self, state: CUT3RState, rays: Tensor) -> Prediction:
        """The complete prediction of a view that no picture shows, by its ray map (1, 6, H, W).

        A pixel's six numbers are the origin of its ray and its unit direction, in the world of the cameras.
        """
        return self._decode(state, self._encoded(self.ray_encoder, rays), complete=True)[0]

    def _encoded(self, encoder: Encoder, picture: Tensor) -> Encoded:
        height, width = picture.shape[-2:]
        return Encoded(encoder(picture), (height // self.config.patch, width // self.config.patch))

    def _decode(self, state: CUT3RState, encoded: Encoded, complete: bool) -> tuple[Prediction, CUT3RState]:
        """The prediction of encoded tokens (1, P, ·), and the state after them."""
        mean = encoded.tokens.mean(dim=1, keepdim=True)
        guess = self.pose_token if state.fresh else self.pose_retriever.read(state.memory, mean)
        tokens = torch.cat([guess.to(encoded.tokens.dtype), self.decoder_embed(encoded.tokens)], dim=1)
        levels, remembered = [encoded.tokens], state.tokens
        places, state_places = self._places(encoded.grid, tokens.device), self._state_places(tokens.device)
        width, state_width = self._head_widths()
        rotations = [rotary_at(one, width, tokens) for one in (places, state_places)]
        state_rotations = [rotary_at(one, state_width, tokens) for one in (state_places, places)]
        depth = len(self.dec_blocks)
        for number, (block, state_block) in enumerate(zip(self.dec_blocks, self.dec_blocks_state, strict=True), 1):
            # Each attends to the other's tokens before this layer.
            remembered, tokens = (
                state_block(remembered, tokens, *state_rotations),
                block(tokens, remembered, *rotations),
            )
            if number in (depth // 2, depth * 3 // 4):
                levels.append(tokens[:, 1:])
        tokens = self.dec_norm(tokens)
        levels.append(tokens[:, 1:])
        pose_token = tokens[:, :1]
        after = CUT3RState(
            self.dec_norm_state(remembered), self.pose_retriever.written(state.memory, mean, pose_token), fresh=False
        )
        with torch.autocast(tokens.device.type, enabled=False):
            levels = [level.float() for level in levels]
            prediction = self.downstream_head(levels, pose_token.float(), encoded.grid, complete)
        return prediction, after

    def _head_widths(self) -> tuple[int, int]:
        """The channels of a head of attention in the frame's decoder and in the state's."""
        return self.config.decoder.head_dim, self.config.decoder.dim // self.config.state_heads

    def _places(self, grid: Grid, device: torch.device) -> Tensor:
        """(1 + P, 2) row and column of the pose token and of a frame's patches."""
        rows, columns = (torch.arange(side, device=device) for side in grid)
        pose = torch.full((1, 2), POSE_PLACE, device=device)
        return torch.cat([pose, torch.cartesian_prod(rows, columns)])

    def _state_places(self, device: torch.device) -> Tensor:
        """(tokens, 2) row and column of the state's tokens."""
        numbers = torch.arange(self.config.state_tokens, device=device)
        return torch.stack([numbers // STATE_COLUMNS, numbers % STATE_COLUMNS], dim=-1)


def world_from_camera(pose: Tensor) -> Tensor:
    """The `pose` (N, 7) of predictions as matrices (N, 4, 4)."""
    matrices = torch.eye(4, device=pose.device).repeat(len(pose), 1, 1)
    matrices[:, :3, :3] = matrices_from_xyzw(pose[:, [4, 5, 6, 3]])
    matrices[:, :3, 3] = pose[:, :3]
    return matrices


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that it does not need.

    The masked tokens stood in training for pictures or ray maps that a view lacked.
    """
    if name in ("masked_img_token", "masked_ray_map_token") or dpt.unneeded(name):
        return None
    for published in ("patch_embed", "enc_blocks", "enc_norm"):
        for suffix, encoder in (("_ray_map.", "ray_encoder"), (".", "encoder")):
            if name.startswith(published + suffix):
                return f"{encoder}.{published}.{name.removeprefix(published + suffix)}"
    return name
