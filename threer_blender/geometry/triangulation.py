"""[R] Points in space from matches between photos whose cameras are known. numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Camera

REFINEMENTS = 5  # Gauss-Newton steps
LEAST_DEPTH = 1e-9  # world units; to divide by a smaller depth, this one is taken


class Triangulated(NamedTuple):
    """`points` (M, 3) in the world; `errors` (M,) the larger of the two reprojection errors in photo pixels, infinite
    behind a camera; `angles` (M,) between the two rays in radians. Near an angle of 0 the depth is a guess."""

    points: FloatArray
    errors: FloatArray
    angles: FloatArray


def triangulate(pixels_first: Array, pixels_second: Array, first: Camera, second: Camera) -> Triangulated:
    """The points that two cameras see at `pixels_first` and `pixels_second` (M, 2), in pixels of their photos.

    Each point starts at the middle of the shortest segment between its two rays. Gauss-Newton then minimises

        sum_v || f_v (pi(R_v (X - c_v)) - u_v) ||²,      pi(x, y, z) = (x, y) / z,

    over the two views v, with rotation R_v (camera from world), centre c_v, focal lengths f_v, and the undistorted,
    normalised pixel u_v.
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
    """(M, 3) the points nearest to both unit rays (2, M, 3) from the centres (2, 3)."""
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    return _solved(across.sum(axis=0), np.einsum("vmij,vj->mi", across, centres))


def _step(
    points: FloatArray, targets: FloatArray, rotations: FloatArray, centres: FloatArray, focals: FloatArray
) -> FloatArray:
    """(M, 3) one Gauss-Newton step of the points towards their `targets` (2, M, 2), undistorted normalised pixels."""
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
    """(M, 3) solutions of `matrices` (M, 3, 3) x = `right` (M, 3). A direction that parallel rays leave open stays
    about 0."""
    size = np.trace(matrices, axis1=1, axis2=2)[:, None, None]
    solved: FloatArray = np.linalg.solve(matrices + 1e-12 * size * np.eye(3), right[..., None])[..., 0]
    return solved
