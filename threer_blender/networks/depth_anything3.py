"""[R] Depth Anything 3: any number of views -> depth, confidence and a camera for each.

Lin et al., "Depth Anything 3: Recovering the Visual Space from Any Views" (2025). The backbone is a DINOv2 whose later
blocks attend to one view and to all views in turn. A dense head predicts depth, and an MLP cameras. The branches that
take known cameras and that predict rays are not used here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .layers.dense_head import DenseHead, a_few_at_a_time
from .layers.pose_encoding import camera_matrices, inverted
from .layers.sizes import DenseHeadSize, TransformerSize
from .layers.vit import Block, PatchEmbed, PositionTable, axial_rotation, grid_positions

PATCH = 14


class DepthAnything3Config(NamedTuple):
    """The published sizes of DA3-BASE. `alternating` is the index of the first block that may attend to all views."""

    blocks: TransformerSize = TransformerSize(768, 12, 12)
    alternating: int = 4
    dense: DenseHeadSize = DenseHeadSize((5, 7, 9, 11), (96, 192, 384, 768), 128)


PUBLISHED = DepthAnything3Config()


class Prediction(NamedTuple):
    """The output for N views.

    `depth` (N, H, W) is camera z. `confidence` (N, H, W) is at least 1. `camera_from_world` (N, 3, 4) has OpenCV axes;
    the world is the network's own, with an arbitrary unit. `intrinsics` (N, 3, 3) are in pixels of the input.
    """

    depth: Tensor
    confidence: Tensor
    camera_from_world: Tensor
    intrinsics: Tensor


class Backbone(nn.Module):
    """DINOv2 without registers. From block `alternating` on, blocks with odd indices attend to all views."""

    def __init__(self, config: DepthAnything3Config) -> None:
        super().__init__()
        self.config = config
        dim = config.blocks.dim
        self.positions = PositionTable()
        self.cls_token = nn.Parameter(torch.empty(1, 1, dim))
        self.camera_token = nn.Parameter(torch.empty(1, 2, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.positions.side**2, dim))
        self.patch_embed = PatchEmbed(PATCH, dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.blocks.heads, eps=1e-6, qk_norm=1e-5 if index >= config.alternating else None)
            for index in range(config.blocks.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-5)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Normalised pictures (N, 3, H, W) -> four layers' patch tokens (N, patches, 2 dim), camera tokens (N, 2 dim).

        The first half of the channels comes from the last block that attends within views. The second half comes from
        the last block of all; for patches, it is normalised.
        """
        rows, columns = images.shape[2] // PATCH, images.shape[3] // PATCH
        patches = self.patch_embed(images)
        tokens = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], dim=1)
        tokens = tokens + self.positions.resized(self.pos_embed, rows, columns)
        width = self.config.blocks.head_dim
        places = grid_positions(rows, columns, 1, images.device)
        within, across = axial_rotation(places, width), axial_rotation(places.clamp(max=1), width)

        order = torch.arange(len(images), device=images.device)
        of_each_view, layers_read = tokens, []
        for index, block in enumerate(self.blocks):
            alternating = index >= self.config.alternating
            if index == self.config.alternating - 1:
                order = reference_first(tokens)
                tokens = tokens[order]
            if index == self.config.alternating:
                first, others = self.camera_token.unbind(1)
                cameras = torch.cat([first, others.expand(len(tokens) - 1, -1)])
                tokens = torch.cat([cameras[:, None].to(tokens.dtype), tokens[:, 1:]], dim=1)
            if alternating and index % 2 == 1:
                tokens = block(tokens.flatten(0, 1)[None], across)[0].view_as(tokens)
            else:
                tokens = of_each_view = block(tokens, within if alternating else None)
            if index in self.config.dense.layers:
                layers_read.append(torch.cat([of_each_view, self.norm(tokens)], dim=-1)[order.argsort(), 1:])
        return layers_read, torch.cat([of_each_view[:, 0], tokens[:, 0]], dim=-1)[order.argsort()]


class CameraDecoder(nn.Module):
    """Camera tokens (N, dim) -> (N, 9): translation and quaternion xyzw of world_from_camera, and fields of view.

    `pose_encoding.camera_matrices` decodes them.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim), nn.ReLU())
        self.fc_t = nn.Linear(dim, 3)
        self.fc_qvec = nn.Linear(dim, 4)
        self.fc_fov = nn.Sequential(nn.Linear(dim, 2), nn.ReLU())

    def forward(self, tokens: Tensor) -> Tensor:
        features = self.backbone(tokens)
        return torch.cat([self.fc_t(features), self.fc_qvec(features), self.fc_fov(features)], dim=-1)


class DepthAnything3(nn.Module):
    """The whole network."""

    def __init__(self, config: DepthAnything3Config = PUBLISHED) -> None:
        super().__init__()
        self.backbone = Backbone(config)
        self.head = DenseHead(2 * config.blocks.dim, config.dense, outputs=2, rectified_skip=False)
        self.cam_dec = CameraDecoder(2 * config.blocks.dim)

    def forward(self, images: Tensor) -> Prediction:
        """The prediction for `images` (N, 3, H, W), normalised by `vit.normalised`. H and W are multiples of 14."""
        height, width = images.shape[2:]
        grid = (height // PATCH, width // PATCH)
        layers, cameras = self.backbone(images)
        with torch.autocast(images.device.type, enabled=False):
            maps = a_few_at_a_time(lambda some: self.head(some, grid, (height, width)), layers)
            pose = self.cam_dec(cameras.float())
            world_from_camera, intrinsics = camera_matrices(pose, height, width)
            camera_from_world = inverted(world_from_camera)
        return Prediction(maps[..., 0].exp(), 1 + maps[..., 1].exp(), camera_from_world, intrinsics)


def reference_first(tokens: Tensor) -> Tensor:
    """(N,) the order of the views with the reference view first. Fewer than three views stay in order.

    `tokens` is (N, tokens, dim), with each view's class token first. The reference is the view whose class token is the
    least extreme in three measures: its similarity to those of the other views, its length and its variance, each
    scaled to [0, 1] (the released code's "saddle balanced" choice).
    """
    count = len(tokens)
    if count < 3:
        return torch.arange(count, device=tokens.device)
    classes = tokens[:, 0].float()
    directions = functional.normalize(classes, dim=-1)
    similarity = (directions @ directions.T).sum(dim=-1) - 1
    measures = torch.stack([similarity / (count - 1), classes.norm(dim=-1), directions.var(dim=-1)])
    low, high = measures.amin(dim=1, keepdim=True), measures.amax(dim=1, keepdim=True)
    reference = ((measures - low) / (high - low + 1e-8) - 0.5).abs().sum(dim=0).argmin()
    others = torch.arange(count, device=tokens.device)
    return torch.cat([reference[None], others[others != reference]])


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that is not used here."""
    if name.startswith("model."):
        name = name.removeprefix("model.")
    if name.startswith("cam_enc.") or "_aux." in name:
        return None
    return name.replace("backbone.pretrained.", "backbone.").replace(".scratch.", ".")
