"""3D Gaussian splats drawn by numpy, one after the other: the rasteriser of Kerbl et al. 2023 without its tiles."""

from typing import Any

import numpy as np

from tests.splats import colors, matrices
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Gaussians

LOW_PASS = 0.3  # square pixels
NEAR = 0.01


def render(gaussians: Gaussians, camera: Camera, world_from_object: Any = None, near: Any = NEAR) -> Any:
    """(height, width, 3) picture over black, display values, of Gaussians that `camera` (undistorted) sees.

    `world_from_object` (4, 4), affine, takes the Gaussians, their covariances and their directions to the camera's
    world.
    """
    world_from_object = np.eye(4) if world_from_object is None else np.asarray(world_from_object, np.float64)
    rotation, centre = camera.world_from_camera[:3, :3], camera.world_from_camera[:3, 3]
    away = gaussians.means @ world_from_object[:3, :3].T + world_from_object[:3, 3] - centre
    local = away @ rotation
    directions = away @ np.linalg.inv(world_from_object[:3, :3]).T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    splat_colors = colors(gaussians.sh.astype(np.float64), directions)
    axes = world_from_object[:3, :3] @ matrices(gaussians.rotations) * np.asarray(gaussians.scales, np.float64)[:, None]
    picture = np.zeros((camera.height, camera.width, 3))
    transmittance = np.ones((camera.height, camera.width))
    order = np.argsort(local[:, 2], kind="stable")
    for index in order[local[order, 2] > near]:
        _draw(
            *(picture, transmittance, camera, local[index]),
            *(rotation.T @ axes[index], gaussians.opacities[index], splat_colors[index]),
        )
    return picture


def _draw(
    picture: Array, transmittance: Array, camera: Camera, mean: Array, axes: Array, opacity: float, color: Array
) -> None:
    """Draws a Gaussian into `picture` and `transmittance`; `mean` (3,) and `axes` (3, 3) are in the camera's frame."""
    x, y, depth = mean
    if opacity < 1 / 255:
        return
    # Beyond 1.3 times the view, the derivative is the one there (Kerbl et al., forward.cu, computeCov2D).
    limits = [
        ((size / 2 - middle) / focal, 0.65 * size / focal)
        for size, middle, focal in ((camera.width, camera.cx, camera.fx), (camera.height, camera.cy, camera.fy))
    ]
    slope = [np.clip(s, m - w, m + w) for s, (m, w) in zip((x / depth, y / depth), limits, strict=True)]
    derivative = np.array([[1, 0, -slope[0]], [0, 1, -slope[1]]]) * np.array([[camera.fx], [camera.fy]]) / depth
    root = derivative @ axes
    covariance = root @ root.T + LOW_PASS * np.eye(2)
    centre = np.array((camera.fx * x / depth + camera.cx, camera.fy * y / depth + camera.cy))
    reach = np.sqrt(2 * np.log(255 * opacity) * np.diag(covariance))
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach), (camera.width, camera.height)).astype(int)
    if (low >= high).any():
        return
    a, b, c = np.linalg.inv(covariance)[[0, 0, 1], [0, 1, 1]]
    dx = np.arange(low[0], high[0]) + 0.5 - centre[0]
    dy = (np.arange(low[1], high[1]) + 0.5 - centre[1])[:, None]
    alpha = np.minimum(opacity * np.exp(-0.5 * (a * dx * dx + c * dy * dy) - b * dx * dy), 0.99)
    alpha[alpha < 1 / 255] = 0
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    picture[part] += (transmittance[part] * alpha)[..., None] * color
    transmittance[part] *= 1 - alpha


def psnr(first: Any, second: Any) -> Any:
    """The peak signal-to-noise ratio in dB of two pictures of display values, clipped to [0, 1]."""
    return -10 * np.log10(np.mean((np.clip(first, 0, 1) - np.clip(second, 0, 1)) ** 2) + 1e-20)
