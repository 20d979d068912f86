"""[B] Survey points as empties under the root, each with its errors as custom properties."""

from __future__ import annotations

from collections.abc import Mapping

import bpy

from ..model.reconstruction import Reconstruction
from . import identity
from .changes import Changes

ERROR, PIXEL_ERROR, AGREES = "survey_error", "survey_pixel_error", "survey_agrees"  # on an empty; absent where unknown
SIZE = 0.02  # display size of an empty, as a share of the points' extent


def role(name: str) -> str:
    """The role of a survey point among the objects of a solve, see `identity`."""
    return f"survey {name}"


def of(root: bpy.types.Object) -> list[bpy.types.Object]:
    """The empties of survey points under a root."""
    return [child for child in root.children if identity.text(child, identity.ROLE).startswith(role(""))]


def show(
    changes: Changes, reconstruction: Reconstruction, existing: Mapping[str, bpy.types.Object]
) -> dict[str, bpy.types.Object]:
    """Role -> an empty at each survey point. Those in `existing` (by role) are updated."""
    places = [point.position for point in reconstruction.survey]
    spread = max((max(axis) - min(axis) for axis in zip(*places, strict=True)), default=1.0)
    objects = {}
    for point in reconstruction.survey:
        empty = existing.get(role(point.name)) or bpy.data.objects.new(point.name, None)
        if role(point.name) not in existing:
            empty.empty_display_type = "PLAIN_AXES" if point.agrees else "CUBE"
            empty.empty_display_size = SIZE * (spread or 1.0)
            empty.show_name = True
        changes.set(empty, location=point.position)
        changes.mark(empty, **{ERROR: point.error, PIXEL_ERROR: point.pixel_error, AGREES: point.agrees})
        objects[role(point.name)] = empty
    return objects
