"""[R] Refines the cameras of any engine by bundle adjustment of features, and moves the points along.

Matches are made and verified without these cameras, so cameras that are a few degrees off lose none. Only pairs that
the cameras contradict strongly are dropped, such as those between two objects that look the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np

from ..geometry.adjustment.bundle_adjustment import NO_UNKNOWNS, AdjustmentSettings, Refined, Unknowns, lenses, refine
from ..geometry.adjustment.tracks import PairMatches, Tracks, link
from ..geometry.colmap import pycolmap
from ..geometry.features import features
from ..geometry.features.database import Excluded, Matched, Pixels, Search, nothing_excluded
from ..model.arrays import FloatArray
from ..model.engine import Check, ReportStage, Stage, unchecked
from ..model.errors import UserError
from ..model.reconstruction import Camera, Photo, PointCloud, PointMap, Reconstruction

REFINING = Stage("refining", "Refining cameras", 0.5)
# The weights are seconds per photo.
STAGES = (features.FEATURES.weighing(2.0), features.MATCHES.weighing(3.0), REFINING)
QUALITY = "standard"
LEAST_MATCHES = 15  # verified matches from which a pair counts: COLMAP's threshold
# Degrees: where the median angle between a pair's rays and epipolar planes is larger, the pair is dropped. Cameras that
# are 2 degrees off cause up to 4.
CONTRADICTION = 8.0
SHORTEST_BASE = 1e-6  # share of the cameras' extent; cameras closer to each other have no epipolar planes
# Number of photos that share a lens -> the unknowns of all lenses. The lens with the most photos decides.
# On photo sets with true cameras, ten photos suffice to separate the principal point from rotation, and five to
# separate distortion from depth. A lens with a single photo is solved, too, such as that of one portrait photo among
# landscape ones: the other photos determine the points that it sees. Fixed at wrong values, it would distort the whole
# result.
LENS_PHOTOS = (
    (10, Unknowns(principal_point=True, distortion="RADIAL")),
    (5, Unknowns(distortion="SIMPLE_RADIAL")),
    (1, Unknowns()),
)
COUNTED_AS_SHARING = 5  # photos: up to so many count as sharing a lens even if they do not, as they see the same points


def plan(photos: int, intrinsics: str) -> list[Stage]:
    """The stages of `refined` for so many photos; none where `intrinsics` is "off"."""
    return [] if intrinsics == "off" else [stage.weighing(stage.weight * photos) for stage in STAGES]


def refined(
    reconstruction: Reconstruction,
    intrinsics: str,
    pixels: Pixels,
    report: ReportStage,
    matching: ModuleType = features,
    excluded: Excluded = nothing_excluded,
) -> Reconstruction:
    """The reconstruction with cameras that were refined on features of the photos, and with its points moved along.

    `intrinsics` is a choice of `engines.options.REFINE`; with "off", the reconstruction is returned as it is. `pixels`
    decodes a photo. `matching` is the module that finds and matches features: `features` (SIFT) or `learned_features`
    (ALIKED). `excluded` returns the mask of a photo, where features are ignored. Raises UserError for a result with
    splats, and `report`'s errors.
    """
    if intrinsics == "off":
        return reconstruction
    if reconstruction.gaussians is not None:
        raise UserError("The splats would no longer fit refined cameras; refine a result without splats.")
    with tempfile.TemporaryDirectory() as folder:
        settings = matching.QUALITIES[QUALITY]
        search = Search(camera_photos(reconstruction), pixels, Path(folder), settings, report, excluded)
        tracks = photo_tracks(reconstruction, matching.extract_and_match(search))
    report(REFINING, 0, 1)
    better = refined_by(reconstruction, tracks, intrinsics, lambda: report(REFINING, 0, 1))
    report(REFINING, 1, 1)
    return better


def refined_by(
    reconstruction: Reconstruction, tracks: Tracks, intrinsics: str, check: Check = unchecked
) -> Reconstruction:
    """As `refined`, but by existing tracks, such as those of a network.

    The tracks' `camera` are indices of the reconstruction's cameras. `check` is called between steps and may raise.
    """
    adjusted = refine(reconstruction.cameras, tracks, settings_for(reconstruction, intrinsics), check)
    return with_adjusted_cameras(reconstruction, adjusted)


def settings_for(reconstruction: Reconstruction, intrinsics: str) -> AdjustmentSettings:
    """The settings of the adjustment. The more photos share a lens, the more of its parameters are unknowns.

    With the `intrinsics` "shared", photos of the same size and EXIF focal length share a lens. With "per-photo", each
    photo has its own. With "known", the lenses stay as they are.
    """
    if intrinsics == "known":
        return AdjustmentSettings(unknowns=NO_UNKNOWNS)
    numbers = lenses(camera_photos(reconstruction), intrinsics == "shared")
    photos_per_lens = max(np.bincount(numbers, minlength=1).max(), min(len(numbers), COUNTED_AS_SHARING))
    unknowns = next(unknowns for fewest, unknowns in LENS_PHOTOS if photos_per_lens >= fewest)
    return AdjustmentSettings(numbers, unknowns)


def camera_photos(reconstruction: Reconstruction) -> list[Photo]:
    """The photos of the cameras, in the order of the cameras."""
    by_name = {photo.name: photo for photo in reconstruction.photos}
    return [by_name[camera.photo] for camera in reconstruction.cameras]


# ----------------------------------------------------------------------------------------------- tracks
def photo_tracks(reconstruction: Reconstruction, matched: Matched) -> Tracks:
    """The tracks of features in the photos that have cameras, with the trusted depths of their pointmaps.

    `matched` holds the matches between these photos, in the order of the cameras.
    """
    cameras = reconstruction.cameras
    with pycolmap.Database.open(matched.path) as database:
        keypoints = [
            database.read_keypoints(i + 1)[:, :2] * (np.array([photo.width, photo.height]) / matched.sizes[i])
            for i, photo in enumerate(matched.photos)
        ]
        pairs = []
        for i, j in matched.pairs[matched.inliers >= LEAST_MATCHES].tolist():
            matches = database.read_two_view_geometry(i + 1, j + 1).inlier_matches
            pair = PairMatches(i, j, matches[:, 0], matches[:, 1], len(matches))
            if not contradicted(cameras, keypoints, pair):
                pairs.append(pair)
    return with_depths(link(keypoints, pairs), reconstruction)


def contradicted(cameras: Sequence[Camera], keypoints: Sequence[FloatArray], pair: PairMatches) -> bool:
    """Whether the cameras contradict a pair: its rays are too far from their epipolar planes (CONTRADICTION).

    `keypoints` are pixels (K, 2) for each camera. Cameras at the same place never contradict a pair.
    """
    first, second = cameras[pair.first], cameras[pair.second]
    base = second.world_from_camera[:3, 3] - first.world_from_camera[:3, 3]
    centres = np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    if np.linalg.norm(base) <= SHORTEST_BASE * max(1e-30, float(np.ptp(centres, axis=0).max())):
        return False
    rays = [
        camera.rays(keypoints[index][rows]) @ camera.world_from_camera[:3, :3].T
        for camera, index, rows in (
            (first, pair.first, pair.keypoints_first),
            (second, pair.second, pair.keypoints_second),
        )
    ]
    planes = np.cross(base, rays[0])  # normals of the epipolar planes through the first camera's rays
    sine = np.abs((planes * rays[1]).sum(axis=1)) / (np.linalg.norm(planes, axis=1) * np.linalg.norm(rays[1], axis=1))
    return float(np.degrees(np.arcsin(np.nanmedian(sine).clip(0, 1)))) > CONTRADICTION


def with_depths(tracks: Tracks, reconstruction: Reconstruction) -> Tracks:
    """The tracks, with the depth of each observation in its photo's pointmap; NaN where that is not trusted."""
    depth = np.full(len(tracks.depth), np.nan)
    maps = {pointmap.photo: pointmap for pointmap in reconstruction.pointmaps}
    for index, camera in enumerate(reconstruction.cameras):
        pointmap = maps.get(camera.photo)
        if pointmap is None:
            continue
        rows = np.flatnonzero(tracks.camera == index)
        height, width = pointmap.mask.shape
        map_pixels = (tracks.pixels[rows] - pointmap.photo_from_map[2:]) / pointmap.photo_from_map[:2]
        column, row = np.floor(map_pixels).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        column, row = column.clip(0, width - 1), row.clip(0, height - 1)
        z = pointmap.depth(camera)[row, column]
        depth[rows] = np.where(inside & pointmap.mask[row, column] & (z > 0), z, np.nan)
    return replace(tracks, depth=depth)


