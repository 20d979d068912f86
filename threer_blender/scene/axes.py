"""[B] Blender's axes (z up; cameras look along -z with y up), and the conversions between them and ours.

Everything under a root empty is in the Reconstruction's own world coordinates. The root's matrix alone brings them
upright, puts the ground at z = 0, lets the first camera look along +y (Blender's front view), and gives the scene a
handy size. The artist may change the root.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mathutils import Matrix

from ..model.arrays import Array, FloatArray
from ..model.directions import OPENCV_FROM_OPENGL, UP_IS_MINUS_Y, geometric_median, level_up
from ..model.reconstruction import Camera, Reconstruction

# The rotation to Blender's world (z up) from a world with y down and z forward, such as that of splat files.
BLENDER_FROM_Y_DOWN = Matrix(((1, 0, 0, 0), (0, 0, 1, 0), (0, -1, 0, 0), (0, 0, 0, 1)))

HANDY_DISTANCE = 5.0  # metres from camera to points, where the reconstruction is not metric
GROUND_PERCENTILE = 2.0  # of the points' heights: the ground, where nothing better is known; points below are noise
SAMPLED_POINTS = 20_000  # of the cloud, picked evenly; up to twice as many where the division leaves a rest
FLOOR_CONES = (15.0, 10.0, 5.0)  # degrees about up, within which normals count as those of a floor
FLOOR_SHARE = 0.05  # of all points: fewer make no floor


def camera_matrix(camera: Camera) -> Matrix:
    """The local matrix, under the root, of a Blender camera that looks as `camera` does."""
    return Matrix((camera.world_from_camera @ OPENCV_FROM_OPENGL).tolist())


def world_from_camera(obj: Any) -> FloatArray:
    """(4, 4) the pose of a Blender camera under its root, as a Reconstruction has it."""
    matrix: FloatArray = np.array(obj.matrix_basis.normalized()) @ OPENCV_FROM_OPENGL
    return matrix


def blender_from_world(up: Sequence[float]) -> Matrix:
    """The rotation to Blender's world from a world whose up is the unit vector `up`.

    It is BLENDER_FROM_Y_DOWN after the smallest rotation that takes `up` to minus y.
    """
    half = np.add(up, UP_IS_MINUS_Y)
    rotation = np.diag((1.0, -1.0, -1.0))  # for an `up` along y: 180 degrees about x
    # Else 180 degrees about the vector halfway, then about y. It is free of rounding where `up` is along an axis.
    if half.any():
        rotation = np.diag((-1.0, 1.0, -1.0)) @ (np.outer(half, half) * (2 / (half @ half)) - np.eye(3))
    return BLENDER_FROM_Y_DOWN @ Matrix(rotation.tolist()).to_4x4()


def sampled_points(reconstruction: Reconstruction) -> tuple[Array, Array]:
    """Positions and normals (N, 3) of about SAMPLED_POINTS trusted points, picked evenly; of any points if none is."""
    cloud = reconstruction.cloud
    if cloud is None:
        return np.empty((0, 3), np.float32), np.empty((0, 3), np.float32)
    stride = max(1, len(cloud) // SAMPLED_POINTS)
    trusted = cloud.confidence[::stride] >= reconstruction.trusted_confidence
    chosen = trusted if trusted.any() else np.ones_like(trusted)
    return cloud.positions[::stride][chosen], cloud.normals[::stride][chosen]


def visible_depths(camera: Camera, points: Array) -> FloatArray:
    """Depths (K,) of those of the world points (N, 3) that lie in the camera's picture."""
    depths = camera.depths(points)
    with np.errstate(invalid="ignore"):
        pixels = camera.project(points)
        inside = (depths > 0) & (pixels >= 0).all(axis=-1) & (pixels <= (camera.width, camera.height)).all(axis=-1)
    in_view: FloatArray = depths[inside]
    return in_view


def up_direction(cameras: list[Camera]) -> FloatArray:
    """The unit vector (3,) in the reconstruction's world that points up, as most photos are displayed upright.

    The horizons of the cameras count as level (`model.directions`). Photos that stand sideways are outvoted.
    """
    rotations = np.array([camera.world_from_camera[:3, :3] for camera in cameras])
    ups, rights = -rotations[:, :, 1], rotations[:, :, 0]
    mean = geometric_median(ups)
    agreeing = ups @ mean > 0.5
    mean = ups[agreeing].mean(axis=0) if agreeing.any() else mean
    mean /= np.linalg.norm(mean)
    rights = rights[agreeing] if agreeing.any() else rights
    return level_up(rights.T @ rights / len(rights), mean)[0]


def levelled(up: FloatArray, normals: Array) -> FloatArray:
    """`up` (3,), corrected to the normal of floors and tables; unchanged where `normals` (N, 3) show none near it.

    A mean shift in narrowing cones: where there is no floor, the normals in a cone are few or lie evenly about `up`.
    """
    level = up
    for cone in FLOOR_CONES:
        near = normals[normals @ level > np.cos(np.radians(cone))]
        if len(near) < max(3, FLOOR_SHARE * len(normals)):
            return up
        level = near.mean(axis=0, dtype=np.float64)
        level = level / np.linalg.norm(level)
    return level


def _forward(camera: Camera, up: FloatArray) -> FloatArray:
    """The horizontal direction that the camera looks in; where it looks straight down, that of its picture's top."""
    candidates = (camera.world_from_camera[:3, 2], -camera.world_from_camera[:3, 1])
    level = [direction - (direction @ up) * up for direction in candidates]
    forward = level[0] if np.linalg.norm(level[0]) > 0.1 else level[1]
    direction: FloatArray = forward / np.linalg.norm(forward)
    return direction


def root_matrix(reconstruction: Reconstruction) -> Matrix:
    """The root's matrix: Blender's world (z up, ground at 0) from the reconstruction's, which must have cameras."""
    if reconstruction.z_up:  # then the reconstruction's coordinates are Blender's
        return Matrix()
    cameras = reconstruction.cameras
    points, normals = sampled_points(reconstruction)
    upright = reconstruction.upright
    up = levelled(up_direction(cameras), normals) if upright is None else upright.up
    forward = _forward(cameras[0], up)
    rotation = np.array((np.cross(forward, up), forward, up))

    marks = points if len(points) else np.array([camera.world_from_camera[:3, 3] for camera in cameras])
    level_marks = marks @ rotation.T  # z up, unscaled
    ground = None if upright is None else upright.ground
    height = np.percentile(level_marks[:, 2], GROUND_PERCENTILE) if ground is None else ground
    origin = np.append(np.median(level_marks[:, :2], axis=0), height)

    scale = 1.0
    distances = [np.median(depths) for camera in cameras if len(depths := visible_depths(camera, points))]
    if not reconstruction.metric and distances:
        scale = HANDY_DISTANCE / float(np.median(distances))
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = -scale * origin
    return Matrix(matrix.tolist())
