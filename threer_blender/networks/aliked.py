"""[R] ALIKED, variant n16rot: detects keypoints in a photo and describes them. torch, inference only.

Zhao et al., "ALIKED: A Lighter Keypoint and Descriptor Extraction Network via Deformable Transformation", IEEE TIM 2023
(arXiv:2304.03608). Weights: BSD-3-Clause. Parameters are named as in the published checkpoint, which loads strictly.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (16, 32, 64, 128)  # of the four blocks, at 1, 1/2, 1/8 and 1/32 of the resolution
DIMENSIONS = 128  # of a descriptor
SAMPLES = 16  # positions that a descriptor gathers from (M in the paper)
RADIUS = 2  # pixels within which a keypoint suppresses others, and within which its position is refined
TEMPERATURE = 0.1  # of the softmax of that refinement (equation 4)
LEAST_SCORE = 0.01  # of a keypoint
MULTIPLE = 32  # pixels: the photo's sides are padded to multiples of this


class Features(NamedTuple):
    """K features of a photo, by falling score.

    `keypoints` (K, 2) are x and y in pixels, with the centre of the top-left pixel at (0, 0). `descriptors` (K, 128)
    are unit vectors.
    """

    keypoints: Tensor
    descriptors: Tensor


class Aliked(nn.Module):
    """The network: a photo -> its features."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth = CHANNELS
        self.block1 = Block(3, first, deformable=False, residual=False)
        self.block2 = Block(first, second, deformable=False, residual=True)
        self.block3 = Block(second, third, deformable=True, residual=True)
        self.block4 = Block(third, fourth, deformable=True, residual=True)
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            nn.Conv2d(channels, DIMENSIONS // 4, 1, bias=False) for channels in CHANNELS
        )
        self.score_head = nn.Sequential(
            nn.Conv2d(DIMENSIONS, 8, 1, bias=False),
            nn.SELU(),
            nn.Conv2d(8, 4, 3, padding=1, bias=False),
            nn.SELU(),
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.SELU(),
            nn.Conv2d(4, 1, 3, padding=1, bias=False),
        )
        self.desc_head = DescriptorHead()

    def forward(self, picture: Tensor, most: int) -> Features:
        """At most `most` features of `picture` (3, H, W), sRGB from 0 to 1: those with the highest scores."""
        features, scores = self._maps(picture[None])
        keypoints = detect(scores[0, 0], most)
        return Features(keypoints, self.desc_head(features, keypoints))

    def _maps(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (1, 3, H, W) -> unit feature vectors (1, 128, H, W) and scores (1, 1, H, W)."""
        height, width = picture.shape[-2:]
        top, left = -height % MULTIPLE // 2, -width % MULTIPLE // 2
        bottom, right = -height % MULTIPLE - top, -width % MULTIPLE - left
        full = self.block1(functional.pad(picture, (left, right, top, bottom), mode="replicate"))
        half = self.block2(functional.avg_pool2d(full, 2))
        eighth = self.block3(functional.avg_pool2d(half, 4))
        thirty_second = self.block4(functional.avg_pool2d(eighth, 4))
        convolutions = (self.conv1, self.conv2, self.conv3, self.conv4)
        blocks = (full, half, eighth, thirty_second)
        levels = [functional.selu(conv(block)) for conv, block in zip(convolutions, blocks, strict=True)]
        size = full.shape[-2:]
        levels[1:] = [functional.interpolate(x, size, mode="bilinear", align_corners=True) for x in levels[1:]]
        features = torch.cat(levels, dim=1)
        scores = torch.sigmoid(self.score_head(features))
        features /= torch.linalg.vector_norm(features, dim=1, keepdim=True).clamp(min=1e-12)  # in place: it is large
        inside = (..., slice(top, top + height), slice(left, left + width))
        return features[inside], scores[inside]


class Block(nn.Module):
    """Two 3 × 3 convolutions; where `residual`, a 1 × 1 convolution of the input is added to their result."""

    def __init__(self, inputs: int, outputs: int, deformable: bool, residual: bool) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, deformable)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, deformable)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Conv2d(inputs, outputs, 1) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        result = self.bn2(self.conv2(functional.selu(self.bn1(self.conv1(x)))))
        return functional.selu(result if self.downsample is None else result + self.downsample(x))


def convolution(inputs: int, outputs: int, deformable: bool) -> nn.Module:
    """A 3 × 3 convolution without a bias that keeps the picture's size."""
    if deformable:
        return DeformableConvolution(inputs, outputs)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)


