"""[R] VGGT-Omega: any number of views -> cameras, depth and confidence.

The successor of VGGT by its authors (2026; facebookresearch/vggt-omega). Its encoder is a DINOv3 (Siméoni et al.,
2025). In five of the blocks that attend to all views, only camera and register tokens take part. Cameras are predicted
from those tokens in one round. There are no heads for points and tracks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers.dense_head import Pyramid, a_few_at_a_time, with_plane
from .layers.sizes import DenseHeadSize, TransformerSize
from .layers.vit import Block, PatchEmbed, Rotation, normalised, plane_rotation

ROPE_BASE = 100.0
LEAST_FIELD = 0.01  # smallest field of view, in radians


class VGGTOmegaConfig(NamedTuple):
    """The published sizes of the 512-pixel model.

    `storage` and `registers` are the numbers of register tokens in the encoder and in the aggregator. In the blocks
    with the indices `register_blocks`, only camera and register tokens attend to all views.
    """

    blocks: TransformerSize = TransformerSize(1024, 24, 16)
    patch: int = 16
    storage: int = 4
    registers: int = 16
    register_blocks: tuple[int, ...] = (2, 6, 9, 14, 20)
    dense: DenseHeadSize = DenseHeadSize((4, 11, 17, 23), (256, 512, 1024, 1024), 256)

    @property
    def special(self) -> int:
        """The number of tokens before a view's patches: the camera's and the registers."""
        return 1 + self.registers


PUBLISHED = VGGTOmegaConfig()


class Prediction(NamedTuple):
    """The output for N views.

    `pose` (N, 9) encodes camera_from_world, where the world is the first view's frame, as `pose_encoding` describes.
    `depth` (N, H, W) is camera z. `confidence` (N, H, W) is at least 1. `tokens` (N, 17, 2048) are those from which the
    pose is predicted.
    """

    pose: Tensor
    depth: Tensor
    confidence: Tensor
    tokens: Tensor


class DinoV3(nn.Module):
    """The encoder of single views."""

    def __init__(self, config: VGGTOmegaConfig) -> None:
        super().__init__()
        self.config = config
        dim, depth, heads = config.blocks
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.storage_tokens = nn.Parameter(torch.empty(1, config.storage, dim))
        self.patch_embed = PatchEmbed(config.patch, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, eps=1e-5, key_bias=False) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, images: Tensor) -> Tensor:
        """Normalised pictures (N, 3, H, W) -> patch tokens (N, H W / patch², dim)."""
        special = torch.cat([self.cls_token, self.storage_tokens], dim=1)
        tokens = torch.cat([special.expand(len(images), -1, -1), self.patch_embed(images)], dim=1)
        rotation = _rotation(self.config, images, special.shape[1])
        for block in self.blocks:
            tokens = block(tokens, rotation)
        normed: Tensor = self.norm(tokens)
        return normed[:, special.shape[1] :]


class Aggregator(nn.Module):
    """The encoder of single views, and the blocks that attend to one view and to all views in turn."""

    def __init__(self, config: VGGTOmegaConfig) -> None:
        super().__init__()
        self.config = config
        dim, depth, heads = config.blocks
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, dim))
        self.register_token = nn.Parameter(torch.empty(1, 2, config.registers, dim))
        self.patch_embed = DinoV3(config)
        blocks = [Block(dim, heads, eps=1e-5, qk_norm=1e-5, key_bias=False) for _ in range(2 * depth)]
        self.frame_blocks, self.inter_frame_blocks = nn.ModuleList(blocks[::2]), nn.ModuleList(blocks[1::2])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W) in [0, 1] -> four layers of tokens (N, 17 + patches, 2 dim).

        The tokens are the camera's, the registers, and the patches. The first half of the channels is the output of a
        block that attends within views, the second half that of a block that attends to all views.
        """
        special = self.config.special
        patches = self.patch_embed(normalised(images))
        # The tokens before the patches. The parameters hold one set for the first view, and one for all others.
        first = torch.cat([self.camera_token, self.register_token], dim=2)[0]
        first = torch.cat([first[:1], first[1:].expand(len(images) - 1, -1, -1)])
        tokens = torch.cat([first.to(patches.dtype), patches], dim=1)
        rotation = _rotation(self.config, images, special)
        layers_read = []
        for index, (within, across) in enumerate(zip(self.frame_blocks, self.inter_frame_blocks, strict=True)):
            of_each_view = within(tokens, rotation)
            part = of_each_view[:, :special] if index in self.config.register_blocks else of_each_view
            of_all_views = across(part.flatten(0, 1)[None])[0].view_as(part)
            tokens = torch.cat([of_all_views, of_each_view[:, of_all_views.shape[1] :]], dim=1)
            if index in self.config.dense.layers:
                layers_read.append(torch.cat([of_each_view, tokens], dim=-1))
        return layers_read


