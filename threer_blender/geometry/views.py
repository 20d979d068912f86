"""[R] What a network says of one view among many, and how it becomes a camera and a pointmap of its photo."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..reconstruction import Array, Camera, FloatArray, Photo, PhotoFromMap, PointMap
from .poses import Similarity

STEEPEST = 0.1  # relative change of depth from pixel to pixel beyond which a pixel straddles an edge


@dataclass(frozen=True)
class ViewPrediction:
    """One view in the frame that its network shares among all views given to it.

    `intrinsics` (3, 3) in map pixels, the first one's centre at (0.5, 0.5); `world_from_camera` (4, 4);
    `points` (H, W, 3) float32 in the camera's own frame; `confidence` (H, W) float32, 0 where there is no photo.
    """

    intrinsics: FloatArray
    world_from_camera: FloatArray
    points: Array
    confidence: Array

    def moved(self, world: Similarity) -> ViewPrediction:
        """The same view in another frame and unit."""
        pose = np.eye(4)
        pose[:3, :3] = world.rotation @ self.world_from_camera[:3, :3]
        pose[:3, 3] = world.apply(self.world_from_camera[:3, 3])
        points = (world.scale * self.points).astype(np.float32)
        return replace(self, world_from_camera=pose, points=points)

    @property
    def world_points(self) -> FloatArray:
        """(H, W, 3) in the shared frame."""
        world: FloatArray = self.points @ self.world_from_camera[:3, :3].T + self.world_from_camera[:3, 3]
        return world


def from_depth(
    depth: Array, confidence: Array, intrinsics: FloatArray, camera_from_world: FloatArray
) -> ViewPrediction:
    """Of `depth` (H, W), camera z, and `camera_from_world` (3, 4) or (4, 4)."""
    height, width = depth.shape
    x = (np.arange(width) + 0.5 - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (np.arange(height) + 0.5 - intrinsics[1, 2]) / intrinsics[1, 1]
    rays = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
    pose = np.eye(4)
    pose[:3, :3] = np.asarray(camera_from_world, np.float64)[:3, :3].T
    pose[:3, 3] = -pose[:3, :3] @ np.asarray(camera_from_world, np.float64)[:3, 3]
    points = (rays * np.asarray(depth, np.float64)[..., None]).astype(np.float32)
    return ViewPrediction(np.asarray(intrinsics, np.float64), pose, points, np.asarray(confidence, np.float32))


def camera(photo: Photo, view: ViewPrediction, photo_from_map: PhotoFromMap) -> Camera:
    """The view's camera in the photo's own pixels."""
    x, y, left, top = photo_from_map
    (fx, _, cx), (_, fy, cy), _ = view.intrinsics
    return Camera(
        photo=photo.name,
        width=photo.width,
        height=photo.height,
        fx=float(fx * x),
        fy=float(fy * y),
        cx=float(cx * x + left),
        cy=float(cy * y + top),
        world_from_camera=view.world_from_camera,
    )


def pointmap(photo: Photo, view: ViewPrediction, photo_from_map: PhotoFromMap, least: float) -> PointMap:
    """The view's points in the world; trusted are those with at least the confidence `least`, away from edges."""
    mask = (view.confidence >= least) & (view.confidence > 0) & ~edges(view.points[..., 2])
    points = np.where(np.isfinite(view.points), view.world_points, 0).astype(np.float32)
    return PointMap(photo.name, points, view.confidence, mask & (view.points[..., 2] > 0), photo_from_map)


def edges(depth: Array) -> Array:
    """(H, W) bool: pixels whose `depth` leaps towards a neighbour on both sides, so that they belong to neither.

    Networks blend depth over one or two pixels where a near thing ends.
    """
    safe = np.where(depth > 0, depth, np.nan)
    blended = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        step = np.abs(np.diff(np.log(safe), axis=axis)) > STEEPEST
        pad = [(1, 0) if a == axis else (0, 0) for a in (0, 1)], [(0, 1) if a == axis else (0, 0) for a in (0, 1)]
        blended |= np.pad(step, pad[0]) & np.pad(step, pad[1])
    return blended


def normals(points: Array) -> Array:
    """(H, W, 3) float32 unit normals of camera points (H, W, 3), towards the camera; zero where undefined."""
    across = np.gradient(points, axis=1)
    down = np.gradient(points, axis=0)
    normal = np.cross(down, across)
    normal *= -np.sign((normal * points).sum(axis=-1, keepdims=True))
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.divide(normal, length, out=np.zeros_like(normal), where=length > 0).astype(np.float32)
