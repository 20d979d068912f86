"""[B] Blender 5.3's own splats: a type of PointCloud, with the same attributes as ours.

Blender draws its own splats itself, fast in the viewport and noisily in a render. Ours are drawn by the modifier, as
the reference rasteriser draws them. So an object may have both: Blender's type, and our modifier for renders alone.
"""

from __future__ import annotations

from typing import Any

import bpy

from ...model.errors import UserError, quoted
from .. import crop, masks, points
from ..changes import Changes
from . import splats

TYPE, NATIVE, PLAIN = "type", "GAUSSIAN_SPLAT", "POINTS"


def available() -> bool:
    """Whether this Blender has splats of its own."""
    kinds = bpy.types.PointCloud.bl_rna.properties.get(TYPE)
    return kinds is not None and NATIVE in kinds.enum_items


def is_native(obj: bpy.types.Object) -> bool:
    """Whether Blender itself draws an object's splats in the viewport."""
    return bool(getattr(obj.data, TYPE, PLAIN) == NATIVE)


def is_native_in_renders(obj: bpy.types.Object) -> bool:
    """Whether Blender itself draws an object's splats in renders, too."""
    return is_native(obj) and not any(modifier.show_render for modifier in _modifiers(obj))


def keep_type(data: bpy.types.ID, replacement: bpy.types.ID) -> None:
    """Gives the geometry that replaces `data` its type, so that Blender goes on to draw it where it did."""
    if hasattr(data, TYPE) and hasattr(replacement, TYPE):
        setattr(replacement, TYPE, getattr(data, TYPE))


def to_native(obj: bpy.types.Object, renders: bool = False) -> bpy.types.Object:
    """The object with its splats turned into Blender's own. It is a new object where `obj` was a mesh.

    Our modifier goes on to draw them in renders, unless Blender is to draw them in `renders`, too. Transform, parent,
    collections, custom properties and the modifier's values stay. Raises UserError where the object holds no splats, or
    this Blender has no splats of its own.
    """
    if not available():
        raise UserError("Blender has splats of its own from version 5.3 on; use a newer one to convert to them.")
    _check(obj)
    point_cloud = _as_point_cloud(obj)
    point_cloud.data.type = NATIVE
    if not renders and not _modifiers(point_cloud):
        splats.show(point_cloud)
    for modifier in _modifiers(point_cloud):
        if renders:
            point_cloud.modifiers.remove(modifier)
        else:
            modifier.show_viewport = False
    return point_cloud


def to_nodes(obj: bpy.types.Object) -> bpy.types.Object:
    """The object with our modifier, which draws its splats from now on. Raises UserError where it holds none."""
    _check(obj)
    if is_native(obj):
        obj.data.type = PLAIN
    if not _modifiers(obj):
        splats.show(obj)
    for modifier in _modifiers(obj):
        modifier.show_viewport = modifier.show_render = True
    return obj


def _modifiers(obj: bpy.types.Object) -> list[bpy.types.Modifier]:
    """Those of an object's modifiers that draw our splats."""
    return [modifier for modifier in obj.modifiers if modifier.name.startswith(splats.MODIFIER)]


def _check(obj: bpy.types.Object) -> None:
    """Raises UserError where an object holds no splats."""
    if not splats.is_splats(obj):
        raise UserError(f"{quoted(obj.name)} holds no splats; choose an object that does.")


def _as_point_cloud(obj: bpy.types.Object) -> Any:
    """`obj`, or where it is a mesh from an older Blender, a new PointCloud object in its place."""
    if obj.type == "POINTCLOUD":
        return obj
    name = obj.name
    with Changes() as changes:
        data = splats.new_geometry(obj.data.name, splats.read(obj.data), as_mesh=False)
        replacement = splats.new_object(name, data)
        for modifier in _modifiers(obj)[:1]:
            points.copy_inputs(modifier, _modifiers(replacement)[0])
        _mask_alike(obj, replacement)
        for property_name in ("parent", "matrix_parent_inverse", "matrix_basis", "hide_render", "hide_viewport"):
            setattr(replacement, property_name, getattr(obj, property_name))
        for key, value in obj.items():
            replacement[key] = value
        for collection in obj.users_collection:
            collection.objects.link(replacement)
        changes.release(obj.data)
        changes.remove(obj)
    replacement.name = name
    return replacement


def _mask_alike(obj: bpy.types.Object, replacement: bpy.types.Object) -> None:
    """Hides the same points of the `replacement`, which has the points of `obj`, and crops it by the same boxes."""
    for box in crop.boxes(obj):
        crop.add(replacement, box, crop.keeps_outside(obj, box))
    for layer in masks.LAYERS:
        if masks.attribute(layer) in obj.data.attributes:
            masks.write(replacement, layer, masks.read(obj.data, layer))
