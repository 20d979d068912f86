"""[R] A differentiable rasteriser of 3D Gaussians: Gaussians and a camera in, a picture out. Imports torch.

Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering" (2023), with the constants of its released
rasteriser. Projection, spherical harmonics and pose are torch operations, so autograd carries gradients to the means,
scales, rotations, opacities, harmonics, intrinsics and the camera's pose, on every device. The blending of many flat
Gaussians in order of depth is one kernel, whose backward pass is written by hand: `rasteriser_cpu` or `rasteriser_gpu`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...model import spherical_harmonics
from ...model.quaternions import matrix_elements
from ...model.splat_rendering import ALPHA_LEAST, LOW_PASS, NEAREST, SLOPE_MOST
from . import rasteriser_cpu, rasteriser_gpu
from .footprints import Footprints


class Splats(NamedTuple):
    """Gaussians as tensors: `means` (N, 3) world, `scales` (N, 3) linear, `rotations` (N, 4) wxyz of any length,
    `opacities` (N,) in [0, 1], `sh` (N, (degree + 1)², 3)."""

    means: Tensor
    scales: Tensor
    rotations: Tensor
    opacities: Tensor
    sh: Tensor


class Picture(NamedTuple):
    """`colour` (H, W, 3) on black and `alpha` (H, W), the share of each pixel that is covered."""

    colour: Tensor
    alpha: Tensor

    def over(self, background: Tensor) -> Tensor:
        """(H, W, 3) the picture over `background` (3,) or (H, W, 3)."""
        return self.colour + (1 - self.alpha)[..., None] * background


def render(splats: Splats, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Picture:
    """The picture of `size` (width, height) that a pinhole camera sees.

    `camera_from_world` (4, 4), OpenCV axes; `intrinsics` (4,) fx, fy, cx, cy in pixels, the top-left pixel's centre at
    (0.5, 0.5). All tensors float32 on one device; gradients flow to each of them.
    """
    footprints = project(splats, camera_from_world, intrinsics, size)
    rotation, translation = camera_from_world[:3, :3], camera_from_world[:3, 3]
    directions = torch.nn.functional.normalize(splats.means + translation @ rotation, dim=-1)
    return blend(footprints, splats.opacities, colours(splats.sh, directions), size)


def matrices_from_wxyz(quaternions: Tensor) -> Tensor:
    """(N, 3, 3) rotation matrices of quaternions wxyz (N, 4) of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    return torch.stack(matrix_elements(w, x, y, z), -1).unflatten(-1, (3, 3))


def project(splats: Splats, camera_from_world: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Footprints:
    """The footprints of the Gaussians, with the projection linearised at each mean (Zwicker et al., "EWA Splatting",
    2001).

    Arguments are as for `render`.
    """
    fx, fy, cx, cy = intrinsics.unbind()
    rotation, translation = camera_from_world[:3, :3], camera_from_world[:3, 3]
    local = splats.means @ rotation.T + translation
    depths = local[:, 2]
    visible = depths > NEAREST
    inverse = 1 / torch.where(visible, depths, 1.0)
    x, y = local[:, 0] * inverse, local[:, 1] * inverse
    # Rows of J · R · S, where J is the projection's derivative and covariance = (J R S)(J R S)ᵀ.
    axes = (rotation @ matrices_from_wxyz(splats.rotations)) * splats.scales[:, None, :]
    edge_x, edge_y = SLOPE_MOST * 0.5 * size[0] / fx, SLOPE_MOST * 0.5 * size[1] / fy
    along_x = (fx * inverse)[:, None] * (axes[:, 0] - x.clamp(-edge_x, edge_x)[:, None] * axes[:, 2])
    along_y = (fy * inverse)[:, None] * (axes[:, 1] - y.clamp(-edge_y, edge_y)[:, None] * axes[:, 2])
    xx, xy, yy = (
        (along_x * along_x).sum(-1) + LOW_PASS,
        (along_x * along_y).sum(-1),
        (along_y * along_y).sum(-1) + LOW_PASS,
    )
    determinant = xx * yy - xy * xy
    return Footprints(
        centres=torch.stack([fx * x + cx, fy * y + cy], -1),
        conics=torch.stack([yy, -xy, xx], -1) / determinant[:, None],
        extents=_extents(torch.stack([xx, yy], -1).detach(), splats.opacities.detach(), visible),
        depths=depths.detach(),
    )


def _extents(variances: Tensor, opacities: Tensor, visible: Tensor) -> Tensor:
    """(N, 2) half the width and height in pixels of the box outside of which a Gaussian's alpha is below ALPHA_LEAST;
    -1 where it is so everywhere."""
    deviations = (2 * (opacities / ALPHA_LEAST).clamp_min(1e-8).log()).clamp_min(0).sqrt()
    drawn = visible & (deviations > 0)
    return torch.where(drawn[:, None], deviations[:, None] * variances.sqrt(), -1.0)


def colours(sh: Tensor, directions: Tensor) -> Tensor:
    """(N, 3) the colours, at least 0, of Gaussians with the coefficients `sh` (N, K, 3), seen along unit `directions`
    (N, 3) from the camera."""
    return ((harmonics(directions, sh.shape[1])[:, None] @ sh)[:, 0] + 0.5).clamp_min(0)


def harmonics(directions: Tensor, count: int) -> Tensor:
    """(N, count) the first 1, 4, 9 or 16 real spherical harmonics in unit `directions` (N, 3)."""
    x, y, z = directions.unbind(-1)
    constant, *others = spherical_harmonics.basis(x, y, z, math.isqrt(count) - 1)
    return torch.stack([torch.full_like(x, constant), *others], -1)


def blend(footprints: Footprints, opacities: Tensor, values: Tensor, size: tuple[int, int]) -> Picture:
    """The picture of `size` (width, height) of flat Gaussians with `opacities` (N,) and colours `values` (N, 3),
    blended nearest first. Gradients flow to centres, conics, opacities and values."""
    return Picture(*_Blend.apply(*footprints, opacities, values, size))


class _Blend(torch.autograd.Function):
    """The kernel for the tensors' device, as one differentiable operation."""

    @staticmethod
    def forward(
        ctx: Any,
        centres: Tensor,
        conics: Tensor,
        extents: Tensor,
        depths: Tensor,
        opacities: Tensor,
        values: Tensor,
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        kernel: ModuleType = rasteriser_cpu if centres.device.type == "cpu" else rasteriser_gpu
        colour, alpha, ctx.state = kernel.forward(Footprints(centres, conics, extents, depths), opacities, values, size)
        ctx.backward_kernel = kernel.backward
        return colour, alpha

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = ctx.backward_kernel(ctx.state, *(gradient.contiguous() for gradient in gradients))
        return gradient[:, :2], gradient[:, 2:5], None, None, gradient[:, 5], gradient[:, 6:], None


def working_device(wanted: torch.device, warn: Callable[[str], None]) -> torch.device:
    """The device `wanted` if its kernel draws the same as the CPU's. Else the CPU, and `warn(sentence)` gets the
    reason."""
    if wanted.type == "cpu":
        return wanted
    reason = rasteriser_gpu.self_test(wanted)
    if not reason:
        return wanted
    warn(f"Splats are computed on the processor, which takes longer: the graphics card's kernel {reason}.")
    return torch.device("cpu")
