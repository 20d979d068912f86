"""[R] Dense points of many photos made consistent: wrong points are removed with a reason, the rest merged. numpy only.

It works on the cameras and PointMaps of any engine. Three kinds of points are removed: those at edges that hang between
two surfaces, sky, and points in the free space in front of another photo's surface (as in DUSt3R's clean_pointcloud,
but with the votes of all photos for and against; Merrell et al., "Real-Time Visibility-Based Fusion of Depth Maps",
ICCV 2007). `stereo.fusion` does the same for stereo, whose depths agree to a hundredth. Those of networks do not, so
the tolerance within which two depths are one surface is measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray, IntArray, UInt8Array
from ...model.reconstruction import REMOVED, Camera, PointCloud, PointMap

EDGE, SKY, FREE_SPACE, MERGED = range(1, len(REMOVED))  # indices into REMOVED, whose first entry means: not removed

NEIGHBOURS = 8  # photos, at most, that each one is compared with: those that see most of its points
_OFF_LINE = 0.08  # of a pixel's inverse depth: farther off the line through two neighbours, it is not on their surface
_STEEP = 0.15  # of a pixel's inverse depth: where its neighbour's differs by more, the two are not on one surface
_SMOOTH = 12.0  # grey levels by which the sky changes from pixel to pixel, at most
_BRIGHT = 110.0  # grey levels of the sky's blue channel, at least
_BLUE = 15.0  # grey levels by which the blue of a clear sky exceeds its red
_FAR, _VERY_FAR = 3.0, 8.0  # times the median depth of the picture's lower half
_LEAST_TOLERANCE, _MOST_TOLERANCE = 0.02, 0.1  # limits of the relative depth within which two photos see one surface
_COARSER = 1.5  # times a photo's own spacing on a surface: a photo with a larger one is much coarser
_OVERLAP = 0.02  # share of a photo's points that another must see to be compared
_PROBES = 1000  # overlap and tolerance are measured by up to twice as many points of a photo


def clean(cameras: Sequence[Camera], pointmaps: Sequence[PointMap], pictures: Sequence[UInt8Array]) -> list[PointMap]:
    """The PointMaps without the points that are on no surface; `removed` gets the reason (EDGE, SKY or FREE_SPACE).

    A point's confidence is multiplied by the share of the photos that see its surface among those that see it or see
    through it, all weighted by confidence. `cameras`, `pointmaps` and `pictures` are in the same order, each picture
    (H, W, 3) of the size of its PointMap.
    """
    maps = []
    for camera, pointmap, picture in zip(cameras, pointmaps, pictures, strict=True):
        depth = pointmap.depth(camera)
        flying = pointmap.mask & edges(depth)
        in_sky = pointmap.mask & ~flying & sky(depth, picture)
        removed = (EDGE * flying + SKY * in_sky).astype(np.uint8)
        maps.append(replace(pointmap, mask=pointmap.mask & (removed == 0), removed=removed))
    neighbours, tolerance = _neighbours(cameras, maps)
    done = []
    for index, one in enumerate(maps):
        weights = one.confidence[one.mask].astype(np.float64)
        favour, against = weights.copy(), np.zeros_like(weights)
        for other in neighbours[index]:
            met = _meet(one, cameras[other], maps[other])
            favour += np.where(np.abs(met.ratio - 1) < tolerance, met.confidence, 0)
            against += np.where(met.ratio < 1 - tolerance, met.confidence, 0)
        confidence = one.confidence.copy()
        confidence[one.mask] = weights * favour / np.maximum(favour + against, 1e-12)
        cleaned = _marked(one, against > favour, FREE_SPACE)
        done.append(replace(cleaned, mask=cleaned.mask & (cleaned.removed != FREE_SPACE), confidence=confidence))
    return done


def _marked(pointmap: PointMap, gone: BoolArray, reason: int) -> PointMap:
    """The PointMap with `reason` recorded in `removed` for those of its K masked points that are `gone` (K,). The mask
    stays."""
    removed = np.zeros(pointmap.mask.shape, np.uint8) if pointmap.removed is None else pointmap.removed.copy()
    removed[pointmap.mask] = np.where(gone, reason, removed[pointmap.mask])
    return replace(pointmap, removed=removed)


def merge(
    cameras: Sequence[Camera],
    pointmaps: Sequence[PointMap],
    pictures: Sequence[UInt8Array],
    photos: Sequence[int],
) -> tuple[PointCloud, list[PointMap]]:
    """The masked points of all photos as one cloud in which each surface occurs once; and the PointMaps, whose
    `removed` says MERGED for the points that were dropped as another photo shows them.

    Where several photos see one surface, the most confident one's point stays, at the mean of all, weighted by
    confidence. A photo that sees a surface much more coarsely replaces no other's points. `photos` are the indices in
    Reconstruction.photos of the PointMaps' photos; `pictures` are as in `clean`.
    """
    neighbours, tolerance = _neighbours(cameras, pointmaps)
    parts, recorded = [], []
    for index, (camera, pointmap) in enumerate(zip(cameras, pointmaps, strict=True)):
        points = pointmap.points[pointmap.mask].astype(np.float64)
        weight = pointmap.confidence[pointmap.mask].astype(np.float64)
        total, mean = weight.copy(), weight[:, None] * points
        spacing = _spacing(camera, pointmap)[pointmap.mask]
        keep = np.ones(len(points), bool)
        for other in neighbours[index]:
            met = _meet(pointmap, cameras[other], pointmaps[other])
            same = np.abs(met.ratio - 1) < tolerance
            as_fine = _spacing(cameras[other], pointmaps[other])[met.row, met.column] < _COARSER * spacing
            more_confident = met.confidence >= weight if other < index else met.confidence > weight
            keep &= ~(same & more_confident & as_fine)
            mean += np.where(same, met.confidence, 0)[:, None] * pointmaps[other].points[met.row, met.column]
            total += np.where(same, met.confidence, 0)
        recorded.append(_marked(pointmap, ~keep, MERGED))
        positions = (mean / np.maximum(total, 1e-12)[:, None])[keep]
        parts.append(
            (
                positions.astype(np.float32),
                normals(pointmap.points, camera.world_from_camera[:3, 3])[pointmap.mask][keep],
                pictures[index][pointmap.mask][keep],
                pointmap.confidence[pointmap.mask][keep],
                np.full(int(keep.sum()), photos[index], np.int32),
            )
        )
    return PointCloud(*(np.concatenate(part) for part in zip(*parts, strict=True))), recorded


def edges(depth: FloatArray) -> BoolArray:
    """(H, W) bool: the pixels whose `depth` (H, W) lies between two surfaces and continues neither, along a row or
    column.

    Continuity is tested on inverse depth, which is linear over a plane. A pixel belongs to a surface when it lies on
    the line through the two pixels to one side of it, and that line is not so steep that it leads from one surface to
    another. A pixel with a neighbour that has no depth counts as continued. Pixels without depth are no edges.
    """
    with np.errstate(divide="ignore"):
        inverse = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0)
    flying = np.zeros(depth.shape, bool)
    for axis in (0, 1):
        continued = np.zeros(depth.shape, bool)
        for side in (1, -1):
            beside, beyond = np.roll(inverse, side, axis), np.roll(inverse, 2 * side, axis)
            on_line = np.abs(inverse - 2 * beside + beyond) < _OFF_LINE * inverse
            unknown = (beside <= 0) | (beyond <= 0)
            continued |= unknown | (on_line & (np.abs(inverse - beside) < _STEEP * inverse))
        inner = [slice(None), slice(None)]
        inner[axis] = slice(2, -2)  # np.roll brings the far border in
        flying[tuple(inner)] |= ~continued[tuple(inner)]
    return flying & (depth > 0)


def sky(depth: FloatArray, picture: UInt8Array) -> BoolArray:
    """(H, W) bool: the smooth, bright region that is connected to the picture's uppermost row and is either blue and
    far, or very far. `depth` (H, W) is camera z, `picture` (H, W, 3)."""
    colour = picture.astype(np.float64)
    grey = colour.mean(-1)
    change = np.maximum(
        np.abs(np.diff(grey, axis=0, append=grey[-1:])), np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
    )
    like_sky = (change < _SMOOTH) & (colour[..., 2] > _BRIGHT)
    lower = depth[depth.shape[0] // 2 :]
    away = depth / (np.median(lower[lower > 0]) if (lower > 0).any() else np.inf)
    like_sky &= ((colour[..., 2] > colour[..., 0] + _BLUE) & (away > _FAR)) | (away > _VERY_FAR)
    return _from_above(like_sky)


def _from_above(region: BoolArray) -> BoolArray:
    """The part of `region` (H, W) that is connected to the uppermost row."""
    reached = np.zeros_like(region)
    reached[0] = region[0]
    while True:
        dilated = reached.copy()
        dilated[1:] |= reached[:-1]
        dilated[:-1] |= reached[1:]
        dilated[:, 1:] |= reached[:, :-1]
        dilated[:, :-1] |= reached[:, 1:]
        dilated &= region
        if (dilated == reached).all():
            return reached
        reached = dilated


@dataclass(frozen=True)
class _Met:
    """One photo's K masked points in another photo, (K,) each: the `ratio` of their depth there to that of the other's
    surface, infinite where it has none; the other's `confidence`, 0 where it has no surface; its `row` and `column`."""

    ratio: FloatArray
    confidence: FloatArray
    row: IntArray
    column: IntArray


