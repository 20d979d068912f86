"""[R] What masks leave out of a result: depth and points that the engine made of masked pixels. numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..model.arrays import Array, BoolArray
from ..model.reconstruction import Photo, PointMap, Reconstruction
from ..pictures import video
from ..pictures.masks import Masks


def frames(photos: Sequence[Photo]) -> list[int]:
    """The numbers of all frames of the videos among the photos."""
    paths = {photo.path for photo in photos if photo.frame is not None}
    return [number for path in paths for number in video.film(path).numbers]


def applied(reconstruction: Reconstruction, masked: Masks | None) -> Reconstruction:
    """The reconstruction without the depth and the points of masked pixels. Raises UserError for a mask's faults."""
    if masked is None:
        return reconstruction
    out = {}
    for photo in reconstruction.photos:
        mask = masked.excluded(photo, photo.frame, (photo.width, photo.height))
        if mask is not None:
            out[photo.name] = mask
    pointmaps = [
        replace(pointmap, mask=pointmap.mask & ~_in_map(pointmap, out[pointmap.photo]))
        if pointmap.photo in out
        else pointmap
        for pointmap in reconstruction.pointmaps
    ]
    cloud = reconstruction.cloud
    if cloud is not None:
        unmasked = _unmasked(reconstruction, out, cloud.positions, cloud.photo)
        fields = {name: getattr(cloud, name)[unmasked] for name in cloud.__dataclass_fields__}
        cloud = replace(cloud, **fields)
    return replace(reconstruction, pointmaps=pointmaps, cloud=cloud)


def _in_map(pointmap: PointMap, mask: BoolArray) -> BoolArray:
    """(H, W) the photo's mask in the pixels of its PointMap."""
    height, width = pointmap.mask.shape
    there = pointmap.photo_from_map
    column = (np.arange(width) + 0.5) * there.scale_x + there.offset_x
    row = (np.arange(height) + 0.5) * there.scale_y + there.offset_y
    x, y = (np.clip(along.astype(int), 0, side - 1) for along, side in ((column, mask.shape[1]), (row, mask.shape[0])))
    in_map: BoolArray = mask[np.ix_(y, x)]
    return in_map


def _unmasked(reconstruction: Reconstruction, out: dict[str, BoolArray], points: Array, photo: Array) -> BoolArray:
    """(N,) whether the photo of a point shows it outside of its mask."""
    unmasked = np.ones(len(points), np.bool_)
    for index, entry in enumerate(reconstruction.photos):
        camera = reconstruction.camera(entry.name)
        mine = np.flatnonzero(photo == index)
        if entry.name not in out or camera is None or not len(mine):
            continue
        mask = out[entry.name]
        pixels = np.nan_to_num(camera.project(points[mine]), nan=-1.0)
        x, y = pixels.astype(int).T
        inside = (pixels >= 0).all(axis=1) & (x < mask.shape[1]) & (y < mask.shape[0])
        unmasked[mine[inside]] = ~mask[y[inside], x[inside]]
    return unmasked
