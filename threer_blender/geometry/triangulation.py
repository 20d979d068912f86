"""[R] Points in space from matches between photos whose cameras are known. numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera

REFINEMENTS = 5
LEAST_DEPTH = 1e-9  # world units; smaller depths are divided by as this


class Triangulated(NamedTuple):
    """`points` (M, 3) in the world; `errors` (M,) the larger reprojection error in photo pixels, infinite behind a
    camera; `angles` (M,) between the two rays in radians: near 0 the depth is a guess."""

    points: FloatArray
    errors: FloatArray
    angles: FloatArray


def triangulate(pixels_first: Array, pixels_second: Array, first: Camera, second: Camera) -> Triangulated:
    """The points that two cameras see at `pixels_first` and `pixels_second` (M, 2), in pixels of their photos.

    Subpixel matches and known cameras are more exact than a regressed pointmap, as in multi-view stereo. The start is
    the middle of the two rays' shortest connection; then

        sum_v || f_v (pi(R_v (X - c_v)) - u_v) ||²,      pi(x, y, z) = (x, y) / z,

    with f_v the focal lengths and u_v the undistorted, normalised pixels, is minimised by Gauss-Newton.
    """
    cameras, pixels = (first, second), (pixels_first, pixels_second)
    local_rays = np.stack([camera.rays(observed) for camera, observed in zip(cameras, pixels, strict=True)])
    centres = np.stack([camera.world_from_camera[:3, 3] for camera in cameras])
    rotations = np.stack([camera.camera_from_world[:3, :3] for camera in cameras])
    focals = np.array([(camera.fx, camera.fy) for camera in cameras])
    rays = np.einsum("vji,vmj->vmi", rotations, local_rays)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    points = _middle(rays, centres)
    for _ in range(REFINEMENTS):
        points = points + _step(points, local_rays[..., :2], rotations, centres, focals)
    errors = np.stack(
        [
            np.linalg.norm(camera.project(points) - observed, axis=1)
            for camera, observed in zip(cameras, pixels, strict=True)
        ]
    )
    angles = np.arctan2(np.linalg.norm(np.cross(rays[0], rays[1]), axis=1), (rays[0] * rays[1]).sum(axis=1))
    return Triangulated(points, np.nan_to_num(errors, nan=np.inf).max(axis=0), angles)


def _middle(rays: FloatArray, centres: FloatArray) -> FloatArray:
    """(M, 3) the points nearest to both rays (2, M, 3) from the centres (2, 3)."""
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    return _solved(across.sum(axis=0), np.einsum("vmij,vj->mi", across, centres))


def _step(
    points: FloatArray, targets: FloatArray, rotations: FloatArray, centres: FloatArray, focals: FloatArray
) -> FloatArray:
    """(M, 3) one step of Gauss-Newton towards the `targets` (2, M, 2) on the cameras' normalised planes."""
    local = np.einsum("vij,vmj->vmi", rotations, points - centres[:, None])
    depth = np.where(np.abs(local[..., 2:]) > LEAST_DEPTH, local[..., 2:], LEAST_DEPTH)
    plane = local[..., :2] / depth
    slopes = (
        (rotations[:, None, :2] - plane[..., None] * rotations[:, None, 2:])
        / depth[..., None]
        * focals[:, None, :, None]
    )
    residuals = (targets - plane) * focals[:, None]
    return _solved(np.einsum("vmki,vmkj->mij", slopes, slopes), np.einsum("vmki,vmk->mi", slopes, residuals))


def _solved(matrices: FloatArray, right: FloatArray) -> FloatArray:
    """(M, 3) solutions; where parallel rays leave a direction open, the smallest."""
    size = np.trace(matrices, axis1=1, axis2=2)[:, None, None]
    solved: FloatArray = np.linalg.solve(matrices + 1e-12 * size * np.eye(3), right[..., None])[..., 0]
    return solved
