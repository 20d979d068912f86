"""[R] Views of the surface that is to be made: pinhole cameras, and their depth maps without distortion. numpy only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...model import lens
from ...model.arrays import Array, BoolArray, Float32Array, FloatArray
from ...model.reconstruction import Camera, PointMap
from ..pointmaps import ideal_picture

JUMP = 0.03
"""Relative difference of depth from which neighbouring pixels are on different surfaces."""
STEEPEST = 0.2
"""The least cosine between ray and normal that is computed with."""


@dataclass(frozen=True)
class PinholeView:
    """`intrinsics` (3, 3) of a picture of `size` (width, height), and `camera_from_world` (4, 4)."""

    intrinsics: FloatArray
    size: tuple[int, int]
    camera_from_world: FloatArray

    @property
    def numbers(self) -> FloatArray:
        """(16,) fx, fy, cx, cy, then the rows of `camera_from_world` without its last: for kernels."""
        k = self.intrinsics
        return np.concatenate([[k[0, 0], k[1, 1], k[0, 2], k[1, 2]], self.camera_from_world[:3].ravel()])

    def scaled(self, long_side: int) -> PinholeView:
        """The same view with at most `long_side` pixels on its longer side."""
        scale = min(1.0, long_side / max(self.size))
        width, height = (max(1, round(scale * side)) for side in self.size)
        intrinsics = self.intrinsics * [[width / self.size[0]], [height / self.size[1]], [1.0]]
        return replace(self, intrinsics=intrinsics, size=(width, height))


@dataclass(frozen=True)
class DepthView:
    """A depth map: `depth` (H, W) camera z, 0 where there is none, and how much it counts, `weight` (H, W).

    `facing` (H, W) is a point's distance from the surface over how far along z the point lies in front of it. It is
    small where the surface is seen at a slant.
    """

    view: PinholeView
    depth: Float32Array
    weight: Float32Array
    facing: Float32Array

    def points(self) -> FloatArray:
        """(N, 3) the world points of the pixels with depth."""
        valid = self.depth > 0
        local = _rays(self.view)[valid] * self.depth[valid][:, None]
        pose = self.view.camera_from_world
        points: FloatArray = (local - pose[:3, 3]) @ pose[:3, :3]
        return points

    @property
    def spacing(self) -> float:
        """The median distance of neighbouring pixels on a surface that faces the camera, in world units."""
        return float(np.median(self.depth[self.depth > 0]) / self.view.intrinsics[0, 0])


def depth_view(pointmap: PointMap, camera: Camera) -> DepthView:
    """The depth map of a pointmap's trusted pixels. `camera` took its photo, and is no panorama's."""
    exact = pointmap.depth(camera)
    valid = pointmap.mask & np.isfinite(exact) & (exact > 0)
    z = np.where(valid, exact, 0).astype(np.float32)
    trust = np.where(valid, pointmap.confidence, 0)
    middle = np.median(trust[valid]) if valid.any() else 1.0
    trust = np.clip(trust / max(float(middle), 1e-12), 0.2, 1.0).astype(np.float32)
    scale_x, scale_y, offset_x, offset_y = pointmap.photo_from_map
    in_map = np.array(
        [
            [camera.fx / scale_x, 0.0, (camera.cx - offset_x) / scale_x],
            [0.0, camera.fy / scale_y, (camera.cy - offset_y) / scale_y],
            [0.0, 0.0, 1.0],
        ]
    )
    height, width = z.shape
    view = PinholeView(in_map, (width, height), camera.camera_from_world)
    if not camera.distortion.is_identity:
        intrinsics, size = ideal_picture(camera, max(width, height))
        view = PinholeView(intrinsics, size, camera.camera_from_world)
        z, trust = _without_distortion(z, trust, camera, view, in_map)
    facing = _facing(z, view)
    near = np.median(z[z > 0]) / np.maximum(z, 1e-12) if (z > 0).any() else z
    weight = np.where(z > 0, trust * facing.clip(STEEPEST, 1) * np.clip(near**2, 0.05, 4.0), 0)
    return DepthView(view, z, weight.astype(np.float32), facing)


def _rays(view: PinholeView) -> FloatArray:
    """(H, W, 3) the rays, z = 1, of a view's pixel centres in its camera's frame."""
    k = view.intrinsics
    x, y = np.meshgrid(np.arange(view.size[0]) + 0.5, np.arange(view.size[1]) + 0.5)
    return np.stack([(x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1], np.ones_like(x)], axis=-1)


def _without_distortion(
    z: Float32Array, trust: Float32Array, camera: Camera, view: PinholeView, in_map: FloatArray
) -> tuple[Float32Array, Float32Array]:
    """Depth and trust at the pixels of a pinhole view, from maps whose pixels have the lens's distortion.

    Depth is interpolated bilinearly where its four pixels lie on one surface, else it is the nearest pixel's.
    """
    height, width = z.shape
    ideal = _rays(view)[..., :2]
    with np.errstate(invalid="ignore", over="ignore"):
        inside = (ideal**2).sum(axis=-1, keepdims=True) < lens.valid_radius(camera.distortion) ** 2
        distorted = lens.distort(camera.distortion, np.where(inside, ideal, np.nan))
    pixels = np.nan_to_num(distorted * (in_map[0, 0], in_map[1, 1]) + in_map[:2, 2], nan=-9.0).clip(-9.0, 1e6)
    nearest = np.floor(pixels).astype(int)
    outside = (nearest < 0).any(axis=-1) | (nearest[..., 0] >= width) | (nearest[..., 1] >= height)
    x, y = nearest[..., 0].clip(0, width - 1), nearest[..., 1].clip(0, height - 1)
    left, top = (np.floor(pixels[..., i] - 0.5).astype(int) for i in (0, 1))
    part = pixels - 0.5 - np.stack([left, top], axis=-1)
    low, high, total = np.full(z[y, x].shape, np.inf), np.zeros(z[y, x].shape), np.zeros(z[y, x].shape)
    for row in (0, 1):
        for column in (0, 1):
            corner = z[(top + row).clip(0, height - 1), (left + column).clip(0, width - 1)]
            low, high = np.minimum(low, corner), np.maximum(high, corner)
            total += corner * np.abs(1 - row - part[..., 1]) * np.abs(1 - column - part[..., 0])
    smooth = (low > 0) & (high < low * (1 + JUMP))
    depth = np.where(outside, 0, np.where(smooth, total, z[y, x])).astype(np.float32)
    return depth, np.where(outside, 0, trust[y, x]).astype(np.float32)


def _facing(z: Float32Array, view: PinholeView) -> Float32Array:
    """(H, W) as in `DepthView`: the cosine between ray and normal times the ray's length. 1 where there is no normal.

    The normal is that of the differences to the neighbouring pixels, where they lie on one surface.
    """
    rays = _rays(view)
    points = rays * z[..., None]
    across, across_there = _step(points, z, 1)
    down, down_there = _step(points, z, 0)
    normals = np.cross(across, down)
    length = np.linalg.norm(normals, axis=-1)
    there = across_there & down_there & (length > 0)
    cosine = np.abs((normals * rays).sum(axis=-1)) / np.where(there, length, 1)
    least = STEEPEST * np.linalg.norm(rays, axis=-1)
    return np.where(there, np.maximum(cosine, least), 1).astype(np.float32)


def _step(points: FloatArray, z: Float32Array, axis: int) -> tuple[FloatArray, BoolArray]:
    """(H, W, 3) the difference of the pixels before and after each along an axis, and (H, W) where it is known.

    Only pixels on the same surface count. Where one of the two is not, the difference is that of the other and the
    pixel itself; where both are not, it is unknown, and 0.
    """
    total: FloatArray = np.zeros_like(points)
    there: BoolArray = np.zeros(z.shape, bool)
    ahead: list[Array] = [np.roll(z, -1, axis), np.roll(z, 1, axis)]
    for neighbour, direction in zip(ahead, (-1, 1), strict=True):
        alike = (z > 0) & (neighbour > 0) & (np.abs(neighbour - z) < JUMP * z)
        edge = [slice(None), slice(None)]
        edge[axis] = slice(-1, None) if direction == -1 else slice(0, 1)
        alike[tuple(edge)] = False
        total += np.where(alike[..., None], -direction * (np.roll(points, direction, axis) - points), 0)
        there |= alike
    return total, there
