"""[R] A camera's pose from points in the world and their pixels: PnP with RANSAC, by pycolmap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray

PNP_PIXELS = 5.0  # reprojection error up to which a point agrees with a pose
PNP_LEAST = 6  # points that must agree with a pose, since any three points agree with some pose
PNP_POINTS = 20_000  # up to twice as many points are used; more take time and add nothing
SEED = 0


class Pose(NamedTuple):
    """`camera_from_world` (4, 4), and `inliers` (N,) bool: which of the given points agree with it."""

    camera_from_world: FloatArray
    inliers: Array


def pnp(
    points: Array, pixels: Array, intrinsics: Array, size: tuple[int, int], error: float = PNP_PIXELS
) -> Pose | None:
    """The pose of the camera that sees world `points` (N, 3) at `pixels` (N, 2); None where fewer than PNP_LEAST agree.

    `intrinsics` (3, 3) is the known K, `size` the picture's width and height, `error` the largest reprojection error of
    an inlier in pixels. Points that are not finite are ignored. The method is LO-RANSAC over P3P, then a descent on the
    inliers' reprojection errors. Unlike least squares on all points (Procrustes), it is not misled by a region that is
    confident but wrong. The same input gives the same pose.
    """
    from .colmap import pycolmap

    usable = np.flatnonzero(np.isfinite(points).all(axis=1))
    sample = usable[:: max(1, len(usable) // PNP_POINTS)]
    if len(sample) < PNP_LEAST:
        return None
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    camera = pycolmap.Camera(model="PINHOLE", width=size[0], height=size[1], params=[fx, fy, cx, cy])
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = error
    options.ransac.random_seed = SEED
    estimate = pycolmap.estimate_and_refine_absolute_pose(
        np.asarray(pixels, np.float64)[sample], np.asarray(points, np.float64)[sample], camera, options
    )
    if estimate is None:
        return None
    pose = np.eye(4)
    pose[:3] = estimate["cam_from_world"].matrix()
    inliers = np.zeros(len(points), bool)
    local = np.asarray(points, np.float64)[usable] @ pose[:3, :3].T + pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        projected = local[:, :2] / local[:, 2:] * (fx, fy) + (cx, cy)
    inliers[usable] = (local[:, 2] > 0) & (np.linalg.norm(projected - pixels[usable], axis=1) < error)
    return Pose(pose, inliers) if inliers.sum() >= PNP_LEAST else None
