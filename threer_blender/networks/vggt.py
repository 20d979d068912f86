"""[R] VGGT: any number of views -> cameras, depth, points in the first view's frame, and tracks of chosen points.

Wang et al., "VGGT: Visual Geometry Grounded Transformer" (2025). Blocks attend to one view and to all views in turn.
Heads for cameras, depth, points and tracks read four layers of their tokens; no other layer is kept in memory. Both
released checkpoints have this layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers.dense_head import DenseHead, Pyramid, a_few_at_a_time, enlarged
from .layers.sizes import DenseHeadSize, TransformerSize
from .layers.tracker import Tracker, Tracks
from .layers.transformer import Mlp
from .layers.vit import Block, DinoV2, PositionTable, axial_rotation, grid_positions, normalised

PATCH = 14
REGISTERS = 4
TRACKED_CHANNELS = 128  # of the features by which points are tracked
# The released aggregator resizes its encoder's positions bicubically with antialiasing, to the exact size.
POSITIONS = PositionTable(antialias=True, offset=0.0)


class VGGTConfig(NamedTuple):
    """The published sizes."""

    blocks: TransformerSize = TransformerSize(1024, 24, 16)
    dense: DenseHeadSize = DenseHeadSize((4, 11, 17, 23), (256, 512, 1024, 1024), 256)


PUBLISHED = VGGTConfig()


class Prediction(NamedTuple):
    """The output for N views.

    `pose` (N, 9) encodes camera_from_world, where the world is the first view's frame, as `pose_encoding` describes.
    `depth` (N, H, W) is camera z. `points` (N, H, W, 3) are in the world's frame. Confidences (N, H, W) are at least 1.
    Points and tracks are None unless they were asked for.
    """

    pose: Tensor
    depth: Tensor
    depth_confidence: Tensor
    points: Tensor | None
    points_confidence: Tensor | None
    tracks: Tracks | None


class Aggregator(nn.Module):
    """The encoder of single views, and the blocks that attend to one view and to all views in turn."""

    def __init__(self, config: VGGTConfig) -> None:
        super().__init__()
        self.config = config
        dim, heads = config.blocks.dim, config.blocks.heads
        self.camera_token = nn.Parameter(torch.empty(1, 2, 1, dim))
        self.register_token = nn.Parameter(torch.empty(1, 2, REGISTERS, dim))
        self.patch_embed = DinoV2(dim, config.blocks.depth, heads, POSITIONS, REGISTERS)
        blocks = [Block(dim, heads, eps=1e-5, qk_norm=1e-5) for _ in range(2 * config.blocks.depth)]
        self.frame_blocks, self.global_blocks = nn.ModuleList(blocks[::2]), nn.ModuleList(blocks[1::2])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Pictures (N, 3, H, W) in [0, 1] -> four layers of tokens (N, 5 + patches, 2 dim).

        The tokens are the camera's, the registers, and the patches. The first half of the channels is the output of a
        block that attends within views, the second half that of a block that attends to all views.
        """
        patches = self.patch_embed(normalised(images))[:, 1 + REGISTERS :]
        # The parameters hold two sets of tokens: the first view's, and one that all other views share.
        special = torch.cat([self.camera_token, self.register_token], dim=2)[0]
        special = torch.cat([special[:1], special[1:].expand(len(images) - 1, -1, -1)])
        tokens = torch.cat([special.to(patches.dtype), patches], dim=1)
        places = grid_positions(images.shape[2] // PATCH, images.shape[3] // PATCH, 1 + REGISTERS, images.device)
        rotation = axial_rotation(places, self.config.blocks.head_dim)
        layers_read = []
        for index, (within, across) in enumerate(zip(self.frame_blocks, self.global_blocks, strict=True)):
            of_each_view = within(tokens, rotation)
            tokens = across(of_each_view.flatten(0, 1)[None], rotation)[0].view_as(of_each_view)
            if index in self.config.dense.layers:
                layers_read.append(torch.cat([of_each_view, tokens], dim=-1))
        return layers_read


class CameraHead(nn.Module):
    """Camera tokens -> pose encodings, improved in four rounds.

    Each round's features are modulated by the pose of the round before (adaptive layer norm, Peebles and Xie, 2023).
    """

    ROUNDS = 4

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.empty_pose_tokens = nn.Parameter(torch.empty(1, 1, 9))
        self.token_norm = nn.LayerNorm(dim)
        self.embed_pose = nn.Linear(9, dim)
        self.poseLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(dim, 3 * dim))
        self.trunk = nn.Sequential(*(Block(dim, heads, eps=1e-5) for _ in range(4)))
        self.trunk_norm = nn.LayerNorm(dim)
        self.pose_branch = Mlp(dim, dim // 2, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        """Camera tokens (N, dim) of all views -> pose encodings (N, 9)."""
        tokens = self.token_norm(tokens)
        plain = functional.layer_norm(tokens, tokens.shape[-1:], eps=1e-6)
        pose = torch.zeros_like(self.empty_pose_tokens[0]).expand(len(tokens), -1)
        for number in range(self.ROUNDS):
            previous = pose if number else self.empty_pose_tokens[0].expand(len(tokens), -1)
            shift, scale, gate = self.poseLN_modulation(self.embed_pose(previous)).chunk(3, dim=-1)
            modulated = tokens + gate * (plain * (1 + scale) + shift)
            pose = pose + self.pose_branch(self.trunk_norm(self.trunk(modulated[None])[0]))
        return torch.cat([pose[:, :7], pose[:, 7:].relu()], dim=-1)


class FeatureHead(Pyramid):
    """Features for tracking, at half the picture's size."""

    def __init__(self, dim: int, size: DenseHeadSize) -> None:
        super().__init__(dim, size, rectified_skip=True, plane=False)
        self.output_conv1 = nn.Conv2d(size.channels, size.channels, 3, padding=1)

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """Four layers' patch tokens (views, rows × columns, dim) -> (views, channels, H / 2, W / 2)."""
        size = (grid[0] * PATCH // 2, grid[1] * PATCH // 2)
        return enlarged(self.output_conv1(self.fused(layers, grid, aspect=1.0)), size)


class TrackHead(nn.Module):
    """Finds the first view's points in the others."""

    def __init__(self, dim: int, size: DenseHeadSize) -> None:
        super().__init__()
        self.feature_extractor = FeatureHead(dim, size)
        self.tracker = Tracker(size.channels)

    def forward(self, layers: Sequence[Tensor], grid: tuple[int, int], queries: Tensor) -> Tracks:
        """Tracks of the points `queries` (M, 2), pixels of the first view with the first pixel's centre at 0.

        `layers` are four layers' patch tokens (views, rows × columns, dim).
        """
        features = a_few_at_a_time(lambda some: self.feature_extractor(some, grid), layers)
        tracks: Tracks = self.tracker(features, queries / 2)
        return tracks._replace(pixels=2 * tracks.pixels)


class VGGT(nn.Module):
    """The whole network."""

    def __init__(self, config: VGGTConfig = PUBLISHED) -> None:
        super().__init__()
        dim, heads = 2 * config.blocks.dim, config.blocks.heads
        self.aggregator = Aggregator(config)
        self.camera_head = CameraHead(dim, heads)
        self.depth_head = DenseHead(dim, config.dense, outputs=2, rectified_skip=True)
        self.point_head = DenseHead(dim, config.dense, outputs=4, rectified_skip=True)
        self.track_head = TrackHead(dim, config.dense._replace(channels=TRACKED_CHANNELS))

    def forward(self, images: Tensor, queries: Tensor | None = None, with_points: bool = False) -> Prediction:
        """The prediction for `images` (N, 3, H, W) in [0, 1]. H and W are multiples of 14.

        `queries` (M, 2) are pixels of the first view to track. `with_points` runs the point head, too, though points
        from depth and cameras are better than its.
        """
        size = (images.shape[2], images.shape[3])
        grid = (size[0] // PATCH, size[1] // PATCH)
        layers = self.aggregator(images)
        with torch.autocast(images.device.type, enabled=False):
            pose = self.camera_head(layers[-1][:, 0].float())
            layers = [layer[:, 1 + REGISTERS :] for layer in layers]
            depth = a_few_at_a_time(lambda some: self.depth_head(some, grid, size), layers)
            points, points_confidence = self._points(layers, grid, size) if with_points else (None, None)
            tracks = None if queries is None else self.track_head(layers, grid, queries)
        return Prediction(pose, depth[..., 0].exp(), 1 + depth[..., 1].exp(), points, points_confidence, tracks)

    def _points(self, layers: Sequence[Tensor], grid: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The point head's points (N, H, W, 3) and their confidences (N, H, W). `size` is (H, W)."""
        raw = a_few_at_a_time(lambda some: self.point_head(some, grid, size), layers)
        logarithmic = raw[..., :3]
        return logarithmic.sign() * logarithmic.abs().expm1(), 1 + raw[..., 3].exp()


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that only training needs."""
    return None if name.endswith("mask_token") else name.replace(".scratch.", ".")
