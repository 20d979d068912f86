"""[R] From solved depth maps to the contents of a Reconstruction: cameras, pointmaps, one cloud. numpy only.

This is for engines whose networks see a resized and cropped photo. The results are in the photo's own pixels, and every
point lies on the ray of its pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.engine import Engine
from ...model.reconstruction import (
    MEDIAN_DEPTH,
    Camera,
    Photo,
    PhotoFromMap,
    PointMap,
    Reconstruction,
)
from . import cleaning


@dataclass(frozen=True)
class View:
    """One solved photo. `number` is its index in Reconstruction.photos, and `camera` is in the photo's own pixels.
    `image` (H, W, 3) uint8 is the network's input; `depth` (H, W) is camera z, of which only finite and positive
    numbers count; `confidence` (H, W) is on the engine's own scale, higher being more reliable."""

    number: int
    camera: Camera
    photo_from_map: PhotoFromMap
    image: Array
    depth: Array
    confidence: Array

    def pointmap(self, trusted: float) -> PointMap:
        """The points in the world. The mask holds those with a depth and a confidence of at least `trusted`."""
        valid = np.isfinite(self.depth) & (self.depth > 0) & np.isfinite(self.confidence)
        # A PointMap that only tells where its pixels lie in the photo. It has the depth in place of points.
        grid = PointMap(self.camera.photo, self.depth, self.confidence, valid, self.photo_from_map)
        local = self.camera.rays(grid.photo_pixels()) * np.where(valid, self.depth, 0)[..., None]
        pose = self.camera.world_from_camera
        points = (local @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
        confidence = np.where(valid, self.confidence, 0).astype(np.float32)
        return PointMap(self.camera.photo, points, confidence, valid & (confidence >= trusted), self.photo_from_map)


def reconstruction(
    engine: Engine, photos: Sequence[Photo], views: Sequence[View], trusted: float, **facts: Any
) -> Reconstruction:
    """The Reconstruction of an engine: the cameras of the `views`, their pointmaps after cleaning, and the merged
    cloud.

    `trusted` is the least confidence of a trusted point; `facts` are other fields of the Reconstruction.
    """
    cameras, pictures = [view.camera for view in views], [view.image for view in views]
    cleaned = cleaning.clean(cameras, [view.pointmap(trusted) for view in views], pictures)
    cloud, pointmaps = cleaning.merge(cameras, cleaned, pictures, [view.number for view in views])
    return Reconstruction(
        engine=engine.id,
        licence=engine.licence,
        photos=list(photos),
        cameras=cameras,
        pointmaps=pointmaps,
        cloud=cloud,
        trusted_confidence=trusted,
        **facts,
    )


def camera(
    photo: Photo, photo_from_map: PhotoFromMap, map_size: tuple[int, int], focal: float, world_from_camera: FloatArray
) -> Camera:
    """The photo's own camera, with square pixels, from `focal` in pixels of a map of `map_size` (width, height) whose
    middle is the principal point.

    Rounding of the map's size makes its pixels a little oblong in the photo, so the mean of both scales is taken.
    """
    scale_x, scale_y, offset_x, offset_y = photo_from_map
    photo_focal = focal * math.sqrt(scale_x * scale_y)
    centre = (map_size[0] / 2 * scale_x + offset_x, map_size[1] / 2 * scale_y + offset_y)
    return Camera(photo.name, photo.width, photo.height, photo_focal, photo_focal, *centre, np.array(world_from_camera))


def at_median_depth(views: Sequence[View], trusted: float) -> list[View]:
    """The views in the unit in which the median depth of trusted pixels, or of all if none is trusted, is
    MEDIAN_DEPTH."""
    depths = [np.where((view.depth > 0) & np.isfinite(view.depth), view.depth, np.nan) for view in views]
    trusted_depths = [depth[view.confidence >= trusted] for depth, view in zip(depths, views, strict=True)]
    median = np.nanmedian(
        np.concatenate(trusted_depths if any(map(len, trusted_depths)) else [depth.ravel() for depth in depths])
    )
    return [scaled(view, MEDIAN_DEPTH / float(median)) for view in views]


def scaled(view: View, scale: float) -> View:
    """The view in a world `scale` times as large."""
    pose = view.camera.world_from_camera.copy()
    pose[:3, 3] *= scale
    return replace(view, camera=replace(view.camera, world_from_camera=pose), depth=view.depth * scale)
