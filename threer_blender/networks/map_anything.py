"""[R] MapAnything: any number of views -> metric depth along rays, rays, confidence and a camera for each.

Keetha et al., "MapAnything: Universal Feed-Forward Metric 3D Reconstruction" (2025), version 1.1. It has the first 24
blocks of a DINOv2 ViT-g, and 16 more blocks whose tokens attend to all views and to their own view in turn, with one
token for the scale. Heads are DUSt3R's dense head, a small convolutional head for poses, and an MLP for the scale: the
metres of the unit in which the others predict. The branches that take known lenses, poses and depths are not used here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .layers.dense_head import a_few_at_a_time
from .layers.dpt import Dpt
from .layers.pose_encoding import inverted, matrices_from_xyzw
from .layers.sizes import TransformerSize
from .layers.vit import Block, DinoV2, PositionTable

PATCH = 14
RAY, DISTANCE, CONFIDENCE, CLEAR = slice(0, 3), 3, 4, 5  # channels of the dense head
LEAST_FORWARD = 0.1  # smallest z of a unit ray that counts as pointing forward
SHORTEST = 1e-8  # smallest divisor, and smallest unit in metres


class MapAnythingConfig(NamedTuple):
    """The published sizes.

    The dense head reads the encoder's tokens, and those after three blocks of `sharing`: `layers` are the numbers of
    these blocks, counted from 1.
    """

    encoder: TransformerSize = TransformerSize(1536, 24, 24)
    sharing: TransformerSize = TransformerSize(1536, 16, 24)
    layers: tuple[int, ...] = (8, 12, 16)
    hidden: int = 196  # of the unit's MLP
    pose_width: int = 784


PUBLISHED = MapAnythingConfig()


class Prediction(NamedTuple):
    """The output for N views.

    `rays` (N, H, W, 3) are unit vectors in the camera's frame, and `distance` (N, H, W) metres along them. `confidence`
    (N, H, W) is at least 1. `clear` (N, H, W) is the logit that a pixel shows a definite surface. `camera_from_world`
    (N, 3, 4) has OpenCV axes and metres. The world is approximately the first view's frame. `unit` () is the metres of
    one unit of the heads.
    """

    rays: Tensor
    distance: Tensor
    confidence: Tensor
    clear: Tensor
    camera_from_world: Tensor
    unit: Tensor

    @property
    def depth(self) -> Tensor:
        """(N, H, W) the depth: camera z in metres."""
        return self.rays[..., 2] * self.distance


class Sharing(nn.Module):
    """Blocks whose tokens attend to all views and to their own view in turn."""

    def __init__(self, config: MapAnythingConfig) -> None:
        super().__init__()
        self.layers = config.layers
        self.self_attention_blocks = nn.ModuleList(
            Block(config.sharing.dim, config.sharing.heads, eps=1e-6, gated=True) for _ in range(config.sharing.depth)
        )
        self.norm = nn.LayerNorm(config.sharing.dim, eps=1e-6)

    def forward(self, tokens: Tensor, extra: Tensor) -> tuple[list[Tensor], Tensor]:
        """The views' tokens (N, tokens, dim) after each of `layers`, and the `extra` token (1, dim) after all blocks.

        All are normalised. The extra token takes part only where tokens attend to all views.
        """
        # The sinusoids of position 0 mark the first view.
        mark = tokens.new_tensor([0.0, 1.0]).repeat(tokens.shape[-1] // 2)
        tokens = torch.cat([tokens[:1] + mark, tokens[1:]])
        layers_read = []
        for number, block in enumerate(self.self_attention_blocks, start=1):
            if number % 2:
                mixed = block(torch.cat([tokens.flatten(0, 1), extra])[None])[0]
                tokens, extra = mixed[:-1].view_as(tokens), mixed[-1:]
            else:
                tokens = block(tokens)
            if number in self.layers:
                layers_read.append(self.norm(tokens))
        return layers_read, self.norm(extra)


class Residual(nn.Module):
    """Three 1 × 1 convolutions with ReLUs, whose result is added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.res_conv1 = nn.Conv2d(width, width, 1)
        self.res_conv2 = nn.Conv2d(width, width, 1)
        self.res_conv3 = nn.Conv2d(width, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        change = features
        for layer in (self.res_conv1, self.res_conv2, self.res_conv3):
            change = layer(change).relu()
        return features + change


class PoseHead(nn.Module):
    """Patch tokens of views -> translation (3) and quaternion xyzw (4) of world_from_camera, after Reloc3r (2025)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(dim, width, 1)
        self.res_conv = nn.Sequential(Residual(width), Residual(width))
        self.more_mlps = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.fc_t = nn.Linear(width, 3)
        self.fc_rot = nn.Linear(width, 4)

    def forward(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """(N, rows × columns, dim) -> (N, 7)."""
        features = self.res_conv(self.proj(patches.transpose(1, 2).unflatten(2, grid))).mean(dim=(2, 3))
        features = self.more_mlps(features)
        return torch.cat([self.fc_t(features), self.fc_rot(features)], dim=1)


class UnitHead(nn.Module):
    """The unit's token -> the logarithm of the unit in metres."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim, hidden)
        self.mlp = nn.Sequential(*(nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()) for _ in range(2)))
        self.output_proj = nn.Linear(hidden, 1)

    def forward(self, token: Tensor) -> Tensor:
        """(1, dim) -> ()."""
        logarithm: Tensor = self.output_proj(self.mlp(self.proj(token)))
        return logarithm[0, 0]


