"""[B] Apply Transform for splats: Blender's own forgets their scales, their rotations and their colours' directions."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils import Matrix

from ...model.errors import UserError, quoted
from ...model.gaussian_transform import transformed
from . import splats


def apply_transform(obj: bpy.types.Object) -> None:
    """Brings an object's location, rotation and scale into its splats, which stay where they are, as its children do.

    Raises UserError where the object holds no splats, shares them with another object, or is scaled differently along
    its axes.
    """
    if not splats.is_splats(obj):
        raise UserError(f"{quoted(obj.name)} holds no splats; choose an object that does.")
    if obj.data.users > 1:
        raise UserError(f"{quoted(obj.name)} shares its splats with another object: make them single-user first.")
    matrix = obj.matrix_basis.copy()
    splats.write(obj.data, transformed(splats.read(obj.data), np.array(matrix)))
    obj.matrix_basis = Matrix()
    for child in obj.children:
        child.matrix_parent_inverse = matrix @ child.matrix_parent_inverse
    obj.data.update_tag()
