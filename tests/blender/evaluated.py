"""Input and output of an object's modifiers, in every Blender from 4.2 on."""

from types import SimpleNamespace
from typing import Any

import bpy


def evaluated(obj: Any) -> Any:
    """The evaluated geometry, with a `mesh` and a `pointcloud`, each of which may be None.

    Keep it as long as anything that is read from it, for Blender frees them together.
    """
    graph = bpy.context.evaluated_depsgraph_get()
    evaluated_object = obj.evaluated_get(graph)
    if hasattr(evaluated_object, "evaluated_geometry"):
        return evaluated_object.evaluated_geometry()
    # Blender 4.2 shows the parts of a geometry only as if they were objects of their own.
    parts = {part.object.type: part.object.data for part in graph.object_instances if part.object.original == obj}
    return SimpleNamespace(mesh=parts.get("MESH"), pointcloud=parts.get("POINTCLOUD"))


def get_input(modifier: Any, name: str) -> Any:
    """The value of an input of a geometry-nodes modifier, by the input's name."""
    sockets = modifier.node_group.interface.items_tree
    identifier = next(s.identifier for s in sockets if s.name == name and s.in_out == "INPUT")
    if hasattr(modifier, "properties"):  # Blender 5.2 and later
        return getattr(modifier.properties.inputs, identifier).value
    return modifier[identifier]
