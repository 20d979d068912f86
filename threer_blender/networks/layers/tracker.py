"""[R] The point tracker of VGGT: features of all views, and points of the first view -> those points in every view.

After Karaev et al., "CoTracker" (2024), as in Wang et al., "VGGSfM" (2024). Each point has a place in each view, which
several rounds correct. A round correlates the point's feature with the view's features around that place. A transformer
combines these correlations across views and, through virtual tracks, across points. It predicts a change of the places.
Modules are named as in the published checkpoint ("virual_tracks" included).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .transformer import Mlp
from .vit import sine_cosine

ROUNDS = 4
LEVELS, RADIUS = 7, 4  # levels of the pyramid of features; radius of the correlated window, in pixels of each level
HIDDEN, HEADS, DEPTH, VIRTUAL = 384, 8, 6, 64  # the transformer's width, heads, blocks and virtual tracks
# A point's flow is its place in a view, less its place in the first view. The transformer gets flows divided by this.
LONGEST_SIDE = 518.0


class Tracks(NamedTuple):
    """M points in N views.

    `pixels` (N, M, 2) are x and y, with the first pixel's centre at 0. `visibility` and `confidence` (N, M) are in
    [0, 1].
    """

    pixels: Tensor
    visibility: Tensor
    confidence: Tensor


class SelfBlock(nn.Module):
    """Attention of tokens (B, T, HIDDEN) to each other.

    Unlike in a vision transformer, the residual starts from the normalised tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(HIDDEN), nn.LayerNorm(HIDDEN)
        self.attn = nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True)
        self.mlp = Mlp(HIDDEN, 4 * HIDDEN, HIDDEN)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm1(tokens)
        tokens = tokens + self.attn(tokens, tokens, tokens, need_weights=False)[0]
        return tokens + self.mlp(self.norm2(tokens))


class CrossBlock(nn.Module):
    """Attention of tokens (B, T, HIDDEN) to a context (B, S, HIDDEN)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm_context, self.norm2 = (nn.LayerNorm(HIDDEN) for _ in range(3))
        self.cross_attn = nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True)
        self.mlp = Mlp(HIDDEN, 4 * HIDDEN, HIDDEN)

    def forward(self, tokens: Tensor, context: Tensor) -> Tensor:
        tokens, context = self.norm1(tokens), self.norm_context(context)
        tokens = tokens + self.cross_attn(tokens, context, context, need_weights=False)[0]
        return tokens + self.mlp(self.norm2(tokens))


class UpdateFormer(nn.Module):
    """The transformer: the state of each point in each view -> the change of its place and its feature."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.virual_tracks = nn.Parameter(torch.empty(1, VIRTUAL, 1, HIDDEN))
        self.input_norm = nn.LayerNorm(inputs)
        self.input_transform = nn.Linear(inputs, HIDDEN)
        self.time_blocks = nn.ModuleList(SelfBlock() for _ in range(DEPTH))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock() for _ in range(DEPTH))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock() for _ in range(DEPTH))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock() for _ in range(DEPTH))
        self.output_norm = nn.LayerNorm(HIDDEN)
        self.flow_head = nn.Linear(HIDDEN, outputs)

    def forward(self, states: Tensor) -> Tensor:
        """The states (M, N, inputs) of M points in N views -> the changes (M, N, outputs): x, y, then the feature."""
        start = self.input_transform(self.input_norm(states))
        count, views = start.shape[:2]
        tokens = torch.cat([start, self.virual_tracks[0].expand(-1, views, -1)])
        # The published names of cross blocks begin with the tokens that attend: in "point2virtual", points are changed.
        for block, virtual_block, from_virtual, to_virtual in zip(
            self.time_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
            self.space_virtual2point_blocks,
            strict=True,
        ):
            points, virtual = block(tokens).transpose(0, 1).tensor_split([count], dim=1)
            virtual = virtual_block(to_virtual(virtual, points))
            points = from_virtual(points, virtual)
            tokens = torch.cat([points, virtual], dim=1).transpose(0, 1)
        change: Tensor = self.flow_head(self.output_norm(tokens[:count] + start))
        return change