def _meet(pointmap: PointMap, other: Camera, theirs: PointMap, chosen: Array | slice = slice(None)) -> _Met:
    """The masked points of `pointmap`, or the `chosen` ones of them, compared with the photo of the camera `other`,
    whose PointMap is `theirs`."""
    points = pointmap.points[pointmap.mask][chosen].astype(np.float64)
    height, width = theirs.mask.shape
    photo_from_map = theirs.photo_from_map
    pixels = other.project(points)
    with np.errstate(invalid="ignore"):
        column = np.floor((pixels[:, 0] - photo_from_map.offset_x) / photo_from_map.scale_x)
        row = np.floor((pixels[:, 1] - photo_from_map.offset_y) / photo_from_map.scale_y)
        inside = (row >= 0) & (column >= 0) & (row < height) & (column < width)
    row, column = np.where(inside, row, 0).astype(int), np.where(inside, column, 0).astype(int)
    visible = inside & theirs.mask[row, column]
    row_z = other.camera_from_world[2]
    depth = points @ row_z[:3] + row_z[3]
    surface = theirs.points[row, column].astype(np.float64) @ row_z[:3] + row_z[3]
    ratio = np.where(visible, depth / np.where(visible, surface, 1), np.inf)
    return _Met(ratio, np.where(visible, theirs.confidence[row, column], 0).astype(np.float64), row, column)


