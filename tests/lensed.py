"""Cameras with lenses, and the photos that they take of a smooth pattern: shared by tests of lenses and plates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from threer_blender.model.arrays import Array
from threer_blender.model.lens import NO_DISTORTION, Distortion
from threer_blender.model.reconstruction import Camera

DISTORTIONS = [
    Distortion("SIMPLE_RADIAL", (-0.15,)),
    Distortion("RADIAL", (-0.28, 0.09)),
    Distortion("RADIAL", (0.12, 0.03)),
    Distortion("OPENCV", (-0.25, 0.08, 3e-3, -2e-3)),
    Distortion("OPENCV_FISHEYE", (-0.03, 0.006, -0.003, 0.0005)),
    Distortion("BROWN", (-0.25, 0.08, -0.02, 0.003, 3e-3, -2e-3)),
    Distortion("DIVISION", (-0.2,)),
    Distortion("TDE_RADIAL_4", (0.74, 0.1, 1e-3, 2e-3, 0.02, 0.0, 0.0, 0.0, 0.0)),
]
WIDTH, HEIGHT = 640, 420


def camera(distortion: Distortion, photo: str = "a.png") -> Camera:
    """A camera with this distortion, somewhere in the world, with fx ≠ fy and a principal point off the middle."""
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = rotation * np.linalg.det(rotation)
    world_from_camera[:3, 3] = (1.0, -2.0, 0.5)
    return Camera(photo, WIDTH, HEIGHT, 520.0, 531.0, 331.3, 201.8, world_from_camera, distortion)


def world_points(of: Camera, ideal: Array, depth: Array | float) -> Array:
    """World points (..., 3) at undistorted pixels `ideal` (..., 2) of a camera, at the camera z `depth`."""
    local = replace(of, distortion=NO_DISTORTION).rays(ideal) * np.asarray(depth)[..., None]
    return local @ of.world_from_camera[:3, :3].T + of.world_from_camera[:3, 3]


def centres(width: int, height: int) -> Array:
    """(H, W, 2) pixel centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)


def pattern(ideal: Array) -> Array:
    """(..., 3) smooth colours, a function of ideal pixels; the shortest period is 24 pixels."""
    x, y = ideal[..., 0], ideal[..., 1]
    waves = [np.sin(x / 7 + 1) * np.cos(y / 11), np.sin(x / 5 - y / 6 + 2), np.cos(y / 4 + x / 23)]
    return 128 + 100 * np.stack(waves, axis=-1)


def taken(of: Camera) -> Array:
    """The photo of `pattern` that the camera's lens makes, analytically; black where it sees beyond its model."""
    rays = of.rays(centres(WIDTH, HEIGHT))
    colours = pattern(rays[..., :2] * (of.fx, of.fy) + (of.cx, of.cy))
    return np.nan_to_num(colours).round().clip(0, 255).astype(np.uint8)


def covered(of: Camera, ideal: Array, margin: float) -> Array:
    """Whether the photo shows each ideal pixel, `margin` pixels from its edge or more."""
    pixels = of.project(world_points(of, ideal, 1.0))
    inside = (pixels > margin) & (pixels < np.array([of.width, of.height]) - margin)
    return inside.all(axis=-1)
