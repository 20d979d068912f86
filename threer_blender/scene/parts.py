"""[B] Parts of a cloud or of splats as objects of their own. The whole is hidden, and stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from ..model.arrays import Array, IntArray
from ..model.errors import UserError
from . import identity, points
from .changes import Changes

PART = "part"  # role of the objects
PART_OF = "threer_part_of"  # on a part: the whole object
NOWHERE = -2  # the number of points that go into no part
# Blender's types of attributes -> the property that holds the values, its width, and its dtype.
TYPES: dict[str, tuple[str, int, type[np.generic]]] = {
    "FLOAT": ("value", 1, np.float32),
    "INT": ("value", 1, np.int32),
    "BOOLEAN": ("value", 1, np.bool_),
    "FLOAT_VECTOR": ("vector", 3, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32),
    "BYTE_COLOR": ("color_srgb", 4, np.float32),
    "QUATERNION": ("value", 4, np.float32),
    "FLOAT4": ("vector", 4, np.float32),
}


def photos(obj: bpy.types.Object) -> IntArray:
    """(N,) the photo's index of each point. Raises UserError where it is not known."""
    attribute = obj.data.attributes.get("photo")
    if attribute is None or attribute.data_type != "INT":
        raise UserError(f"{obj.name} does not say which photo each point is from: split it by planes.")
    numbers = np.empty(len(attribute.data), np.int32)
    attribute.data.foreach_get("value", numbers)
    return numbers.astype(np.int64)


def split(obj: bpy.types.Object, numbers: IntArray, names: Mapping[int, str]) -> list[bpy.types.Object]:
    """Copies the points of `obj` into objects by their `numbers` (N,), and hides `obj`. Returns the new objects.

    They have the same modifiers, parent and collections. `names` are the parts' names. Earlier parts of `obj` go,
    unless there is but one part: then nothing changes, and none is returned.
    """
    present = [number for number in np.unique(numbers).tolist() if number != NOWHERE]
    if len(present) < 2:
        return []
    order = np.argsort(numbers, kind="stable")
    edges = np.searchsorted(numbers[order], present), np.searchsorted(numbers[order], present, "right")
    made = []
    with Changes() as changes:
        for earlier in [each for each in bpy.data.objects if each.get(PART_OF) == obj]:
            changes.release(earlier.data)
            changes.remove(earlier)
        values = {each.name: (each.data_type, _values(each)) for each in obj.data.attributes if _is_copied(each)}
        for number, start, end in zip(present, *edges, strict=True):
            name = f"{obj.name} {names.get(number, number)}"
            part = obj.copy()
            part.name = name
            part.data = _subset(obj.data, name, values, order[start:end])
            part[identity.ROLE], part[PART_OF] = PART, obj
            if identity.SOLVE in part:
                del part[identity.SOLVE]
            for collection in obj.users_collection:
                collection.objects.link(part)
            made.append(part)
        changes.set(obj, hide_viewport=True, hide_render=True)
    return made


def _is_copied(attribute: Any) -> bool:
    """Whether an attribute is about points, and no part of Blender's own state."""
    return attribute.domain == "POINT" and attribute.data_type in TYPES and not attribute.name.startswith(".")


def _values(attribute: Any) -> Array:
    name, width, dtype = TYPES[attribute.data_type]
    values = np.empty(len(attribute.data) * width, dtype)
    attribute.data.foreach_get(name, values)
    return values.reshape(-1, width)


def _subset(data: Any, name: str, values: Mapping[str, tuple[str, Array]], index: IntArray) -> Any:
    """A new geometry with some of the points of `data`."""
    made = points.blank(name, len(index), isinstance(data, bpy.types.Mesh))
    for attribute_name, (kind, whole) in values.items():
        attribute = made.attributes.get(attribute_name) or made.attributes.new(attribute_name, kind, "POINT")
        attribute.data.foreach_set(TYPES[kind][0], np.ascontiguousarray(whole[index]).reshape(-1))
    for material in data.materials:
        made.materials.append(material)
    if isinstance(made, bpy.types.Mesh):
        if data.attributes.active_color_name in made.attributes:
            made.attributes.active_color_name = data.attributes.active_color_name
        made.update()
    return made