def _neighbours(cameras: Sequence[Camera], maps: Sequence[PointMap]) -> tuple[list[list[int]], float]:
    """For each photo the numbers of those that see most of its points, and the tolerance: the relative depth within
    which two photos see one surface.

    The tolerance is three times the median disagreement of the points that two photos see within _MOST_TOLERANCE.
    """
    neighbours: list[list[int]] = []
    off = [np.zeros(0)]
    for index, pointmap in enumerate(maps):
        count = int(pointmap.mask.sum())
        probes = np.arange(0, count, max(1, count // _PROBES))
        shares = np.zeros(len(maps))
        for other in range(len(maps)):
            if other != index and count:
                error = np.abs(_meet(pointmap, cameras[other], maps[other], probes).ratio - 1)
                near = error < _MOST_TOLERANCE
                shares[other] = near.mean()
                off.append(error[near])
        order = np.argsort(-shares, kind="stable")[:NEIGHBOURS]
        neighbours.append([int(other) for other in order if shares[other] > _OVERLAP])
    every = np.concatenate(off)
    typical = float(np.median(every)) if len(every) else 0.0
    return neighbours, float(np.clip(3 * typical, _LEAST_TOLERANCE, _MOST_TOLERANCE))


def _spacing(camera: Camera, pointmap: PointMap) -> FloatArray:
    """(H, W) the distance of neighbouring pixels on a surface that faces the camera, in world units."""
    return pointmap.depth(camera) * (pointmap.photo_from_map.scale_x / camera.fx)


def normals(points: Array, centre: Array) -> Array:
    """(H, W, 3) float32 unit normals of a map of `points` (H, W, 3), on the side of `centre` (3,); zero where there is
    none.

    Along each axis the nearer neighbour gives the slope, so that normals beside an edge are right too.
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