class Tracker(nn.Module):
    """The whole tracker."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        inputs = 3 * channels + 4
        self.query_ref_token = nn.Parameter(torch.empty(1, 2, inputs))
        self.corr_mlp = Mlp(LEVELS * (2 * RADIUS + 1) ** 2, HIDDEN, channels)
        self.updateformer = UpdateFormer(inputs, channels + 2)
        self.fmap_norm = nn.LayerNorm(channels)
        self.ffeat_norm = nn.GroupNorm(1, channels)
        self.ffeat_updater = nn.Sequential(nn.Linear(channels, channels), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(channels, 1))
        self.conf_predictor = nn.Sequential(nn.Linear(channels, 1))

    def forward(self, features: Tensor, queries: Tensor) -> Tracks:
        """Tracks the points `queries` (M, 2) of the first view through the features (N, channels, h, w) of all views.

        Queries and Tracks are in pixels of the features, the first pixel's centre at 0.
        """
        features = self.fmap_norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        count, (height, width) = len(features), features.shape[2:]
        pyramid = [features]
        for _ in range(LEVELS - 1):
            pyramid.append(functional.avg_pool2d(pyramid[-1], 2))
        waves = _plane_waves(self.query_ref_token.shape[2], height, width, queries)
        marks = torch.cat([self.query_ref_token[0, :1], self.query_ref_token[0, 1:].expand(count - 1, -1)])
        # The waves at the queries encode where in the first view a point lies; marks (N, inputs) mark the first view.
        context = _sampled(waves, queries[None], "border")[0][:, None] + marks

        places = queries.expand(count, -1, -1)
        feature = _sampled(features[:1], queries[None], "border").expand(count, -1, -1)
        for _ in range(ROUNDS):
            flows = places - places[:1]
            shares = flows / LONGEST_SIDE
            correlation = self.corr_mlp(_correlations(pyramid, feature, places))
            # As published, the shares go in twice.
            states = torch.cat([_flow_waves(flows, self.channels // 2), shares, shares, correlation, feature], dim=-1)
            change = self.updateformer(states.transpose(0, 1) + context).transpose(0, 1)
            feature = feature + self.ffeat_updater(self.ffeat_norm(change[..., 2:].flatten(0, 1)).view_as(feature))
            places = torch.cat([queries[None], (places + change[..., :2])[1:]])
        scores = (predictor(feature)[..., 0].sigmoid() for predictor in (self.vis_predictor, self.conf_predictor))
        return Tracks(places, *scores)


def _sampled(features: Tensor, places: Tensor, beyond: str) -> Tensor:
    """(N, M, C): `features` (N, C, h, w), interpolated bilinearly at `places` (N, M, 2), in pixels of the features.

    `beyond` is the padding mode of `grid_sample`.
    """
    size = places.new_tensor([max(side - 1, 1) for side in (features.shape[3], features.shape[2])])
    grid = (places * (2 / size) - 1)[:, :, None]
    return functional.grid_sample(features, grid, padding_mode=beyond, align_corners=True)[..., 0].transpose(1, 2)


def _correlations(pyramid: list[Tensor], feature: Tensor, places: Tensor) -> Tensor:
    """(N, M, levels × window): the correlations of each `feature` (N, M, C) with the windows around its place.

    `places` (N, M, 2) are in pixels of the finest level. There is a window on each level of the pyramid. The published
    code correlates with the whole picture and interpolates the result. Here features are interpolated first. That gives
    the same, since interpolation is linear, and takes far less memory.
    """
    reach = torch.arange(-RADIUS, RADIUS + 1, device=feature.device, dtype=feature.dtype)
    # The window is stored with x outermost.
    window = torch.stack(torch.meshgrid(reach, reach, indexing="ij"), dim=-1).flatten(0, 1)
    correlations = []
    for level, features in enumerate(pyramid):
        around = places[:, :, None] / 2**level + window
        near = _sampled(features, around.flatten(1, 2), "zeros").unflatten(1, around.shape[1:3])
        correlations.append(torch.einsum("nmwc,nmc->nmw", near, feature) / feature.shape[-1] ** 0.5)
    return torch.cat(correlations, dim=-1)


def _flow_waves(flows: Tensor, dim: int) -> Tensor:
    """Flows (N, M, 2) -> (N, M, 2 dim): sines and cosines of x, then of y, at evenly spaced frequencies.

    For each frequency the sine comes first, then the cosine.
    """
    frequencies = torch.arange(0, dim, 2, device=flows.device, dtype=torch.float32) * (1000 / dim)
    angles = flows[..., None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(2)


def _plane_waves(dim: int, height: int, width: int, like: Tensor) -> Tensor:
    """(1, dim, height, width): sines and cosines of the pixels' coordinates, on the device of `like`.

    The first half of the channels holds those of x, the second half those of y.
    """
    columns, rows = (
        sine_cosine(torch.arange(count, device=like.device), dim // 2, 10000.0).T for count in (width, height)
    )
    return torch.cat([columns[:, None, :].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)])[None]
