"""[R] A camera's pose from points in the world and their pixels: PnP with RANSAC, by pycolmap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray

PNP_PIXELS = 5.0  # reprojection error of a point that agrees with a pose
PNP_LEAST = 6  # points that agree; any three do
PNP_POINTS = 20_000  # are plenty; more only take time
SEED = 0


class Pose(NamedTuple):
    """`camera_from_world` (4, 4), and `inliers` (N,) bool: the given points that agree with it."""

    camera_from_world: FloatArray
    inliers: Array


def pnp(
    points: Array, pixels: Array, intrinsics: Array, size: tuple[int, int], error: float = PNP_PIXELS
) -> Pose | None:
    """The camera that sees world `points` (N, 3) at `pixels` (N, 2), or None where too few agree on one.

    `intrinsics` (3, 3) are known, `size` is the picture's width and height; `error` in pixels. LO-RANSAC over P3P, then
    reprojection errors of the inliers are minimised. Robust where Procrustes is not: one confident but wrong region
    moves no inlier. Repeats exactly.
    """
    from .colmap import pycolmap

    usable = np.flatnonzero(np.isfinite(points).all(axis=1))
    chosen = usable[:: max(1, len(usable) // PNP_POINTS)]
    if len(chosen) < PNP_LEAST:
        return None
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    camera = pycolmap.Camera(model="PINHOLE", width=size[0], height=size[1], params=[fx, fy, cx, cy])
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = error
    options.ransac.random_seed = SEED
    estimate = pycolmap.estimate_and_refine_absolute_pose(
        np.asarray(pixels, np.float64)[chosen], np.asarray(points, np.float64)[chosen], camera, options
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
