"""[B] The panel of the tools that mask points and splats."""

from __future__ import annotations

from typing import Any

import bpy

from ..scene import crop, masks, points
from ..scene.masks import FLOATERS
from . import splitting, words, work
from .lasso import THREER_OT_lasso
from .panel import Folded
from .points import (
    THREER_OT_crop_box,
    THREER_OT_decimate,
    THREER_OT_floaters,
    THREER_OT_floaters_apply,
    THREER_OT_isolate,
    THREER_OT_mask_selected,
    THREER_OT_show_points,
    targets,
)

MESH_SENTENCE = "Exported points and splats are without masked ones. Make Mesh cuts where points are masked."


class THREER_PT_points(Folded, bpy.types.Panel):
    """Masks points, and never deletes any."""

    bl_label = "Points"
    bl_order = 2

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return bool(targets(context))

    def draw(self, context: bpy.types.Context) -> None:
        layout, columns = self.layout, words.columns(context)
        layout.operator(THREER_OT_crop_box.bl_idname, icon="CUBE")
        row = layout.row(align=True)
        row.operator(THREER_OT_lasso.bl_idname, icon="SELECT_SET").action = "MASK"
        row.operator(THREER_OT_lasso.bl_idname, text="", icon="SELECT_SUBTRACT").action = "SHOW"
        row.operator(THREER_OT_lasso.bl_idname, text="", icon="SELECT_INTERSECT").action = "ISOLATE"
        layout.operator(THREER_OT_mask_selected.bl_idname, icon="RESTRICT_SELECT_OFF")
        column = layout.column(align=True)
        text = words.fitting("Points of This Photo", "Of This Photo", columns)
        column.operator(THREER_OT_isolate.bl_idname, text=text, icon="IMAGE_DATA").by = "PHOTO"
        text = words.fitting("Seen from This Camera", "From Camera", columns)
        column.operator(THREER_OT_isolate.bl_idname, text=text, icon="CAMERA_DATA").by = "VISIBLE"
        layout.operator(THREER_OT_floaters.bl_idname, icon="PARTICLES")
        objects = targets(context)
        hidden = _counts(objects)
        if FLOATERS in hidden and any(_is_preview(obj) for obj in objects):
            box = layout.box().column()
            words.sentence(box, f"{words.count(hidden[FLOATERS], 'floater')} in red", columns - words.BORDER, "INFO")
            row = box.row(align=True)
            row.operator(THREER_OT_floaters_apply.bl_idname, icon="CHECKMARK").hide = True
            row.operator(THREER_OT_floaters_apply.bl_idname, text="Cancel", icon="X").hide = False
            hidden = {layer: count for layer, count in hidden.items() if layer != FLOATERS}
        layout.operator(THREER_OT_decimate.bl_idname, icon="MOD_DECIM")
        splitting.draw(layout, columns)
        _draw_masks(layout, objects, hidden, columns)


def _draw_masks(layout: Any, objects: list[bpy.types.Object], hidden: dict[str, int], columns: int) -> None:
    """Draws how many points each mask hides, and the buttons that show them again."""
    cropped = any(crop.boxes(obj) for obj in objects)
    if not hidden and not cropped:
        return
    box = layout.box().column()
    for layer, count in hidden.items():
        row = box.row(align=True)
        row.label(text=f"{layer}: {words.count(count, 'point')}")
        row.operator(THREER_OT_show_points.bl_idname, text="", icon="X").layer = layer
    box.operator(THREER_OT_show_points.bl_idname, icon="HIDE_OFF").layer = "ALL"
    words.sentence(words.dimmed(box), MESH_SENTENCE, columns - words.BORDER, "NONE")


def _is_preview(obj: bpy.types.Object) -> bool:
    """Whether an object's floaters are red and not hidden."""
    modifier = masks.of(obj)
    return modifier is not None and bool(points.input_value(modifier, masks.PREVIEW))


def _counts(objects: list[bpy.types.Object]) -> dict[str, int]:
    """Layer -> how many points it hides, counted once for each change of the scene."""
    name = ("masked", *(obj.session_uid for obj in objects))
    return work.current().scene_facts.get(name, lambda: _counted(objects))


def _counted(objects: list[bpy.types.Object]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for obj in objects:
        for layer, count in masks.counts(obj).items():
            whole[layer] = whole.get(layer, 0) + count
    return whole


register, unregister = bpy.utils.register_classes_factory((THREER_PT_points,))
