"""[B] Blender 5.3's own splats: a PointCloud of a type of its own with the attributes that ours have too.

Blender draws them itself; ours need the modifier and render as the reference rasteriser does. Both hold the same data.
"""

from __future__ import annotations

from typing import Any

import bpy

from ...model.errors import UserError
from ..changes import Changes
from . import splats

TYPE, NATIVE, PLAIN = "type", "GAUSSIAN_SPLAT", "POINTS"


def available() -> bool:
    """Whether this Blender has splats of its own."""
    kinds = bpy.types.PointCloud.bl_rna.properties.get(TYPE)
    return kinds is not None and NATIVE in kinds.enum_items


def is_native(placed: bpy.types.Object) -> bool:
    """Whether Blender itself draws an object's splats."""
    return bool(getattr(placed.data, TYPE, PLAIN) == NATIVE)


def to_native(placed: bpy.types.Object) -> bpy.types.Object:
    """The object with Blender's own splats in the place of ours, which are gone.

    Transform, parent, collections and properties stay. Raises UserError where there are no splats, or this Blender has
    none of its own.
    """
    if not available():
        raise UserError("Blender has splats of its own from version 5.3 on; use a newer one to convert to them.")
    _check(placed)
    shown = _as_point_cloud(placed)
    shown.data.type = NATIVE
    for modifier in [m for m in shown.modifiers if m.name.startswith(splats.MODIFIER)]:
        shown.modifiers.remove(modifier)
    return shown


def to_nodes(placed: bpy.types.Object) -> bpy.types.Object:
    """The object with our modifier showing its splats instead of Blender itself. Raises UserError where it has none."""
    _check(placed)
    if is_native(placed):
        placed.data.type = PLAIN
    if not any(m.name.startswith(splats.MODIFIER) for m in placed.modifiers):
        splats.show(placed)
    return placed


def _check(placed: bpy.types.Object) -> None:
    if not splats.is_splats(placed):
        raise UserError(f"{placed.name!r} holds no splats; choose an object that does.")


def _as_point_cloud(placed: bpy.types.Object) -> Any:
    """`placed`, or where it is a mesh of an older Blender, a PointCloud in its place."""
    if placed.type == "POINTCLOUD":
        return placed
    name = placed.name
    with Changes() as changes:
        data = splats.new_geometry(placed.data.name, splats.read(placed.data), as_mesh=False)
        replacement = bpy.data.objects.new(name, data)
        for kept in ("parent", "matrix_parent_inverse", "matrix_basis", "hide_render", "hide_viewport"):
            setattr(replacement, kept, getattr(placed, kept))
        for key, value in placed.items():
            replacement[key] = value
        for collection in placed.users_collection:
            collection.objects.link(replacement)
        changes.release(placed.data)
        changes.remove(placed)
    replacement.name = name
    return replacement
