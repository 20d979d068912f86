"""[R] Dense depth of solved photos: PointMaps and a fused cloud by our own stereo (`geometry/stereo`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..geometry import panoramas, pointmaps, remap
from ..geometry.features.database import Excluded
from ..geometry.sfm.mapping import MappingSolution
from ..geometry.stereo import dense, fusion, panorama_views
from ..geometry.stereo.views import DepthMap, View
from ..model.arrays import Array, BoolArray
from ..model.engine import ReportStage, Stage
from ..model.reconstruction import Camera, Photo, PointCloud, PointMap
from ..pictures.photos import pixels

UNDISTORTING, DENSE = Stage("undistorting", "Preparing the photos"), Stage("dense", "Computing depth")
FUSING = Stage("fusing", "Fusing points")
QUALITIES = {"preview": dense.PREVIEW, "standard": dense.STANDARD, "high": dense.HIGH}


def plan(photos: Sequence[Photo], seconds: float) -> list[Stage]:
    """The stages of `pointmaps_and_cloud`. `seconds` are those for the depth of a view on two cores."""
    count = sum(len(panoramas.VIEWS) if photo.panorama else 1 for photo in photos)
    return [
        UNDISTORTING.weighing(0.1 * count),
        DENSE.weighing(seconds * count),
        FUSING.weighing(0.05 * seconds * count),
    ]


def pointmaps_and_cloud(
    photos: Sequence[Photo], solution: MappingSolution, quality: str, excluded: Excluded, report: ReportStage
) -> tuple[list[PointMap], PointCloud]:
    """The depth of each solved photo as a PointMap in the photo's pixels, and the fused cloud, without masked pixels.

    `quality` is a key of QUALITIES. Panoramas have points in the cloud but no PointMaps, since depth is computed for
    pinhole views cut from them. Raises UserError where a photo or a mask cannot be read, and `report`'s errors.
    """
    settings = QUALITIES[quality]
    numbers = {photo.name: index for index, photo in enumerate(photos)}
    views: list[View] = []
    view_cameras: list[Camera] = []
    for done, (camera, observed) in enumerate(zip(solution.cameras, solution.observed, strict=True)):
        report(UNDISTORTING, done, len(solution.cameras))
        photo = photos[numbers[camera.photo]]
        of_photo = pinhole_views(camera, photo, solution.positions[observed], observed, settings.long_side)
        views += of_photo
        view_cameras += [camera] * len(of_photo)
    depths = dense.estimate_depths(views, settings, lambda done, total: report(DENSE, done, total))
    depths = [
        _without_masked(depth, camera, view, excluded(photos[numbers[camera.photo]], (camera.width, camera.height)))
        for depth, camera, view in zip(depths, view_cameras, views, strict=True)
    ]
    fused = fusion.fuse(views, depths, lambda done, total: report(FUSING, done, total))
    maps = [
        pointmaps.from_ideal(
            camera, view.intrinsics, depth.depth, depth.normal, depth.confidence, settings.long_side, dense.TRUSTED
        )
        for camera, view, depth in zip(view_cameras, views, depths, strict=True)
        if not camera.distortion.is_panorama
    ]
    view_photos = np.array([numbers[camera.photo] for camera in view_cameras], np.int32)
    cloud = PointCloud(fused.positions, fused.normals, fused.colors, fused.confidence, view_photos[fused.view])
    return maps, cloud


def _without_masked(depth: DepthMap, camera: Camera, view: View, photo_mask: BoolArray | None) -> DepthMap:
    """The depth map of a pinhole view, with depth and confidence 0 at pixels that the photo's mask leaves out.

    `photo_mask` (H, W) is the mask of the photo that `camera` took; None without one.
    """
    if photo_mask is None:
        return depth
    height, width = depth.depth.shape
    white = np.repeat(255 * photo_mask[..., None].astype(np.uint8), 3, axis=-1)
    if camera.distortion.is_panorama:
        view_mask = panorama_views.view_of(camera, view, white)[..., 0]
    else:
        view_mask = remap.ideal_picture_of(white, camera, view.intrinsics, (width, height))[..., 0]
    masked = view_mask >= 128
    return replace(
        depth,
        depth=np.where(masked, np.float32(0), depth.depth),
        confidence=np.where(masked, np.float32(0), depth.confidence),
    )


def pinhole_views(camera: Camera, photo: Photo, points: Array, ids: Array, long_side: int) -> list[View]:
    """The pinhole view of a photo, or those of all sides of a panorama, small enough for dense stereo.

    `points` (N, 3) are the sparse points that the camera sees, and `ids` (N,) their indices. `long_side` is that of a
    view in pixels. Raises UserError where the photo is gone or has changed.
    """
    if photo.panorama:
        return panorama_views.cut(camera, pixels(photo, panoramas.width_for(long_side)), points, ids)
    intrinsics, size = pointmaps.ideal_picture(camera, long_side)
    # Twice the needed size is enough for exact resampling, and JPEGs decode much faster to it than to their full size.
    image = remap.ideal_picture_of(pixels(photo, 2 * long_side), camera, intrinsics, size)
    return [View(image, intrinsics, camera.world_from_camera, points, ids)]


def sparse_cloud(solution: MappingSolution, photos: Sequence[Photo]) -> PointCloud:
    """The sparse points of the solution as a cloud. Each belongs to the first camera that sees it, and faces it."""
    first_camera = np.full(len(solution.positions), -1, np.int32)
    towards = np.zeros_like(solution.positions)
    numbers = {photo.name: index for index, photo in enumerate(photos)}
    for camera, observed in reversed(list(zip(solution.cameras, solution.observed, strict=True))):
        first_camera[observed] = numbers[camera.photo]
        towards[observed] = camera.world_from_camera[:3, 3] - solution.positions[observed]
    visible = first_camera >= 0
    length = np.linalg.norm(towards[visible], axis=1, keepdims=True)
    return PointCloud(
        positions=solution.positions[visible].astype(np.float32),
        normals=(towards[visible] / np.maximum(length, 1e-12)).astype(np.float32),
        colors=solution.colors[visible],
        confidence=np.ones(int(visible.sum()), np.float32),
        photo=first_camera[visible],
    )
