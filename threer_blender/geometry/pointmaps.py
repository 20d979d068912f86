"""[R] From a photo to the undistorted pinhole picture that dense stereo works on, and back. Imports numpy only."""

from __future__ import annotations

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera, PhotoFromMap, PointMap

WIDEST = 1.3  # times the photo's width and height: a strong lens would spend most pixels of a wider picture on corners
GRAZING = 0.1  # cosine between ray and normal; below it a surface's plane is not extended within its pixel


def ideal_picture(camera: Camera, long_side: int) -> tuple[FloatArray, tuple[int, int]]:
    """K (3, 3) and size (width, height) of a pinhole picture that shows all of the photo without distortion.

    Its scale is that of the photo shrunk to `long_side`, never enlarged. Where the undistorted photo would be wider or
    higher than WIDEST times the photo, its corners are cut off.
    """
    scale = min(1.0, long_side / max(camera.width, camera.height))
    left, top, right, bottom = _bounds(camera)
    width, height = max(8, round((right - left) * scale)), max(8, round((bottom - top) * scale))
    scale_x, scale_y = width / (right - left), height / (bottom - top)
    intrinsics = np.array(
        [
            [camera.fx * scale_x, 0.0, (camera.cx - left) * scale_x],
            [0.0, camera.fy * scale_y, (camera.cy - top) * scale_y],
            [0.0, 0.0, 1.0],
        ]
    )
    return intrinsics, (width, height)


def _bounds(camera: Camera) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the undistorted photo, in pixels of the photo's own K."""
    width, height = camera.width, camera.height
    frame = (0.0, 0.0, float(width), float(height))
    if camera.distortion.is_identity:
        return frame
    along = np.linspace(0, 1, 65)
    border = np.concatenate(
        [np.stack(np.broadcast_arrays(along * width, y), -1) for y in (0.0, height)]
        + [np.stack(np.broadcast_arrays(x, along * height), -1) for x in (0.0, width)]
    )
    ideal = camera.rays(border)[:, :2] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    if not np.isfinite(ideal).all():
        ideal = ideal[np.isfinite(ideal).all(axis=1)]
        if not len(ideal):
            return frame
    extra_x, extra_y = (WIDEST - 1) / 2 * width, (WIDEST - 1) / 2 * height
    left, top = np.clip(ideal.min(axis=0), (-extra_x, -extra_y), (0, 0))
    right, bottom = np.clip(ideal.max(axis=0), (width, height), (width + extra_x, height + extra_y))
    return float(left), float(top), float(right), float(bottom)


def from_ideal(
    camera: Camera, intrinsics: FloatArray, depth: Array, normal: Array, confidence: Array, long_side: int, least: float
) -> PointMap:
    """A PointMap in the photo's own pixel grid, at most `long_side` pixels long, from depth in the ideal picture with
    `intrinsics` (3, 3).

    `depth` (h, w) is camera z, 0 where there is none; `normal` (h, w, 3) is in the camera's frame; the mask holds the
    points whose `confidence` (h, w) is at least `least`. Each map pixel's ray is intersected with the plane of the
    ideal pixel that it falls into, so no depth is blended across an edge.
    """
    scale = min(1.0, long_side / max(camera.width, camera.height))
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    photo_from_map = PhotoFromMap(camera.width / width, camera.height / height, 0.0, 0.0)
    rays = camera.rays(_grid(width, height) * photo_from_map[:2])
    with np.errstate(invalid="ignore"):
        pixel = rays[..., :2] * (intrinsics[0, 0], intrinsics[1, 1]) + intrinsics[:2, 2]
        column, row = (np.nan_to_num(np.floor(pixel[..., axis]), nan=-1).astype(int) for axis in (0, 1))
    inside = (column >= 0) & (row >= 0) & (column < depth.shape[1]) & (row < depth.shape[0])
    column, row = np.where(inside, column, 0), np.where(inside, row, 0)
    visible = inside & (depth[row, column] > 0)
    local = np.where(
        visible[..., None], rays * _depth_along(rays, row, column, depth, normal, intrinsics)[..., None], 0
    )
    points = local @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]
    masked_confidence = np.where(visible, confidence[row, column], 0).astype(np.float32)
    mask = visible & (masked_confidence >= least)
    return PointMap(camera.photo, points.astype(np.float32), masked_confidence, mask, photo_from_map)


def _grid(width: int, height: int) -> FloatArray:
    """(height, width, 2) x, y of the pixel centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def _depth_along(
    rays: FloatArray, row: Array, column: Array, depth: Array, normal: Array, intrinsics: FloatArray
) -> FloatArray:
    """(H, W) camera z where each ray (H, W, 3), z = 1, meets the plane of its ideal pixel at `row`, `column` (H, W).

    Where the ray grazes the plane, or would meet it far from the pixel, it is the pixel's own depth.
    """
    at_centre = np.stack([column + 0.5, row + 0.5], axis=-1)
    centre = (at_centre - intrinsics[:2, 2]) / (intrinsics[0, 0], intrinsics[1, 1])
    centre_rays = np.concatenate([centre, np.ones_like(centre[..., :1])], axis=-1)
    planes, centre_depth = normal[row, column].astype(np.float64), depth[row, column].astype(np.float64)
    along = (planes * rays).sum(axis=-1)
    facing = np.abs(along) > GRAZING * np.linalg.norm(rays, axis=-1)
    ratio = (planes * centre_rays).sum(axis=-1) / np.where(facing, along, 1.0)
    met: FloatArray = np.where(facing & (ratio > 0.9) & (ratio < 1.1), centre_depth * ratio, centre_depth)
    return met


def unprojected(depth: Array, intrinsics: Array) -> FloatArray:
    """The pointmap X (H, W, 3) of `depth` D (H, W), camera z, in the camera's own frame: X = D K^-1 (x, y, 1)^T.

    x, y is a pixel's centre, and `intrinsics` K (3, 3) is in pixels of the map. So D is X[..., 2].
    """
    height, width = depth.shape
    rays = np.concatenate([_grid(width, height), np.ones((height, width, 1))], axis=-1) @ np.linalg.inv(intrinsics).T
    points: FloatArray = rays * np.asarray(depth, np.float64)[..., None]
    return points
