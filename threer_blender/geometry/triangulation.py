"""[R] Points in space from matches between photos whose cameras are known. numpy only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..reconstruction import Array, Camera, FloatArray

REFINEMENTS = 10


class Triangulated(NamedTuple):
    """`points` (M, 3) in the world; `errors` (M,) the larger reprojection error in photo pixels, infinite behind a
    camera; `angles` (M,) between the two rays in radians: near 0 the depth is a guess."""

    points: FloatArray
    errors: FloatArray
    angles: FloatArray


def triangulate(pixels_first: Array, pixels_second: Array, first: Camera, second: Camera) -> Triangulated:
    """The points that two cameras see at `pixels_first` and `pixels_second` (M, 2), in pixels of their photos.

    Subpixel matches and known cameras say more than a regressed pointmap: this is how multi-view stereo gets its
    accuracy. With c_v the cameras' centres, d_v the unit rays and z_v the point's depth in camera v, it minimises

        sum_v || (1 - d_v d_v^T) (X - c_v) ||² / z_v²,

    the error in the image plane up to the obliqueness of the ray: linear for given z, which are then renewed.
    """
    cameras = first, second
    centres = np.stack([camera.world_from_camera[:3, 3] for camera in cameras])
    rays = np.stack(
        [
            camera.rays(pixels) @ camera.world_from_camera[:3, :3].T
            for camera, pixels in zip(cameras, (pixels_first, pixels_second), strict=True)
        ]
    )
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    across = np.eye(3) - rays[..., :, None] * rays[..., None, :]
    weights = np.ones(rays.shape[:2])
    points = np.zeros(rays.shape[1:])
    for _ in range(REFINEMENTS):
        normal = np.einsum("vm,vmij->mij", weights, across)
        right = np.einsum("vm,vmij,vj->mi", weights, across, centres)
        # Parallel rays leave the depth open: the least change of the equations that closes it picks a finite one.
        points = np.linalg.solve(
            normal + 1e-12 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3), right[..., None]
        )[..., 0]
        depth = np.abs(np.einsum("vmi,vmi->vm", points - centres[:, None], rays))
        weights = 1 / np.maximum(depth, 1e-9 * depth.max()) ** 2
        weights /= weights.max(axis=0)
    errors = np.stack(
        [
            np.linalg.norm(camera.project(points) - pixels, axis=1)
            for camera, pixels in zip(cameras, (pixels_first, pixels_second), strict=True)
        ]
    )
    angles = np.arctan2(np.linalg.norm(np.cross(rays[0], rays[1]), axis=1), (rays[0] * rays[1]).sum(axis=1))
    return Triangulated(points, np.nan_to_num(errors, nan=np.inf).max(axis=0), angles)
