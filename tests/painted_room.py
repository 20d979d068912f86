"""Pictures of a painted room with exact truth: panoramas and pinhole views from any place in it."""

from __future__ import annotations

import numpy as np

from threer_blender.model import lens
from threer_blender.model.arrays import Array, FloatArray

SIZE = np.array([6.0, 3.2, 5.0])  # of the room, whose middle is the world's origin; y is down
BOX = np.array([[0.6, 0.4, 1.0], [1.5, 1.6, 1.9]])  # opposite corners of a cupboard, which hides what is behind it


def colors_along(centre: FloatArray, rays: FloatArray) -> Array:
    """(..., 3) uint8 the colours of the points that rays (..., 3) from `centre` meet. Both are in the world's frame."""
    rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    wall = ((np.where(rays > 0, SIZE / 2, -SIZE / 2) - centre) / rays).min(axis=-1)
    near, far = np.sort((BOX.reshape(2, *(1,) * (rays.ndim - 1), 3) - centre) / rays, axis=0)
    entry, leaving = near.max(axis=-1), far.min(axis=-1)
    length = np.where((entry > 0) & (entry < leaving), entry, wall)
    return _paint(centre + rays * length[..., None])


def panorama(world_from_camera: FloatArray, width: int) -> Array:
    """(width / 2, width, 3) uint8 equirectangular picture."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(width // 2) + 0.5)
    angles = np.stack([x - width / 2, y - width / 4], axis=-1) * (2 * np.pi / width)
    return colors_along(world_from_camera[:3, 3], lens.panorama_directions(angles) @ world_from_camera[:3, :3].T)


def photo(world_from_camera: FloatArray, width: int, height: int, focal: float) -> Array:
    """(height, width, 3) uint8 picture of a pinhole camera whose centre is the picture's."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([(x - width / 2) / focal, (y - height / 2) / focal, np.ones_like(x)], axis=-1)
    return colors_along(world_from_camera[:3, 3], rays @ world_from_camera[:3, :3].T)


def _paint(points: FloatArray) -> Array:
    """(..., 3) uint8 the colours of points (..., 3) of the world: smooth blots of four sizes."""
    colors = np.zeros(points.shape)
    for octave, cell in enumerate((0.9, 0.31, 0.13, 0.06)):
        place = points / cell + 17.3 * octave
        base = np.floor(place)
        part = place - base
        part = part * part * (3 - 2 * part)
        for corner in np.ndindex(2, 2, 2):
            weight = np.where(np.array(corner) == 1, part, 1 - part).prod(axis=-1)
            colors += weight[..., None] * _hashed((base + corner).astype(np.int64), octave) * 0.9**octave
    return (128 + 60 * colors).clip(0, 255).astype(np.uint8)


def _hashed(cells: Array, seed: int) -> FloatArray:
    """(..., 3) numbers in [-1, 1], as if by chance, that only depend on cells (..., 3) of whole numbers and `seed`."""
    mixed = (cells * np.array([73856093, 19349663, 83492791])).sum(axis=-1) + seed * 2654435761
    channels = [((mixed ^ (mixed >> 13)) * (1274126177 + 2 * k) >> 7) % 1000 for k in range(3)]
    return np.stack(channels, axis=-1) / 499.5 - 1
