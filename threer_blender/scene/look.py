"""[B] How a cloud looks: geometry nodes that give points a size and hide uncertain ones, and the points' material."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import bpy

from .node_fields import Formulas

VERSION = "threer_version"  # custom property of node groups and materials that all clouds share
NODES_VERSION = 1  # raise it when the nodes below change, so that old files keep their look

# Cycles takes the attribute name "color" for the colour of smoke, and finds none on points (intern/cycles/scene/
# attribute.cpp: standard attributes go by name). So the modifier passes the colours to materials under another name.
SHADER_COLOR = "point_color"

RADIUS, THRESHOLD, MATERIAL = "Radius", "Confidence Threshold", "Material"  # inputs of the modifier


def shared(blocks: Any, kind: str) -> Any:
    """The data-block among `blocks` that an earlier build made with this `kind`; None without one.

    A kind is a name with the version of what it names, such as "points 1".
    """
    return next((block for block in blocks if block.get(VERSION) == kind), None)


def shared_modifier(name: str, kind: str, fill: Callable[[bpy.types.NodeTree], None]) -> bpy.types.NodeTree:
    """The modifier's node group of this `kind` (see `shared`); where there is none yet, a new one filled by `fill`."""
    existing: bpy.types.NodeTree | None = shared(bpy.data.node_groups, kind)
    if existing is not None:
        return existing
    tree = bpy.data.node_groups.new(name, "GeometryNodeTree")
    tree.is_modifier = True
    fill(tree)
    tree[VERSION] = kind
    return tree


def material() -> bpy.types.Material:
    """The material that all clouds share: it emits the points' colours, in EEVEE and in Cycles.

    The photos' colours include the light of the scene already, so points are not lit again.
    """
    kind = f"points {NODES_VERSION}"
    existing: bpy.types.Material = shared(bpy.data.materials, kind) or shining("3R Points", kind, SHADER_COLOR)
    return existing


def shining(name: str, kind: str, attribute: str) -> bpy.types.Material:
    """A new opaque material that emits the colours in an `attribute`. `kind` is as in `shared`."""
    made, formulas = new_material(name, kind)
    color = formulas.node("ShaderNodeAttribute", attribute_name=attribute)
    emission = formulas.value("ShaderNodeEmission", color.outputs["Color"], 1.0)
    formulas.give(formulas.node("ShaderNodeOutputMaterial").inputs["Surface"], emission)
    for column, node in enumerate(made.node_tree.nodes):
        node.location = (200 * column, 0)
    return made


def new_material(name: str, kind: str) -> tuple[bpy.types.Material, Formulas]:
    """A new material of this `kind` (see `shared`), and its empty node tree."""
    made = bpy.data.materials.new(name)
    if made.node_tree is None:  # before Blender 5.0
        made.use_nodes = True
    made.node_tree.nodes.clear()
    if hasattr(made, "cycles"):  # the Cycles add-on may be off
        made.cycles.emission_sampling = "NONE"  # else a million points would count as lamps
    made[VERSION] = kind
    return made, Formulas(made.node_tree)


def node_group(from_mesh: bool) -> bpy.types.NodeTree:
    """The node group that all clouds' modifiers share.

    It shows the points with `confidence` ≥ Confidence Threshold, with the radius `radius` × Radius. `from_mesh` is true
    for clouds that are the vertices of a mesh.
    """
    kind = f"{'mesh to points' if from_mesh else 'points'} {NODES_VERSION}"
    return shared_modifier("3R Points", kind, partial(_fill, from_mesh))


def _fill(from_mesh: bool, tree: bpy.types.NodeTree) -> None:
    add_sockets(tree.interface)
    given, result = tree.nodes.new("NodeGroupInput"), tree.nodes.new("NodeGroupOutput")
    confidence, radius = _attribute(tree, "confidence", "FLOAT"), _attribute(tree, "radius", "FLOAT")
    color = _attribute(tree, "color", "FLOAT_COLOR")
    doubtful = tree.nodes.new("FunctionNodeCompare")
    doubtful.operation = "LESS_THAN"
    delete = tree.nodes.new("GeometryNodeDeleteGeometry")
    size = tree.nodes.new("ShaderNodeMath")
    size.operation = "MULTIPLY"
    convert = tree.nodes.new("GeometryNodeMeshToPoints" if from_mesh else "GeometryNodeSetPointRadius")
    store_color = tree.nodes.new("GeometryNodeStoreNamedAttribute")
    store_color.data_type = "BYTE_COLOR"
    store_color.inputs["Name"].default_value = SHADER_COLOR
    set_material = tree.nodes.new("GeometryNodeSetMaterial")

    link = tree.links.new
    link(confidence, doubtful.inputs["A"])
    link(given.outputs[THRESHOLD], doubtful.inputs["B"])
    link(doubtful.outputs["Result"], delete.inputs["Selection"])
    link(given.outputs["Geometry"], delete.inputs["Geometry"])
    link(delete.outputs["Geometry"], convert.inputs[0])
    link(radius, size.inputs[0])
    link(given.outputs[RADIUS], size.inputs[1])
    link(size.outputs[0], convert.inputs["Radius"])
    link(convert.outputs[0], store_color.inputs["Geometry"])
    link(color, store_color.inputs["Value"])
    link(store_color.outputs["Geometry"], set_material.inputs["Geometry"])
    link(given.outputs[MATERIAL], set_material.inputs["Material"])
    link(set_material.outputs["Geometry"], result.inputs["Geometry"])
    for column, node in enumerate((given, doubtful, delete, convert, store_color, set_material, result)):
        node.location = (200 * column, 0)
    for column, node in ((0, confidence.node), (1, radius.node), (2, size), (3, color.node)):
        node.location = (200 * column, -300)


def add_sockets(interface: Any) -> None:
    """Adds the inputs and the output of a cloud's modifier to the `interface` of a new node group."""
    interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    radius = interface.new_socket(RADIUS, in_out="INPUT", socket_type="NodeSocketFloat")
    radius.description = "Size of the points; at 1 they close the surface as their photo saw it"
    radius.default_value, radius.min_value, radius.max_value = 1.0, 0.0, 100.0
    threshold = interface.new_socket(THRESHOLD, in_out="INPUT", socket_type="NodeSocketFloat")
    threshold.description = "Points with a lower confidence than this are hidden"
    material_socket = interface.new_socket(MATERIAL, in_out="INPUT", socket_type="NodeSocketMaterial")
    material_socket.description = f"Material of the points; it finds their colours in the attribute '{SHADER_COLOR}'"
    interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")


def _attribute(tree: bpy.types.NodeTree, name: str, kind: str) -> Any:
    """The output of a node that reads the attribute `name`."""
    node = tree.nodes.new("GeometryNodeInputNamedAttribute")
    node.data_type = kind
    node.inputs["Name"].default_value = name
    return node.outputs["Attribute"]


def match_photo_colors(scene: bpy.types.Scene) -> None:
    """Sets colour management so that rendered points have the photos' own pixel values.

    Blender's default view transform is a film look that changes every colour. Only on request, since it changes the
    whole scene.
    """
    set_view_transform(scene, "Standard")


def set_view_transform(scene: bpy.types.Scene, name: str) -> None:
    """Sets a view transform, and takes away what else changes colours: look, exposure, gamma and curves."""
    for setting, value in plain_view(name).items():
        setattr(scene.view_settings, setting, value)


def plain_view(name: str) -> dict[str, Any]:
    """The settings of a scene's view with which this view transform alone decides how colours are shown."""
    return {"view_transform": name, "look": "None", "exposure": 0.0, "gamma": 1.0, "use_curve_mapping": False}