# ----------------------------------------------------------------------------------------------- the result
def with_adjusted_cameras(reconstruction: Reconstruction, adjusted: Refined) -> Reconstruction:
    """The reconstruction with the adjusted cameras. Each point of pointmaps and cloud moves with its pixel's ray.

    The depths of a photo are multiplied by one factor, the median over its tracked points, so that the maps of several
    photos meet. Photos whose cameras could not be adjusted keep their points.
    """
    old = {camera.photo: camera for camera in reconstruction.cameras}
    new, factors = {}, {}
    for index, camera in enumerate(adjusted.cameras):
        if np.isnan(adjusted.after[index]):
            continue
        before = float(adjusted.before[index])
        new[camera.photo] = replace(camera, undistorted="", error_before=before if np.isfinite(before) else None)
        factors[camera.photo] = adjusted.depth_factor(index)
    pointmaps = [
        _moved_map(pointmap, old[pointmap.photo], new[pointmap.photo], factors[pointmap.photo])
        if pointmap.photo in new
        else pointmap
        for pointmap in reconstruction.pointmaps
    ]
    cloud = None if reconstruction.cloud is None else _moved_cloud(reconstruction, old, new, factors)
    return replace(
        reconstruction,
        cameras=[new.get(camera.photo, replace(camera, undistorted="")) for camera in reconstruction.cameras],
        pointmaps=pointmaps,
        cloud=cloud,
    )


