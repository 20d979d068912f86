"""[B] The button that splits a cloud into objects, one for each photo or plane."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..model import point_sets
from ..model.errors import UserError
from ..scene import build, cameras, identity, masks, parts, picture_points
from . import summary, words
from .points import OfPoints, targets

SPLIT_BY = (
    ("PHOTO", "Split by Photo", "One object for each photo's points"),
    ("PLANE", "Split by Plane", "One object for each large plane, and one for the rest"),
)
TOLERANCE = 0.01  # of the points' extent: the usual thickness of a plane


class THREER_OT_split(OfPoints, bpy.types.Operator):
    """Copy the visible points into objects of their own, one for each photo or plane, and hide the whole cloud"""

    bl_idname = "threer.split"
    bl_label = "Split"

    by: bpy.props.EnumProperty(name="By", items=SPLIT_BY)
    planes: bpy.props.IntProperty(name="Planes", description="At most so many", default=4, min=1, max=50)
    tolerance: bpy.props.FloatProperty(
        name="Thickness",
        description="Points that are so near to a plane are on it; 0 is a hundredth of the points' extent",
        default=0.0,
        min=0.0,
        unit="LENGTH",
    )

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        made = []
        for obj in targets(context):
            visible = ~masks.masked(obj)
            if self.by == "PHOTO":
                numbers = parts.photos(obj)
                names = _photo_names(root)
            else:
                places = picture_points.positions(obj)
                middle = np.percentile(places[visible], (2, 98), axis=0) if visible.any() else np.zeros((2, 3))
                tolerance = self.tolerance or TOLERANCE * float(np.linalg.norm(middle[1] - middle[0]))
                numbers = point_sets.on_planes(np.where(visible[:, None], places, np.nan), self.planes, tolerance)
                names = {-1: "rest", **{number: f"plane {number + 1}" for number in range(self.planes)}}
            made += parts.split(obj, np.where(visible, numbers, parts.NOWHERE), names)
        if len(made) < 2:
            raise UserError("All points are of one part: there is nothing to split.")
        self.report({"INFO"}, f"{len(made)} objects were made; the whole is hidden, and still there")


def _photo_names(root: bpy.types.Object | None) -> dict[int, str]:
    """The index of a photo -> its name."""
    solved = [] if root is None else build.solved_cameras(root)
    pairs = [(identity.number(each, build.INDEX), identity.text(each, cameras.PHOTO) or each.name) for each in solved]
    return {int(index): name for index, name in pairs if index is not None}


def draw(layout: Any, columns: int) -> None:
    """Draws the two ways to split on lines of so many letters."""
    by_photo, by_plane = "Split by Photo", "Split by Plane"
    row = words.side_by_side(layout, (by_photo, by_plane), columns)
    row.operator(THREER_OT_split.bl_idname, text=by_photo, icon="OUTLINER_OB_IMAGE").by = "PHOTO"
    row.operator(THREER_OT_split.bl_idname, text=by_plane, icon="MESH_PLANE").by = "PLANE"


register, unregister = bpy.utils.register_classes_factory((THREER_OT_split,))
