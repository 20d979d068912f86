"""[B] A heat map on a cloud: each point's distance as a colour. The cloud's colours stay, under the modifier."""

from __future__ import annotations

from typing import Any

import bpy

from ..model.arrays import Array
from . import look, points
from .node_fields import Formulas

MODIFIER = "3R Difference"
DIFFERENCE = "difference"  # attribute of the points: the distance, in Blender's units
RED_AT = "Red At"  # input of the modifier
KIND = "difference 1"  # raise it when the nodes change, see `look.shared`
# Places on the scale from 0 to Red At, and their colours as linear RGBA: blue, cyan, green, yellow, red.
SCALE = (
    (0.0, (0.01, 0.03, 0.55, 1.0)),
    (0.25, (0.0, 0.4, 0.6, 1.0)),
    (0.5, (0.02, 0.55, 0.05, 1.0)),
    (0.75, (0.85, 0.6, 0.0, 1.0)),
    (1.0, (0.75, 0.01, 0.01, 1.0)),
)


def show(obj: bpy.types.Object, distances: Array, red_at: float) -> bpy.types.Modifier:
    """Colours the points of `obj` by their `distances` (N,): blue at 0, red from `red_at` on. Returns the modifier.

    Switching the modifier off shows the photos' colours again.
    """
    points.write_attribute(obj.data, DIFFERENCE, points.FLOAT, distances)
    modifier = of(obj) or obj.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = look.shared_modifier(MODIFIER, KIND, _fill)
    points.set_input(modifier, RED_AT, red_at)
    modifier.show_viewport = modifier.show_render = True
    obj.data.update_tag()
    return modifier


def of(obj: bpy.types.Object) -> bpy.types.Modifier | None:
    """The modifier that colours the points of `obj`; None without one."""
    ours = (m for m in obj.modifiers if m.type == "NODES" and m.node_group)
    return next((m for m in ours if m.node_group.get(look.VERSION) == KIND), None)


def remove(obj: bpy.types.Object) -> None:
    """Takes the heat map away: the modifier and the distances."""
    modifier = of(obj)
    if modifier is not None:
        obj.modifiers.remove(modifier)
    attribute = obj.data.attributes.get(DIFFERENCE)
    if attribute is not None:
        obj.data.attributes.remove(attribute)


def _fill(tree: bpy.types.NodeTree) -> None:
    interface: Any = tree.interface
    interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    red_at = interface.new_socket(RED_AT, in_out="INPUT", socket_type="NodeSocketFloat")
    red_at.description = "Points that are so far from the other result are red; nearer ones are blue to yellow"
    red_at.default_value, red_at.min_value = 1.0, 1e-9
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    formulas = Formulas(tree)
    given, result = formulas.node("NodeGroupInput"), formulas.node("NodeGroupOutput")
    distance = formulas.value("GeometryNodeInputNamedAttribute", DIFFERENCE, data_type="FLOAT")
    ramp = formulas.node("ShaderNodeValToRGB")
    formulas.give(ramp.inputs[0], formulas.calculate("DIVIDE", distance, given.outputs[RED_AT]))
    stops = ramp.color_ramp.elements
    for index, (place, color) in enumerate(SCALE):
        stop = stops[0] if index == 0 else stops[-1] if index == len(SCALE) - 1 else stops.new(place)
        stop.position, stop.color = place, color
    store = formulas.node("GeometryNodeStoreNamedAttribute", data_type="FLOAT_COLOR")
    formulas.give(store.inputs["Geometry"], given.outputs["Geometry"])
    formulas.give(store.inputs["Name"], look.SHADER_COLOR)
    formulas.give(store.inputs["Value"], ramp.outputs[0])
    formulas.give(result.inputs["Geometry"], store.outputs["Geometry"])
    for column, node in enumerate(tree.nodes):
        node.location = (220 * column, 0)