class DeformableConvolution(nn.Module):
    """A 3 × 3 convolution whose sampling positions are moved by offsets, which another convolution computes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.offset_conv = nn.Conv2d(inputs, 18, 3, padding=1)
        self.regular_conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return deformable_convolution(x, limited(self.offset_conv(x), x), self.regular_conv.weight)


def limited(offsets: Tensor, features: Tensor) -> Tensor:
    """The offsets, clamped to a quarter of the longer side of `features` (…, H, W)."""
    farthest = max(features.shape[-2:]) / 4
    return offsets.clamp(-farthest, farthest)


def deformable_convolution(x: Tensor, offsets: Tensor, weight: Tensor) -> Tensor:
    """A deformable convolution: x (B, C, H, W), weight (D, C, k, k) -> (B, D, H, W). Outside, x is zero.

    `offsets` (B, 2k², H, W) are the offsets down and right, in pixels, of each position in the kernel, row by row.
    Source: Dai et al., "Deformable Convolutional Networks" (2017), equation 2.
    """
    side = weight.shape[-1]
    rows = torch.arange(x.shape[-2], device=x.device)[:, None] - side // 2
    columns = torch.arange(x.shape[-1], device=x.device) - side // 2
    result = x.new_zeros(())
    for tap in range(side**2):
        row, column = divmod(tap, side)
        pixels = torch.stack([columns + column + offsets[:, 2 * tap + 1], rows + row + offsets[:, 2 * tap]], dim=-1)
        result = result + torch.einsum("bchw,dc->bdhw", sample(x, pixels), weight[:, :, row, column])
    return result


def sample(x: Tensor, pixels: Tensor) -> Tensor:
    """(B, C, M, N): x (B, C, H, W), interpolated bilinearly at `pixels` (B, M, N, 2).

    Pixels are (x, y), with the centre of the top-left pixel at (0, 0).
    """
    size = torch.tensor([x.shape[-1], x.shape[-2]], device=x.device)
    return functional.grid_sample(x, (2 * pixels + 1) / size - 1, mode="bilinear", align_corners=False)


def detect(scores: Tensor, most: int) -> Tensor:
    """(K, 2) the keypoints: at most `most` local maxima of `scores` (H, W), the highest first.

    Each is refined to the mean of the positions around it, weighted by a softmax of the scores (section III-C).
    """
    side = 2 * RADIUS + 1
    peaks = functional.max_pool2d(scores[None], side, stride=1, padding=RADIUS)[0] == scores
    inside = torch.zeros_like(peaks)
    inside[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    rows, columns = torch.nonzero(peaks & inside & (scores > LEAST_SCORE), as_tuple=True)
    best = torch.argsort(scores[rows, columns], descending=True, stable=True)[:most]
    rows, columns = rows[best], columns[best]
    steps = torch.arange(-RADIUS, RADIUS + 1, device=scores.device)
    down, right = (grid.flatten() for grid in torch.meshgrid(steps, steps, indexing="ij"))
    weights = torch.softmax(scores[rows[:, None] + down, columns[:, None] + right] / TEMPERATURE, dim=1)
    offsets = weights @ torch.stack([right, down], dim=1).to(weights)
    return torch.stack([columns, rows], dim=1) + offsets


class DescriptorHead(nn.Module):
    """The sparse deformable descriptor head (section III-B).

    For each keypoint it predicts the positions at which features are gathered for its descriptor.
    """

    def __init__(self) -> None:
        super().__init__()
        coordinates = 2 * SAMPLES
        self.offset_conv = nn.Sequential(
            nn.Conv2d(DIMENSIONS, coordinates, 3), nn.SELU(), nn.Conv2d(coordinates, coordinates, 1)
        )
        self.sf_conv = nn.Conv2d(DIMENSIONS, DIMENSIONS, 1, bias=False)
        self.agg_weights = nn.Parameter(torch.empty(SAMPLES, DIMENSIONS, DIMENSIONS))

    def forward(self, features: Tensor, keypoints: Tensor) -> Tensor:
        """Descriptors (K, 128) of `keypoints` (K, 2) in `features` (1, 128, H, W)."""
        height, width = features.shape[-2:]
        columns = keypoints[:, 0].long().clamp(1, width - 2)
        rows = keypoints[:, 1].long().clamp(1, height - 2)
        steps = torch.arange(-1, 2, device=features.device)
        around = features[0][:, rows[:, None, None] + steps[:, None], columns[:, None, None] + steps]
        offsets = limited(self.offset_conv(around.transpose(0, 1)), features).reshape(-1, 2, SAMPLES).transpose(1, 2)
        gathered = sample(features, (keypoints[:, None] + offsets)[None])
        return functional.normalize(
            torch.einsum("cks,scd->kd", functional.selu(self.sf_conv(gathered))[0], self.agg_weights), dim=1
        )
