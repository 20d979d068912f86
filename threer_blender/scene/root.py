"""[B] The root empty, where the artist's alignment lives: its matrix, and what has to follow when it gets another."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
from mathutils import Matrix

from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.gaussian_transform import UNIFORM
from . import build


def matrix(root: bpy.types.Object) -> FloatArray:
    """(4, 4) Blender's world from the reconstruction's. Raises UserError where that is no similarity."""
    world: FloatArray = np.array(root.matrix_world, np.float64)
    scale = np.cbrt(np.linalg.det(world[:3, :3]))
    if not scale > 0 or np.abs(world[:3, :3] @ world[:3, :3].T / scale**2 - np.eye(3)).max() > UNIFORM:
        raise UserError(f"{quoted(root.name)} is mirrored or scaled unevenly: give it one scale above 0 on all axes.")
    return world


def place(root: bpy.types.Object, world: FloatArray) -> None:
    """Gives the root another matrix (4, 4). The cameras' clip ranges and sizes on screen follow its scale."""
    factor = float(np.cbrt(np.linalg.det(world[:3, :3]) / np.linalg.det(matrix(root)[:3, :3])))
    root.matrix_world = Matrix(world.tolist())
    root[build.UPRIGHT] = ""
    for camera in cameras(root):
        data = camera.data
        data.clip_start, data.clip_end = data.clip_start * factor, data.clip_end * factor
        data.display_size *= factor
    bpy.context.view_layer.update()


def cameras(root: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """Our camera objects under the root that are solved: those of photos, and those that filmed shots."""
    yield from build.solved_cameras(root)
    yield from (each for each in build.filming_cameras(root) if each not in build.solved_cameras(root))


def camera_centres(root: bpy.types.Object) -> FloatArray:
    """(N, 3) where the cameras are in Blender's world; those of shots at the current frame."""
    centres = np.array([camera.matrix_world.translation for camera in cameras(root)], np.float64)
    if not len(centres):
        raise UserError("This reconstruction has no cameras any more; import its result again.")
    return centres


def camera_height(root: bpy.types.Object, active: bpy.types.Object | None) -> float:
    """How high over Blender's ground (z = 0) the active camera is if it is one of ours, else the middle one of all."""
    if active is not None and active in list(cameras(root)):
        return float(active.matrix_world.translation.z)
    return float(np.median(camera_centres(root)[:, 2]))
