"""From solved depth maps to what a Reconstruction holds: cameras, pointmaps, one cloud. [R] numpy only.

For engines whose networks see a resized and cropped photo: everything comes out in the photo's own pixels, and every
point lies on the ray of its pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..catalog import Engine
from ..reconstruction import (
    MEDIAN_DEPTH,
    Array,
    Camera,
    FloatArray,
    Photo,
    PhotoFromMap,
    PointCloud,
    PointMap,
    Reconstruction,
)

SAME_DEPTH = 0.03  # relative difference below which two photos show the same surface: about a network's error
COARSER = 1.5  # times its own spacing: a photo that sees a surface so much coarser spares no other's points

PROBE = 16  # one in so many rows and columns tells whether another photo sees anything of a map


@dataclass(frozen=True)
class View:
    """One solved photo. `number` is its index in Reconstruction.photos; `image` (H, W, 3) uint8 is what the network
    saw; `depth` (H, W) camera z, of which only finite and positive numbers count; `confidence` (H, W)."""

    number: int
    camera: Camera
    photo_from_map: PhotoFromMap
    image: Array
    depth: Array
    confidence: Array

    def pointmap(self, trusted: float) -> PointMap:
        """The points in the world, trusted from the confidence `trusted` on; what is no number is neither."""
        valid = np.isfinite(self.depth) & (self.depth > 0) & np.isfinite(self.confidence)
        empty = PointMap(self.camera.photo, self.depth, self.confidence, valid, self.photo_from_map)
        local = self.camera.rays(empty.photo_pixels()) * np.where(valid, self.depth, 0)[..., None]
        pose = self.camera.world_from_camera
        points = (local @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
        confidence = np.where(valid, self.confidence, 0).astype(np.float32)
        return PointMap(self.camera.photo, points, confidence, valid & (confidence >= trusted), self.photo_from_map)


def reconstruction(
    engine: Engine, photos: Sequence[Photo], views: Sequence[View], trusted: float, **facts: Any
) -> Reconstruction:
    """What an engine returns: cameras, pointmaps and cloud of the solved views; `facts` are its other fields."""
    pointmaps = [view.pointmap(trusted) for view in views]
    return Reconstruction(
        engine=engine.id,
        licence=engine.licence,
        photos=list(photos),
        cameras=[view.camera for view in views],
        pointmaps=pointmaps,
        cloud=cloud(views, pointmaps),
        trusted_confidence=trusted,
        **facts,
    )


def camera(
    photo: Photo, photo_from_map: PhotoFromMap, map_size: tuple[int, int], focal: float, world_from_camera: FloatArray
) -> Camera:
    """The photo's own camera, with square pixels, from `focal` in pixels of a map of `map_size` (width, height) whose
    middle is the principal point. Rounding makes a map's pixels a little oblong; the photo's are not."""
    scale_x, scale_y, offset_x, offset_y = photo_from_map
    length = focal * math.sqrt(scale_x * scale_y)
    middle = (map_size[0] / 2 * scale_x + offset_x, map_size[1] / 2 * scale_y + offset_y)
    return Camera(photo.name, photo.width, photo.height, length, length, *middle, np.array(world_from_camera))


def at_median_depth(views: Sequence[View], trusted: float) -> list[View]:
    """The views in the unit that makes the median depth of trusted pixels, or of all if none is, MEDIAN_DEPTH."""
    depths = [np.where((view.depth > 0) & np.isfinite(view.depth), view.depth, np.nan) for view in views]
    sure = [depth[view.confidence >= trusted] for depth, view in zip(depths, views, strict=True)]
    middle = np.nanmedian(np.concatenate(sure if any(map(len, sure)) else [depth.ravel() for depth in depths]))
    return [scaled(view, MEDIAN_DEPTH / float(middle)) for view in views]


def scaled(view: View, scale: float) -> View:
    """The view in a world `scale` times as large."""
    pose = view.camera.world_from_camera.copy()
    pose[:3, 3] *= scale
    return replace(view, camera=replace(view.camera, world_from_camera=pose), depth=view.depth * scale)


def cloud(views: Sequence[View], pointmaps: Sequence[PointMap]) -> PointCloud:
    """All trusted points of the views' `pointmaps`; of a surface that several photos show, those that are surest.

    A point gives way to a surer one of another photo that lies within SAME_DEPTH of it along its ray, unless that photo
    sees the place much coarser.
    """
    parts = []
    for i, (view, pointmap) in enumerate(zip(views, pointmaps, strict=True)):
        keep = pointmap.mask.copy()
        for j, (other, seen) in enumerate(zip(views, pointmaps, strict=True)):
            if j != i and _shown(view, pointmap, other, seen, j < i, PROBE).any():
                keep &= ~_shown(view, pointmap, other, seen, j < i, 1)
        seen_by = np.full(int(keep.sum()), view.number, np.int32)
        towards = normals(pointmap.points, view.camera.world_from_camera[:3, 3])
        parts.append((pointmap.points[keep], towards[keep], view.image[keep], pointmap.confidence[keep], seen_by))
    return PointCloud(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def normals(points: Array, centre: Array) -> Array:
    """(H, W, 3) float32 unit normals of a map of points (H, W, 3), towards `centre` (3,); zero where there is none.

    Along each axis the nearer neighbour says how the surface runs, so that edges do not bend it.
    """
    along = []
    for axis in (0, 1):
        steps = np.diff(points, axis=axis)
        first, last = np.take(steps, [0], axis), np.take(steps, [-1], axis)
        before, after = np.concatenate([first, steps], axis), np.concatenate([steps, last], axis)
        nearer = np.linalg.norm(before, axis=-1) < np.linalg.norm(after, axis=-1)
        along.append(np.where(nearer[..., None], before, after))
    across = np.cross(along[0], along[1])
    across *= np.sign(((centre - points) * across).sum(axis=-1, keepdims=True))
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    unit: Array = np.where(length > 0, across / np.where(length > 0, length, 1), 0).astype(np.float32)
    return unit


def _shown(view: View, pointmap: PointMap, other: View, seen: PointMap, wins_ties: bool, step: int) -> Array:
    """(H, W), of every `step`-th pixel: where `other` shows the view's trusted point too, surer and about as finely."""
    pixels = (slice(step // 2, None, step), slice(step // 2, None, step))
    points, confidence = pointmap.points[pixels], pointmap.confidence[pixels]
    scale, offset = np.array(other.photo_from_map[:2]), np.array(other.photo_from_map[2:])
    with np.errstate(invalid="ignore"):
        place = np.floor((other.camera.project(points) - offset) / scale)
    height, width = seen.mask.shape
    inside = (place >= 0).all(axis=-1) & (place < (width, height)).all(axis=-1)
    column, row = (np.where(inside, place[..., axis], 0).astype(int) for axis in (0, 1))
    depth = points @ other.camera.camera_from_world[2, :3] + other.camera.camera_from_world[2, 3]
    theirs = np.where(seen.mask, other.depth, np.inf)[row, column]
    same = np.abs(depth / theirs - 1) < SAME_DEPTH
    spacing, their_spacing = view.depth[pixels] * _pixel(view), theirs * _pixel(other)
    sure = seen.confidence[row, column]
    surer = (sure >= confidence) if wins_ties else (sure > confidence)
    found: Array = pointmap.mask[pixels] & inside & same & surer & (their_spacing < COARSER * spacing)
    return found


def _pixel(view: View) -> float:
    """The width of a map pixel at depth 1."""
    return view.photo_from_map.scale_x / view.camera.fx