def _moved_map(pointmap: PointMap, old: Camera, new: Camera, factor: float) -> PointMap:
    """The pointmap on the rays of the new camera, with its depths multiplied by `factor`."""
    depth = pointmap.depth(old) * factor
    local = new.rays(pointmap.photo_pixels()) * depth[..., None]
    finite = np.isfinite(local).all(axis=-1)
    points = np.where(finite[..., None], _to_world(new, local), 0).astype(np.float32)
    return replace(pointmap, points=points, mask=pointmap.mask & finite)


def _moved_cloud(
    reconstruction: Reconstruction, old: Mapping[str, Camera], new: Mapping[str, Camera], factors: Mapping[str, float]
) -> PointCloud:
    """The cloud, with each point moved from the old ray of its photo's pixel to the new one.

    Depths are multiplied by the photos' factors. Points without a new ray stay.
    """
    assert reconstruction.cloud is not None
    positions, normals = reconstruction.cloud.positions.copy(), reconstruction.cloud.normals.copy()
    for number, photo in enumerate(reconstruction.photos):
        if photo.name not in new:
            continue
        of_photo = np.flatnonzero(reconstruction.cloud.photo == number)
        before, after = old[photo.name], new[photo.name]
        depth_row = before.camera_from_world[2]
        depth = (positions[of_photo].astype(np.float64) @ depth_row[:3] + depth_row[3]) * factors[photo.name]
        moved = _to_world(after, after.rays(before.project(positions[of_photo])) * depth[:, None])
        positions[of_photo] = np.where(np.isfinite(moved), moved, positions[of_photo])
        rotation = after.world_from_camera[:3, :3] @ before.world_from_camera[:3, :3].T
        normals[of_photo] = normals[of_photo] @ rotation.T
    return replace(reconstruction.cloud, positions=positions, normals=normals)


def _to_world(camera: Camera, local: FloatArray) -> FloatArray:
    """Points (..., 3) from the camera's frame to the world's."""
    moved: FloatArray = local @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]
    return moved
