"""[R] Pi3: any number of views, none of which is the reference -> points in each view's own frame, and cameras.

Wang et al., "π³: Permutation-Equivariant Visual Geometry Learning" (2025). Published weights: CC BY-NC 4.0. Blocks
attend to one view and to all views in turn. Three small transformers read the last two blocks' tokens: for points, for
confidences and for cameras. Modules are named as in the published checkpoint.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .dust3r import unpatched
from .layers.sizes import TransformerSize
from .layers.vit import Block, DinoV2, PositionTable, Rotation, axial_rotation, grid_positions, normalised

PATCH = 14
ENCODER_REGISTERS = 4
REGISTERS = 5  # tokens of each view beside its patches
HEAD_BLOCKS = 5  # of each small transformer
CAMERA_CHANNELS = 512
# The position table is resized bicubically with antialiasing, to the exact size.
POSITIONS = PositionTable(antialias=True, offset=0.0)


class Pi3Config(NamedTuple):
    """The published sizes. `blocks` attend to one view and to all views in turn, so their number is even."""

    encoder: TransformerSize = TransformerSize(1024, 24, 16)
    blocks: TransformerSize = TransformerSize(1024, 36, 16)


PUBLISHED = Pi3Config()


class Prediction(NamedTuple):
    """The output for N views, in an arbitrary unit.

    `points` (N, H, W, 3) are in each view's own camera frame. `confidence` (N, H, W) is a logit: its sigmoid is the
    probability that the point is right. `world_from_camera` (N, 4, 4); the world is no view's frame.
    """

    points: Tensor
    confidence: Tensor
    world_from_camera: Tensor


class SmallTransformer(nn.Module):
    """Tokens (N, T, 2 width) -> (N, T, channels). Tokens attend within their view."""

    def __init__(self, size: TransformerSize, channels: int) -> None:
        super().__init__()
        self.projects = nn.Linear(2 * size.dim, size.dim)
        self.blocks = nn.ModuleList(Block(size.dim, size.heads, eps=1e-6, scaled=False) for _ in range(HEAD_BLOCKS))
        self.linear_out = nn.Linear(size.dim, channels)

    def forward(self, tokens: Tensor, rotation: Rotation) -> Tensor:
        tokens = self.projects(tokens)
        for block in self.blocks:
            tokens = block(tokens, rotation)
        out: Tensor = self.linear_out(tokens)
        return out


class Residual(nn.Module):
    """Three linear layers with ReLU, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.res_conv1 = nn.Linear(width, width)
        self.res_conv2 = nn.Linear(width, width)
        self.res_conv3 = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        change = functional.relu(self.res_conv1(tokens))
        return tokens + functional.relu(self.res_conv3(functional.relu(self.res_conv2(change))))


class CameraHead(nn.Module):
    """A view's patch tokens -> its camera."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.res_conv = nn.ModuleList(Residual(width) for _ in range(2))
        self.more_mlps = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.fc_t = nn.Linear(width, 3)
        self.fc_rot = nn.Linear(width, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        """Patch tokens (N, P, width) -> world_from_camera (N, 4, 4)."""
        for residual in self.res_conv:
            tokens = residual(tokens)
        features = self.more_mlps(tokens.mean(dim=1))
        pose = torch.eye(4, device=tokens.device).repeat(len(tokens), 1, 1)
        rows = functional.normalize(self.fc_rot(features).unflatten(-1, (3, 3)), dim=-1)
        pose[:, :3, :3] = nearest_rotations(rows)
        pose[:, :3, 3] = self.fc_t(features)
        return pose


class Head(nn.Module):
    """Patch tokens (N, P, width) on a grid -> pictures (N, channels, H, W)."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, channels * PATCH**2)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return unpatched(self.proj(tokens), grid, PATCH)


class Pi3(nn.Module):
    """The whole network."""

    def __init__(self, config: Pi3Config = PUBLISHED) -> None:
        super().__init__()
        self.config = config
        width, depth, heads = config.blocks
        self.encoder = DinoV2(*config.encoder, POSITIONS, ENCODER_REGISTERS)
        self.register_token = nn.Parameter(torch.empty(1, 1, REGISTERS, width))
        self.decoder = nn.ModuleList(Block(width, heads, eps=1e-6, qk_norm=1e-5) for _ in range(depth))
        self.point_decoder = SmallTransformer(config.blocks, width)
        self.conf_decoder = SmallTransformer(config.blocks, width)
        self.camera_decoder = SmallTransformer(config.blocks, CAMERA_CHANNELS)
        self.point_head = Head(width, 3)
        self.conf_head = Head(width, 1)
        self.camera_head = CameraHead(CAMERA_CHANNELS)

    def forward(self, images: Tensor) -> Prediction:
        """The prediction for `images` (N, 3, H, W) in [0, 1]. H and W are multiples of 14."""
        grid = (images.shape[2] // PATCH, images.shape[3] // PATCH)
        places = grid_positions(*grid, REGISTERS, images.device)
        rotation = axial_rotation(places, self.config.blocks.head_dim)
        tokens = self._tokens(images, rotation)
        with torch.autocast(images.device.type, enabled=False):
            tokens = tokens.float()
            x, y, logarithm = self.point_head(self.point_decoder(tokens, rotation)[:, REGISTERS:], grid).unbind(1)
            depth = logarithm.exp()
            points = torch.stack([x * depth, y * depth, depth], dim=-1)
            confidence = self.conf_head(self.conf_decoder(tokens, rotation)[:, REGISTERS:], grid)[:, 0]
            cameras = self.camera_head(self.camera_decoder(tokens, rotation)[:, REGISTERS:])
        return Prediction(points, confidence, cameras)

    def _tokens(self, images: Tensor, rotation: Rotation) -> Tensor:
        """(N, registers + patches, 2 width) the outputs of the last block within views and the last across views."""
        patches = self.encoder(normalised(images))[:, 1 + ENCODER_REGISTERS :]
        registers = self.register_token[0].expand(len(images), -1, -1)
        tokens = torch.cat([registers.to(patches.dtype), patches], dim=1)
        of_each_view = tokens
        for within, across in zip(self.decoder[::2], self.decoder[1::2], strict=True):
            of_each_view = within(tokens, rotation)
            tokens = across(of_each_view.flatten(0, 1)[None], rotation)[0].view_as(of_each_view)
        return torch.cat([of_each_view, tokens], dim=-1)


def nearest_rotations(matrices: Tensor) -> Tensor:
    """The rotations (N, 3, 3) nearest to `matrices` (N, 3, 3) (orthogonal Procrustes)."""
    left, _, right = torch.linalg.svd(matrices)
    last = torch.det(left @ right)[:, None, None]
    return torch.cat([left[:, :, :2], left[:, :, 2:] * last], dim=2) @ right


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that is a constant here."""
    return None if name in ("image_mean", "image_std") else name
