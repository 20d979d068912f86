"""[B] Several results in one scene: which there are, and how one is compared with another and brought onto it."""

from __future__ import annotations

import bpy
import numpy as np

from ..model import shared_cameras
from ..model.arrays import FloatArray
from ..model.directions import OPENCV_FROM_OPENGL
from ..model.errors import UserError
from ..model.shared_cameras import SolveComparison, SolvedCamera
from . import build, cameras, identity
from . import root as roots

COMPARED = "threer_compared"  # on a root: sentences on how it differs from another result
WORST = "threer_worst"  # on a root: a line for each of the cameras that differ most, columns divided by tabs
MOST_WORST = 5


def results(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    """The roots of all results in a scene, the oldest first."""
    ours = [obj for obj in scene.objects if identity.text(obj, identity.ROLE) == identity.ROOT]
    return sorted(ours, key=lambda root: root.session_uid)


def cloud(root: bpy.types.Object) -> bpy.types.Object | None:
    """The cloud of a result; None without one."""
    return next((child for child in root.children if identity.text(child, identity.ROLE) == identity.CLOUD), None)


def solved_cameras(root: bpy.types.Object) -> dict[str, SolvedCamera]:
    """A photo's content, as a text, -> its camera as it stands in Blender's world, in OpenCV's axes."""
    solved = {}
    for obj in build.solved_cameras(root):
        role = identity.text(obj, identity.ROLE)
        pose: FloatArray = np.array(obj.matrix_world.normalized(), np.float64) @ OPENCV_FROM_OPENGL
        focal = obj.data.lens / obj.data.sensor_width if obj.data.type == "PERSP" else np.nan
        solved[role] = SolvedCamera(identity.text(obj, cameras.PHOTO) or str(obj.name), pose, float(focal))
    return solved


def compare(root: bpy.types.Object, reference: bpy.types.Object) -> SolveComparison:
    """Compares two results by the cameras of the photos that both have. Changes nothing.

    Raises UserError where they share no camera, or where one of the roots is scaled unevenly or mirrored.
    """
    if root == reference:
        raise UserError("These are the same result: choose two.")
    for each in (root, reference):
        roots.matrix(each)
    return shared_cameras.compare(solved_cameras(root), solved_cameras(reference))


def bring(root: bpy.types.Object, target_from_source: FloatArray) -> None:
    """Moves a result in Blender's world by a similarity (4, 4)."""
    roots.place(root, target_from_source @ roots.matrix(root))


def note(root: bpy.types.Object, reference: bpy.types.Object, comparison: SolveComparison) -> bpy.types.Text:
    """Stores a comparison: sentences and the worst cameras on the root, and all cameras in a text of the .blend."""
    root[COMPARED] = "\n".join([f"Compared with {reference.name}.", *comparison.sentences()])
    table = comparison.table()
    root[WORST] = "\n".join(table.splitlines()[1 : 1 + MOST_WORST])
    name = f"{root.name} against {reference.name}"
    text = bpy.data.texts.get(name) or bpy.data.texts.new(name)
    text.clear()
    text.write("\n".join([*comparison.sentences(), "", table]))
    return text


def check_merge(root: bpy.types.Object, reference: bpy.types.Object) -> None:
    """Raises UserError where `root` cannot follow `reference`."""
    if root == reference:
        raise UserError("These are the same result: choose two.")
    if reference in root.children_recursive:
        raise UserError(f"{reference.name} follows {root.name} already: choose them the other way round.")


def merge(root: bpy.types.Object, reference: bpy.types.Object) -> None:
    """Has `root` follow `reference` from now on: what aligns that one moves both. It stays where it stands."""
    world = root.matrix_world.copy()
    root.parent = reference
    root.matrix_parent_inverse = reference.matrix_world.inverted()
    root.matrix_world = world
    bpy.context.view_layer.update()
