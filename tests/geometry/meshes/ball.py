"""The world of a ball on a floor as the meshes' tests use it: its exact depth maps, and distances from its surface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.blender.world import BALL_CENTRE, BALL_RADIUS, camera, looking_at, pixel_centres, trace
from threer_blender.geometry.meshes import volume
from threer_blender.geometry.meshes.simplification import without_pinholes
from threer_blender.geometry.meshes.views import DepthView, depth_view
from threer_blender.model.arrays import Array
from threer_blender.model.proxy_mesh import Mesh
from threer_blender.model.reconstruction import Camera, PhotoFromMap, PointMap

CELL = 0.03
AROUND = [
    camera(f"{number}.png", 160, 120, 150, pose=looking_at((3 * np.sin(angle), -2.4, 3 * np.cos(angle))))
    for number, angle in enumerate(np.arange(8) * np.pi / 4)
]


def pointmap(cam: Camera) -> PointMap:
    """The exact pointmap of a camera, without the floor's far parts."""
    depth, _, points = trace(cam, pixel_centres(cam.width, cam.height))
    mask = ~np.isnan(depth) & (np.linalg.norm(points, axis=-1) < 2)
    confidence = np.ones(mask.shape, np.float32)
    return PointMap(cam.photo, points.astype(np.float32), confidence, mask, PhotoFromMap(1, 1, 0, 0))


def depth_views(cameras: Sequence[Camera] = AROUND) -> list[DepthView]:
    return [depth_view(pointmap(cam), cam) for cam in cameras]


def surface(views: Sequence[DepthView]) -> Mesh:
    return without_pinholes(volume.surface(volume.fused(views, CELL, lambda _done, _total: None)))


def without(view: DepthView, centre: tuple[float, float, float], radius: float) -> DepthView:
    """The view without depth around a place in the world."""
    depth = view.depth.copy()
    there = view.depth > 0
    near = np.linalg.norm(view.points() - centre, axis=1) < radius
    depth[there] = np.where(near, 0, depth[there])
    return replace(view, depth=depth)


def off(points: Array) -> Any:
    """(N,) the distances from the world's surface."""
    ball = np.abs(np.linalg.norm(points - BALL_CENTRE, axis=-1) - BALL_RADIUS)
    return np.minimum(ball, np.abs(points[..., 1]))
