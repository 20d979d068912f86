"""[B] The root empty, whose matrix is the artist's alignment, and what has to follow when the matrix changes."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
from mathutils import Matrix

from ..model.arrays import FloatArray
from ..model.errors import UserError, quoted
from ..model.gaussian_transform import UNIFORM
from . import build, identity
from .changes import Changes


def matrix(root: bpy.types.Object) -> FloatArray:
    """(4, 4) Blender's world from the reconstruction's. Raises UserError where the matrix is no similarity."""
    world: FloatArray = np.array(root.matrix_world, np.float64)
    scale = np.cbrt(np.linalg.det(world[:3, :3]))
    if not scale > 0 or np.abs(world[:3, :3] @ world[:3, :3].T / scale**2 - np.eye(3)).max() > UNIFORM:
        raise UserError(f"{quoted(root.name)} is mirrored or scaled unevenly: give it one scale above 0 on all axes.")
    return world


def place(root: bpy.types.Object, world: FloatArray) -> None:
    """Sets the root's matrix (4, 4). Clip ranges and display sizes of cameras follow its scale, merged results' too.

    Empties `build.UPRIGHT`, the sentence on what told which way is up: from now on it is the artist.
    """
    factor = float(np.cbrt(np.linalg.det(world[:3, :3]) / np.linalg.det(matrix(root)[:3, :3])))
    root.matrix_world = Matrix(world.tolist())
    root[build.UPRIGHT] = ""
    merged = [each for each in root.children_recursive if identity.text(each, identity.ROLE) == identity.ROOT]
    for camera in [camera for each in (root, *merged) for camera in cameras(each)]:
        data = camera.data
        data.clip_start, data.clip_end = data.clip_start * factor, data.clip_end * factor
        data.display_size *= factor
    bpy.context.view_layer.update()


def cameras(root: bpy.types.Object) -> Iterator[bpy.types.Object]:
    """Our solved camera objects under the root: first those of photos, then those of shots."""
    yield from build.solved_cameras(root)
    yield from (each for each in build.filming_cameras(root) if each not in build.solved_cameras(root))


def camera_centres(root: bpy.types.Object) -> FloatArray:
    """(N, 3) the centres of the cameras in Blender's world; those of shots at the current frame. Raises UserError."""
    centres = np.array([camera.matrix_world.translation for camera in cameras(root)], np.float64)
    if not len(centres):
        raise UserError("This reconstruction has no cameras any more; import its result again.")
    return centres


def camera_height(root: bpy.types.Object, active: bpy.types.Object | None) -> float:
    """The height over z = 0 of the active camera where that is one of ours, else the median height of all cameras."""
    if active is not None and active in list(cameras(root)):
        return float(active.matrix_world.translation.z)
    return float(np.median(camera_centres(root)[:, 2]))


def leave_points_out(changes: Changes, root: bpy.types.Object) -> None:
    """Leaves the points and splats under a root out of renders; viewports go on showing them."""
    for child in root.children:
        if identity.text(child, identity.ROLE) in (identity.CLOUD, identity.SPLATS):
            changes.set(child, hide_render=True)
