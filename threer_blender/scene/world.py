"""[B] A second solve's world, brought onto the first one's.

Photos do not tell where a world's origin is, how it is turned and how large it is: each solve has a world of its own.
The artist's alignment is that of the first. So a second solve is moved, turned and scaled until the cameras of both
agree, and the root remembers how, for what is made of the bundle later.
"""

from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from ..model.arrays import FloatArray
from ..model.reconstruction import Reconstruction, Shot
from ..model.reconstruction_transform import transformed
from . import axes, identity

WORLD = "threer_world"  # on the root: its world from the bundle's, 16 numbers, row by row; absent where they are one
ALIKE = np.radians(0.5)  # two cameras that are turned alike
SAME = 1e-4  # a similarity this near to none is none: the same result, imported again


def under(root: bpy.types.Object, reconstruction: Reconstruction) -> Reconstruction:
    """The Reconstruction of the root's bundle in the root's world."""
    if WORLD not in root:
        return reconstruction
    return transformed(reconstruction, np.array(root[WORLD], np.float64).reshape(4, 4))


def shot_under(root: bpy.types.Object, shot: Shot) -> Shot:
    """A shot of the root's bundle in the root's world."""
    return under(root, Reconstruction("", "", [], [], shots=[shot])).shots[0]


def in_scene(root: bpy.types.Object, reconstruction: Reconstruction) -> Reconstruction:
    """The Reconstruction of the root's bundle as it stands in the scene: upright, to the artist's scale, with y down.

    Work that another program bases on it, and that this extension imports, stands at the same place. Raises UserError
    where the artist has scaled the root unevenly or mirrored it.
    """
    in_blender = np.array(axes.UPRIGHT.inverted() @ root.matrix_world)
    return transformed(under(root, reconstruction), in_blender)


def root_from_solved(
    reconstruction: Reconstruction, existing: Mapping[str, bpy.types.Object], root: bpy.types.Object
) -> FloatArray | None:
    """(4, 4) the similarity that brings a new solve onto the cameras that stand under `root`; None where it is none."""
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
    matrix = similarity(solved, standing)
    return None if np.abs(matrix - np.eye(4)).max() < SAME else matrix


def similarity(solved: FloatArray, standing: FloatArray) -> FloatArray:
    """(4, 4) the similarity that brings the camera poses (N, 4, 4) `solved` onto `standing`; a minority may disagree.

    The rotation is one camera's, the one that the others agree with best; scale and place are medians over the cameras
    that do agree with it. A single camera, or cameras in one place, tell no scale: it stays.
    """
    candidates = standing[:, :3, :3] @ solved[:, :3, :3].transpose(0, 2, 1)
    agreement = np.einsum("aij,bij->ab", candidates, candidates)  # 1 + 2 times the cosine of the angle between two
    angles = np.arccos(((agreement - 1) / 2).clip(-1, 1))
    best = angles.sum(1).argmin()
    agreeing, rotation = angles[best] <= max(2 * np.median(angles[best]), ALIKE), candidates[best]
    turned, there = solved[agreeing, :3, 3] @ rotation.T, standing[agreeing, :3, 3]
    steps, steps_there = (np.linalg.norm(places[:, None] - places, axis=2) for places in (turned, there))
    moving = (steps > SAME) & (steps_there > SAME)
    scale = float(np.median(steps_there[moving] / steps[moving])) if moving.any() else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = np.median(there - scale * turned, axis=0)
    return matrix
