"""[B] Brings a second solve's world onto the first solve's.

Photos do not tell the origin, the rotation and the scale of a world, so each solve has a world of its own. The artist's
alignment belongs to the first one. So a second solve is moved, rotated and scaled until the cameras of both agree. The
root stores that similarity, for everything that is made from the bundle later.
"""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from ..model import shared_cameras
from ..model.arrays import Array, FloatArray
from ..model.reconstruction import Reconstruction, Shot
from ..model.reconstruction_transform import transformed
from . import axes, identity

WORLD = "threer_world"  # on the root: its world from the bundle's, 16 numbers row by row; absent where it is the same
SAME = 1e-4  # a similarity this near to the identity counts as that: the same result was imported again


def under(root: bpy.types.Object, reconstruction: Reconstruction) -> Reconstruction:
    """The Reconstruction of the root's bundle, in the root's world instead of the bundle's."""
    if WORLD not in root:
        return reconstruction
    return transformed(reconstruction, np.array(root[WORLD], np.float64).reshape(4, 4))


def shot_under(root: bpy.types.Object, shot: Shot) -> Shot:
    """A shot of the root's bundle, in the root's world instead of the bundle's."""
    return under(root, Reconstruction("", "", [], [], shots=[shot])).shots[0]


def points_under(root: bpy.types.Object, points: Array) -> Array:
    """World points (N, 3) float32 of the root's bundle, in the root's world instead of the bundle's."""
    if WORLD not in root:
        return points
    matrix = np.array(root[WORLD], np.float64).reshape(4, 4)
    moved: Array = (points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    return moved


def points_in_bundle(root: bpy.types.Object, points: Array) -> Array:
    """Points (N, 3) of the root's world, in the world of its bundle: the inverse of `points_under`."""
    if WORLD not in root:
        return points
    matrix = np.linalg.inv(np.array(root[WORLD], np.float64).reshape(4, 4))
    moved: Array = (points @ matrix[:3, :3].T + matrix[:3, 3]).astype(np.float32)
    return moved


def in_scene(root: bpy.types.Object, reconstruction: Reconstruction) -> Reconstruction:
    """The Reconstruction of the root's bundle as it stands in the scene: with the artist's alignment, but y down.

    So what another program makes from it comes back to the same place on import. Raises UserError where the artist has
    scaled the root unevenly or mirrored it.
    """
    in_blender = np.array(axes.BLENDER_FROM_Y_DOWN.inverted() @ root.matrix_world)
    return transformed(under(root, reconstruction), in_blender)


def root_from_solved(
    reconstruction: Reconstruction, existing: Mapping[str, bpy.types.Object], root: bpy.types.Object
) -> FloatArray | None:
    """(4, 4) the similarity that brings a new solve onto the cameras under `root`; None where it is the identity.

    `existing` are the objects of the earlier solve by role.
    """
    roles = identity.camera_roles(reconstruction.photos)
    objects = {camera.photo: existing.get(roles[camera.photo]) for camera in reconstruction.cameras}
    both = [
        (camera.world_from_camera, axes.world_from_camera(obj))
        for camera in reconstruction.cameras
        if (obj := objects[camera.photo]) is not None and obj.parent == root
    ]
    if not both:
        return None
    solved, standing = (np.array(poses) for poses in zip(*both, strict=True))
    matrix = shared_cameras.align(solved, standing).target_from_source
    return None if np.abs(matrix - np.eye(4)).max() < SAME else matrix
