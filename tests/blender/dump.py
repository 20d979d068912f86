"""Everything in the open Blender file as readable lines, so that two states can be compared line by line.

`python tests/blender/dump.py FILE.blend` prints them, for `diff`.
"""

import sys
from typing import Any

import bpy
import numpy as np

# What a new state of the same data may change: addresses, session numbers, tags, statistics.
IGNORED = {"rna_type", "session_uid", "is_updated", "is_updated_data", "tag", "users", "is_evaluated", "original"}
# Structs and collections that belong to their owner: their own properties are listed, too.
INSIDE = {"render", "view_settings", "modifiers", "background_images", "timeline_markers", "dof", "interface"}
INSIDE |= {"image_settings", "inputs", "properties"}


def lines() -> Any:
    """Sorted lines, each "kind name path = value"."""
    collected = []
    for block in bpy.data.user_map():
        head = f"{type(block).__name__} {block.name!r}"
        collected.append(f"{head} users = {block.users}")
        collected += [f"{head} [{key!r}] = {value!r}" for key, value in block.items() if not key.startswith("cycles")]
        if isinstance(block, bpy.types.Image):  # its other properties load the file
            collected.append(f"{head} {block.filepath!r} {block.source} {tuple(block.display_aspect)}")
        if isinstance(block, bpy.types.Object | bpy.types.Camera | bpy.types.Scene):
            collected += properties(block, head, 0)
        if isinstance(block, bpy.types.Collection):
            collected.append(f"{head} objects = {sorted(obj.name for obj in block.objects)}")
            collected.append(f"{head} children = {sorted(child.name for child in block.children)}")
        if isinstance(block, bpy.types.Mesh | bpy.types.PointCloud):
            collected += [f"{head} {attribute.name} = {digest(attribute)}" for attribute in block.attributes]
    return sorted(collected)


def digest(attribute: Any) -> Any:
    """The number of an attribute's values and, for floats and colours, a sum that changes with any of them."""
    width = {"FLOAT_VECTOR": 3, "BYTE_COLOR": 4, "FLOAT2": 2, "INT32_2D": 2}.get(attribute.data_type, 1)
    kind = {"FLOAT_VECTOR": "vector", "BYTE_COLOR": "color_srgb", "FLOAT2": "vector"}.get(attribute.data_type, "value")
    values = np.zeros(len(attribute.data) * width, np.float32)
    if attribute.data_type in ("INT", "INT32_2D", "BOOLEAN", "INT8"):
        return len(attribute.data)
    attribute.data.foreach_get(kind, values)
    return len(attribute.data), float(values @ np.arange(1, len(values) + 1, dtype=np.float64))


def properties(struct: Any, head: Any, depth: Any) -> Any:
    """The lines of a struct's properties, each after `head`. `depth` is the number of structs around it."""
    collected = []
    for prop in struct.bl_rna.properties:
        name = prop.identifier
        if name in IGNORED:
            continue
        value = getattr(struct, name)
        if prop.type == "COLLECTION":
            if name in INSIDE and depth < 3:
                for number, item in enumerate(value):
                    collected += properties(item, f"{head} {name}[{number}]", depth + 1)
        elif isinstance(value, bpy.types.ID):
            collected.append(f"{head} {name} = {value.name}")
        elif prop.type == "POINTER":
            if name in INSIDE and value is not None and depth < 3:
                collected += properties(value, f"{head} {name}", depth + 1)
        else:
            plain = tuple(np.ravel(value)) if getattr(prop, "is_array", False) else value
            collected.append(f"{head} {name} = {plain!r}")
    if isinstance(struct, bpy.types.Modifier) and not hasattr(struct, "properties"):
        collected += [f"{head} [{key!r}] = {value!r}" for key, value in struct.items() if "_attribute" not in key]
    return collected


if __name__ == "__main__":
    bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
    print("\n".join(lines()))
