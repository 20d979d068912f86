"""[B] How views show a result: the plate against the points, a key that blinks between them, sizes and thresholds."""

from __future__ import annotations

from typing import Any

import bpy

from ..model.errors import UserError
from ..scene import cameras, identity, look, points
from ..scene.splats import nodes
from . import operators, properties, words, work
from .buttons import OfResult, registration

# The inputs of modifiers on the panel -> their names there, for points and for splats.
SOCKETS = {
    identity.CLOUD: {look.RADIUS: "Point Size", look.THRESHOLD: "Confidence"},
    identity.SPLATS: {nodes.OPACITY: "Least Opacity", nodes.SIZE: "Splat Size"},
}
KEY = {"type": "B", "value": "PRESS", "shift": True, "alt": True}  # of Blink


class THREER_OT_blink(OfResult, bpy.types.Operator):
    """Switch between the plate and the points, to see whether they lie on each other. The key is Shift Alt B"""

    bl_idname = "threer.blink"
    bl_label = "Blink"
    bl_options = {"UNDO_GROUPED"}

    def run(self, context: bpy.types.Context) -> None:
        if cameras.plate(context.scene) is None:
            raise UserError("The scene's camera has no plate: press Look Through Camera first.")
        cameras.put_plate_over(context.scene, 0.0 if cameras.plate_over(context.scene) > 0 else 1.0)


def draw(layout: Any, context: bpy.types.Context, root: bpy.types.Object, columns: int) -> None:
    """Draws how the view mixes plate and result, and the sizes and thresholds of points and splats."""
    if operators.sees_through_ours(context, root) and cameras.plate(context.scene) is not None:
        row = layout.row(align=True)
        text = words.fitting("Plate over Points", "Plate", columns - 2 * words.ICON)
        row.prop(properties.settings(context.scene), "plate_over", text=text, slider=True)
        row.operator(THREER_OT_blink.bl_idname, text="", icon="HIDE_OFF")
    for role, labels in SOCKETS.items():
        obj = _shape(root, role)
        modifier = None if obj is None else next((each for each in obj.modifiers if each.type == "NODES"), None)
        if obj is None or modifier is None or modifier.node_group is None or obj.hide_viewport:
            continue
        column = layout.column(align=True)
        for name, label in labels.items():
            points.draw_input(column, modifier, name, label)


def _shape(root: bpy.types.Object, role: str) -> bpy.types.Object | None:
    """The object with this role under the root; None without one."""

    def name() -> str:
        ours = (child for child in root.children if identity.text(child, identity.ROLE) == role)
        return next((str(child.name) for child in ours), "")

    return bpy.data.objects.get(work.current().scene_facts.get((role, root.session_uid), name))


_register, _unregister = registration((THREER_OT_blink,), {})
_keys: list[tuple[Any, Any]] = []


def register() -> None:
    """Registers the button and its key."""
    _register()
    keys = bpy.context.window_manager.keyconfigs.addon
    if keys is not None:  # as in Blender without a window
        keymap = keys.keymaps.new(name="3D View", space_type="VIEW_3D")
        _keys.append((keymap, keymap.keymap_items.new(THREER_OT_blink.bl_idname, **KEY)))


def unregister() -> None:
    """Takes both out of Blender again."""
    while _keys:
        keymap, item = _keys.pop()
        keymap.keymap_items.remove(item)
    _unregister()
