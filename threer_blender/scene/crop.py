"""[B] Crop boxes: empties in the shape of a box that hide the points outside of them, live, by a modifier."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..model.arrays import Array, BoolArray
from . import identity, look, points
from .node_fields import Formulas

MODIFIER = "3R Crop"
KIND = "crop 1"  # raise it when the nodes change, see `look.shared`
BOX, KEEP_OUTSIDE = "Box", "Keep Outside"  # inputs of the modifier
ROLE = "crop"  # of the empty
SHARE = 1.0  # percent of the points on each side that a new box leaves out along each axis
MARGIN = 1.02  # of a new box
FLATTEST = 0.05  # of its longest side: a new box is no flatter, so that all of a flat floor is in it
PROBE = (1.0, 2.0, 3.0)  # a point that only the identity leaves where it is, but for unlikely boxes


def new_box(root: bpy.types.Object | None, obj: bpy.types.Object, places: Array) -> bpy.types.Object:
    """A new box about most of the points `places` (N, 3) of `obj`, in Blender's world, parented as `obj` is."""
    low, high = np.percentile(places, (SHARE, 100 - SHARE), axis=0)
    box = bpy.data.objects.new(f"{obj.name} crop", None)
    box.empty_display_type, box.empty_display_size = "CUBE", 1.0
    box[identity.ROLE] = ROLE
    for collection in (root or obj).users_collection:
        collection.objects.link(box)
    half = (high - low) / 2 * MARGIN
    half = np.maximum(half, max(FLATTEST * float(half.max()), 1e-6))
    matrix = Matrix.LocRotScale(((low + high) / 2).tolist(), None, half.tolist())
    if root is not None:
        box.parent = root
    bpy.context.view_layer.update()
    box.matrix_world = matrix
    bpy.context.view_layer.update()
    return box


def add(obj: bpy.types.Object, box: bpy.types.Object, outside: bool) -> bpy.types.Modifier:
    """Has `box` hide the points of `obj` outside of it, or where `outside`, those in it."""
    modifier = obj.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = look.shared_modifier(MODIFIER, KIND, _fill)
    points.set_input(modifier, BOX, box)
    points.set_input(modifier, KEEP_OUTSIDE, outside)
    obj.modifiers.move(len(obj.modifiers) - 1, 0)
    return modifier


def _modifiers(obj: bpy.types.Object) -> list[Any]:
    ours = (m for m in obj.modifiers if m.type == "NODES" and m.node_group)
    return [m for m in ours if m.node_group.get(look.VERSION) == KIND]


def boxes(obj: bpy.types.Object) -> list[bpy.types.Object]:
    """The boxes that crop `obj`, whether or not their modifiers are on."""
    there = [points.input_value(modifier, BOX) for modifier in _modifiers(obj)]
    return [box for box in there if box is not None]


def keeps_outside(obj: bpy.types.Object, box: bpy.types.Object) -> bool:
    """Whether `box` hides the points of `obj` that are in it."""
    mine = (m for m in _modifiers(obj) if points.input_value(m, BOX) == box)
    return any(points.input_value(modifier, KEEP_OUTSIDE) for modifier in mine)


def active(obj: bpy.types.Object) -> list[bpy.types.Object]:
    """The boxes that crop `obj` in the viewport."""
    there = [points.input_value(modifier, BOX) for modifier in _modifiers(obj) if modifier.show_viewport]
    return [box for box in there if box is not None]


def cuts(box: bpy.types.Object, obj: bpy.types.Object, places: Array) -> BoolArray:
    """(N,) the points `places` (N, 3), in Blender's world, of `obj` that `box` hides."""
    matrix = np.linalg.pinv(np.array(box.matrix_world, np.float64))
    local = places @ matrix[:3, :3].T.astype(np.float32) + matrix[:3, 3].astype(np.float32)
    inside: BoolArray = np.abs(local).max(axis=1, initial=0.0) <= 1
    return inside if keeps_outside(obj, box) else ~inside


def remove(obj: bpy.types.Object) -> None:
    """Removes all crop modifiers of an object. Their boxes stay."""
    for modifier in _modifiers(obj):
        obj.modifiers.remove(modifier)


def _fill(tree: bpy.types.NodeTree) -> None:
    interface: Any = tree.interface
    interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    box = interface.new_socket(BOX, in_out="INPUT", socket_type="NodeSocketObject")
    box.description = "Points outside of this box are hidden. Move, rotate and scale it"
    outside = interface.new_socket(KEEP_OUTSIDE, in_out="INPUT", socket_type="NodeSocketBool")
    outside.description = "Hide the points in the box instead"
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    formulas = Formulas(tree)
    given, result = formulas.node("NodeGroupInput"), formulas.node("NodeGroupOutput")
    info = formulas.node("GeometryNodeObjectInfo", transform_space="RELATIVE")
    formulas.give(info.inputs["Object"], given.outputs[BOX])
    back = formulas.node("FunctionNodeInvertMatrix")
    formulas.give(back.inputs["Matrix"], info.outputs["Transform"])
    local = formulas.value(
        "FunctionNodeTransformPoint", formulas.value("GeometryNodeInputPosition"), back.outputs["Matrix"]
    )
    x, y, z = (formulas.calculate("ABSOLUTE", each) for each in local.xyz())
    farthest = formulas.calculate("MAXIMUM", x, formulas.calculate("MAXIMUM", y, z))
    is_out = formulas.calculate("GREATER_THAN", farthest, 1.0)
    # A matrix that cannot be inverted hides nothing. Nor does a box that is gone, whose matrix is the identity.
    probe = formulas.value("FunctionNodeTransformPoint", PROBE, info.outputs["Transform"]) - PROBE
    is_there = formulas.calculate("GREATER_THAN", formulas.dot(probe, probe), 0.0)
    hidden = formulas.value("FunctionNodeBooleanMath", is_out, given.outputs[KEEP_OUTSIDE], operation="XOR")
    hidden = formulas.value("FunctionNodeBooleanMath", hidden, back.outputs["Invertible"], operation="AND")
    hidden = formulas.value("FunctionNodeBooleanMath", hidden, is_there, operation="AND")
    delete = formulas.node("GeometryNodeDeleteGeometry")
    formulas.give(delete.inputs["Geometry"], given.outputs["Geometry"])
    formulas.give(delete.inputs["Selection"], hidden)
    formulas.give(result.inputs["Geometry"], delete.outputs["Geometry"])
    for column, node in enumerate(tree.nodes):
        node.location = (200 * column, 0)