class MapAnything(nn.Module):
    """The whole network, for pictures without known lenses, poses or depths."""

    def __init__(self, config: MapAnythingConfig = PUBLISHED) -> None:
        super().__init__()
        dim = config.encoder.dim
        self.encoder = DinoV2(*config.encoder, PositionTable(), gated=True, normed=False)
        self.fusion_norm_layer = nn.LayerNorm(dim, eps=1e-6)
        self.scale_token = nn.Parameter(torch.empty(dim))
        self.info_sharing = Sharing(config)
        self.dense_head = Dpt(4 * (dim,), 6, PATCH)
        self.pose_head = PoseHead(dim, config.pose_width)
        self.scale_head = UnitHead(dim, config.hidden)

    def forward(self, images: Tensor) -> Prediction:
        """The prediction for `images` (N, 3, H, W), normalised by `vit.normalised`. H and W are multiples of 14."""
        grid = (images.shape[2] // PATCH, images.shape[3] // PATCH)
        encoded = self.encoder(images)
        with torch.autocast(images.device.type, enabled=False):
            patches = self.fusion_norm_layer(encoded[:, 1:].float())
        tokens = torch.cat([encoded[:, :1].float(), patches], dim=1)
        layers_read, extra = self.info_sharing(tokens, self.scale_token[None])
        with torch.autocast(images.device.type, enabled=False):
            layers = [patches, *(layer[:, 1:].float() for layer in layers_read)]
            maps = a_few_at_a_time(lambda some: self._dense(some, grid), layers)
            pose = self.pose_head(layers[-1], grid)
            unit = self.scale_head(extra.float()).exp().clamp(min=SHORTEST)
            world_from_camera = torch.cat([matrices_from_xyzw(pose[:, 3:]), unit * pose[:, :3, None]], dim=2)
            camera_from_world = inverted(world_from_camera)
        rays = maps[..., RAY] / maps[..., RAY].norm(dim=-1, keepdim=True).clamp(min=SHORTEST)
        return Prediction(
            rays,
            unit * maps[..., DISTANCE].exp(),
            1 + maps[..., CONFIDENCE].exp(),
            maps[..., CLEAR],
            camera_from_world,
            unit,
        )

    def _dense(self, layers: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
        """(views, H, W, 6) the dense head's output, whose channels are RAY, DISTANCE, CONFIDENCE and CLEAR."""
        maps: Tensor = self.dense_head(layers, grid)
        return maps.permute(0, 2, 3, 1)


def pinhole(rays: Tensor) -> Tensor:
    """K (N, 3, 3) of the pinhole cameras nearest to `rays` (N, H, W, 3), in pixels with the first centre at (0.5, 0.5).

    Along each axis it is the least-squares line of pixel positions over the slopes of the rays. Rays that do not point
    forward (LEAST_FORWARD) are ignored.
    """
    count, height, width, _ = rays.shape
    forward = (rays[..., 2:] > LEAST_FORWARD).float()
    slopes = torch.where(forward > 0, rays[..., :2] / rays[..., 2:], 0)
    x, y = (torch.arange(side, device=rays.device) + 0.5 for side in (width, height))
    places = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).expand(count, -1, -1, -1)
    total = forward.sum(dim=(1, 2)).clamp(min=1)
    mean_slope, mean_place = ((forward * part).sum(dim=(1, 2)) / total for part in (slopes, places))
    off = forward * (slopes - mean_slope[:, None, None])
    covariance = (off * (places - mean_place[:, None, None])).sum(dim=(1, 2))
    focal = covariance / (off**2).sum(dim=(1, 2)).clamp(min=SHORTEST)
    matrix = torch.diag_embed(torch.cat([focal, torch.ones_like(focal[:, :1])], dim=1))
    matrix[:, :2, 2] = mean_place - focal * mean_slope
    return matrix


# Beginnings of the names of tensors that are not used: branches for known rays, depths and poses, and a constant.
UNUSED = (
    "ray_dirs_encoder.", "depth_encoder.", "depth_scale_encoder.", "cam_rot_encoder.", "cam_trans_encoder.",
    "cam_trans_scale_encoder.", "info_sharing.view_pos_table",
)  # fmt: skip
RENAMED = (
    ("encoder.model.", "encoder."),
    ("dense_head.0.", "dense_head."),
    ("dense_head.1.conv1.", "dense_head.head.0."),
    ("dense_head.1.conv2.0.", "dense_head.head.2."),
    ("dense_head.1.conv2.2.", "dense_head.head.4."),
)
LEVEL = re.compile(r"dense_head\.0\.input_process\.(\d)\.(\d)\.(.+)")


def rename(name: str) -> str | None:
    """The network's name of a published tensor; None for one that is not used here."""
    if name.startswith(UNUSED):
        return None
    if level := LEVEL.fullmatch(name):
        number, step, rest = level.groups()
        if step == "0":
            return f"dense_head.act_postprocess.{number}.{rest}"
        return f"dense_head.scratch.layer{int(number) + 1}_rn.{rest}"
    for old, new in RENAMED:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
