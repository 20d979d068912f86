"""[R] Depth Anything 3: any number of views -> depth, confidence and a camera for each.

Lin et al., "Depth Anything 3: Recovering the Visual Space from Any Views" (2025). A DINOv2 whose later blocks look at
one view and at all views in turn; a dense head for depth, an MLP for cameras. The branches that take known cameras and
that predict rays are not used here.
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
    """The published sizes of DA3-BASE. `alternating` is the first block that may look at all views."""

    blocks: TransformerSize = TransformerSize(768, 12, 12)
    alternating: int = 4
    dense: DenseHeadSize = DenseHeadSize((5, 7, 9, 11), (96, 192, 384, 768), 128)


PUBLISHED = DepthAnything3Config()


class Prediction(NamedTuple):
    """Of each of N views: `depth` and `confidence` (at least 1) (N, H, W), `camera_from_world` (N, 3, 4) OpenCV,
    `intrinsics` (N, 3, 3) in pixels of the input. The world's unit is the network's own."""

    depth: Tensor
    confidence: Tensor
    camera_from_world: Tensor
    intrinsics: Tensor


class Backbone(nn.Module):
    """DINOv2 without registers; from block `alternating` on, odd blocks attend over all views."""

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

        One half is what a view's own attention left, the other, normalised for patches, what attention over all left.
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
    """A view's camera token -> translation (3), quaternion xyzw (4) and field of view (2) of world_from_camera."""

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
        """`images` (N, 3, H, W) with ImageNet's mean and deviation taken out; H and W multiples of 14."""
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
    """Order of the views (N,) with the reference first: the least extreme in three ways that its class token is.

    These are its likeness to the other views, its length and its spread, each over its range (the released "saddle
    balanced" choice). Fewer than three views stay in order. `tokens` (N, tokens, dim) has the class token first.
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
    """The module's name of a tensor in the published checkpoint, None for one that is not used here."""
    if name.startswith("model."):
        name = name.removeprefix("model.")
    if name.startswith("cam_enc.") or "_aux." in name:
        return None
    return name.replace("backbone.pretrained.", "backbone.").replace(".scratch.", ".")
