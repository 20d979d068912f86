"""[B] The button that smooths a shot's camera, and tells the cost in pixels."""

from __future__ import annotations

from dataclasses import replace

import bpy

from .. import bundle
from ..scene import shot_errors, shots, world
from .buttons import registration
from .tracking import OfShot, current_shot, filming


class THREER_OT_smooth_camera(OfShot, bpy.types.Operator):
    """Smooth the keys of the solved camera, and say by how many pixels that moves the picture. 0 brings them back"""

    bl_idname = "threer.smooth_camera"
    bl_label = "Smooth Camera…"
    bl_options = {"UNDO", "REGISTER"}

    width: bpy.props.FloatProperty(
        name="Width",
        default=1.0,
        min=0.0,
        max=shots.MOST_SMOOTHING,
        soft_max=10.0,
        description="Frames to each side that count most. 0 leaves the camera as it was solved",
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.width = shots.smoothing_width(filming(context)) or self.width
        result: set[str] = context.window_manager.invoke_props_dialog(self)
        return result

    def run(self, context: bpy.types.Context) -> None:
        folder, number, _, camera = current_shot(context)
        solved = world.under(camera.parent, replace(bundle.read(folder), pointmaps=[]))
        shot_errors.set_smoothing(camera, solved.shots[number], solved.cloud, self.width)
        text = dict(shot_errors.overall(camera)).get("Smoothed", "")
        self.report({"INFO"}, f"Smoothed {text}" if text else "The camera is as it was solved")


register, unregister = registration((THREER_OT_smooth_camera,), {})
