"""[R] Where cameras stand, from their pointmaps: Procrustes; PnP with RANSAC, which needs pycolmap. numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.reconstruction import Array, FloatArray

PNP_PIXELS = 5.0  # reprojection error of a point that agrees with a pose
PNP_LEAST = 6  # points that agree; any three do
PNP_POINTS = 20_000  # are plenty; more only take time
SEED = 0


class Similarity(NamedTuple):
    """y = `scale` × `rotation` (3, 3) x + `translation` (3,)."""

    scale: float
    rotation: FloatArray
    translation: FloatArray

    def apply(self, points: Array) -> FloatArray:
        """The points (..., 3) moved."""
        moved: FloatArray = self.scale * np.asarray(points, np.float64) @ self.rotation.T + self.translation
        return moved

    @property
    def inverse(self) -> Similarity:
        """The way back."""
        back = self.rotation.T
        return Similarity(1 / self.scale, back, -back @ self.translation / self.scale)


class Pose(NamedTuple):
    """`camera_from_world` (4, 4), and `inliers` (N,) bool: which of the given points agree with it."""

    camera_from_world: FloatArray
    inliers: Array


def procrustes(source: Array, target: Array, weights: Array, with_scale: bool = True) -> Similarity:
    """The similarity that takes points `source` (N, 3) to `target` (N, 3) best:

        argmin  sum_i w_i || s R x_i + t - y_i ||²,      R^T R = 1, det R = 1

    with s = 1 unless `with_scale`. Closed form of Umeyama (1991). Points that are not finite on either side count
    nothing. Raises ValueError where they do not fix a rotation: fewer than three, or all on a line.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    usable = np.isfinite(source).all(axis=1) & np.isfinite(target).all(axis=1) & (weights > 0)
    source, target, share = source[usable], target[usable], np.asarray(weights, np.float64)[usable]
    if len(share) < 3:
        raise ValueError("fewer than three points to align")
    share = share / share.sum()
    middle_source, middle_target = share @ source, share @ target
    source, target = source - middle_source, target - middle_target
    covariance = (target * share[:, None]).T @ source
    left, values, right = np.linalg.svd(covariance)
    if values[1] <= 1e-9 * values[0]:
        raise ValueError("the points to align lie on a line")
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right))])
    rotation = (left * signs) @ right
    scale = float((values * signs).sum() / (share @ (source**2).sum(axis=1))) if with_scale else 1.0
    return Similarity(scale, rotation, middle_target - scale * rotation @ middle_source)


def pnp(
    points: Array, pixels: Array, intrinsics: Array, size: tuple[int, int], error: float = PNP_PIXELS
) -> Pose | None:
    """The camera that sees world `points` (N, 3) at `pixels` (N, 2), or None where too few agree on one.

    `intrinsics` (3, 3) are known, `size` is the picture's width and height; `error` in pixels. LO-RANSAC over P3P, then
    reprojection errors of the inliers are minimised. Robust where Procrustes is not: one confident but wrong region
    moves no inlier. Repeats exactly.
    """
    import pycolmap

    usable = np.flatnonzero(np.isfinite(points).all(axis=1))
    chosen = usable[:: max(1, len(usable) // PNP_POINTS)]
    fx, fy, cx, cy = intrinsics[0, 0], intrinsics[1, 1], intrinsics[0, 2], intrinsics[1, 2]
    camera = pycolmap.Camera(model="PINHOLE", width=size[0], height=size[1], params=[fx, fy, cx, cy])
    options = pycolmap.AbsolutePoseEstimationOptions()
    options.ransac.max_error = error
    options.ransac.random_seed = SEED
    if len(chosen) < PNP_LEAST:
        return None
    found = pycolmap.estimate_and_refine_absolute_pose(
        np.asarray(pixels, np.float64)[chosen], np.asarray(points, np.float64)[chosen], camera, options
    )
    if found is None:
        return None
    pose = np.eye(4)
    pose[:3] = found["cam_from_world"].matrix()
    inliers = np.zeros(len(points), bool)
    local = np.asarray(points, np.float64)[usable] @ pose[:3, :3].T + pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = local[:, :2] / local[:, 2:] * (fx, fy) + (cx, cy)
    inliers[usable] = (local[:, 2] > 0) & (np.linalg.norm(seen - pixels[usable], axis=1) < error)
    return Pose(pose, inliers) if inliers.sum() >= PNP_LEAST else None