class CameraHead(nn.Module):
    """Camera and register tokens of all views -> pose encodings."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(dim, eps=1e-5)
        self.trunk = nn.Sequential(*(Block(dim, heads, eps=1e-5, key_bias=False) for _ in range(4)))
        self.trunk_norm = nn.LayerNorm(dim, eps=1e-5)
        self.camera_branch = nn.Sequential(nn.Linear(dim, dim // 2), nn.GELU(), nn.Linear(dim // 2, 9))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (N, special, dim) -> pose encodings (N, 9)."""
        mixed = self.trunk(self.token_norm(tokens).flatten(0, 1)[None])[0].view_as(tokens)
        pose = self.camera_branch(self.trunk_norm(mixed[:, 0]))
        return torch.cat([pose[:, :7], pose[:, 7:].relu() + LEAST_FIELD], dim=-1)


class DepthHead(Pyramid):
    """A Pyramid at four times the patch grid. Each of its pixels predicts a square of the picture's pixels."""

    def __init__(self, config: VGGTOmegaConfig) -> None:
        super().__init__(2 * config.blocks.dim, config.dense, rectified_skip=False, finest=1)
        self.square = config.patch // 4
        self.proj = nn.Conv2d(config.dense.channels, self.square**2, 1)
        self.proj_conf = nn.Conv2d(config.dense.channels, self.square**2, 1)

    def forward(self, layers: list[Tensor], grid: tuple[int, int], aspect: float) -> Tensor:
        """Four layers' patch tokens (views, rows × columns, dim) -> (views, H, W, 2).

        The two channels are the logarithms of depth and of confidence - 1. `grid` is (rows, columns), `aspect` the
        picture's width over its height.
        """
        features = with_plane(self.fused(layers, grid, aspect), aspect)
        parts = [functional.pixel_shuffle(head(features), self.square)[:, 0] for head in (self.proj, self.proj_conf)]
        return torch.stack(parts, dim=-1)


class VGGTOmega(nn.Module):
    """The whole network."""

    def __init__(self, config: VGGTOmegaConfig = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(2 * config.blocks.dim, config.blocks.heads)
        self.dense_head = DepthHead(config)

    def forward(self, images: Tensor) -> Prediction:
        """The prediction for `images` (N, 3, H, W) in [0, 1]. H and W are multiples of 16."""
        height, width = images.shape[2:]
        grid = (height // self.config.patch, width // self.config.patch)
        layers = self.aggregator(images)
        with torch.autocast(images.device.type, enabled=False):
            tokens = layers[-1][:, : self.config.special].float()
            pose = self.camera_head(tokens)
            layers = [layer[:, self.config.special :] for layer in layers]
            maps = a_few_at_a_time(lambda some: self.dense_head(some, grid, width / height), layers)
        return Prediction(pose, maps[..., 0].exp(), 1 + maps[..., 1].exp(), tokens)


def _rotation(config: VGGTOmegaConfig, images: Tensor, special: int) -> Rotation:
    """The rotary positions of a view's tokens, of which the first `special` are no patches."""
    rows, columns = images.shape[2] // config.patch, images.shape[3] // config.patch
    return plane_rotation(rows, columns, special, config.blocks.head_dim, ROPE_BASE, images.device)


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that only training needs, or that holds constants.

    `bias_mask` is such a constant: it states that keys have no bias.
    """
    if name.endswith(("mask_token", "bias_mask", "rope_embed.periods")):
        return None
    return name.replace(".scratch.", ".")
