"""[B] The errors of a shot as a curve over its frames: a Graph Editor below the viewport, opened by one button."""

from __future__ import annotations

from typing import Any

import bpy

from ..model.errors import UserError
from ..scene import cameras, shot_errors
from .buttons import registration
from .tracking import ERROR_GRAPH, OfShot, filming

SHARE = 0.3  # of the viewport's height
SETTLED = 0.1  # seconds until Blender has drawn a new editor, which can then show its whole curve


class THREER_OT_error_graph(OfShot, bpy.types.Operator):
    """Show the reprojection error of each frame as a curve, in a Graph Editor below the viewport"""

    bl_idname = ERROR_GRAPH
    bl_label = "Error Graph"

    def run(self, context: bpy.types.Context) -> None:
        camera = filming(context)
        if camera is None or shot_errors.curve(camera) is None:
            raise UserError("The frames of this shot have no measured errors; reconstruct it once more.")
        for obj in context.selected_objects:
            obj.select_set(False)
        camera.select_set(True)
        context.view_layer.objects.active = camera
        if context.window is None:
            return
        space = _graph_editor(context).spaces.active
        space.show_region_ui = False
        space.dopesheet.show_only_selected = True
        space.dopesheet.filter_text = cameras.ERROR
        bpy.app.timers.register(_show_whole_curves, first_interval=SETTLED)


def _graph_editor(context: bpy.types.Context) -> Any:
    """The Graph Editor of the window; where there is none, the lower part of the largest viewport becomes one."""
    areas = context.window.screen.areas
    existing = next((area for area in areas if area.type == "GRAPH_EDITOR"), None)
    if existing is not None:
        return existing
    viewports = [area for area in areas if area.type == "VIEW_3D"]
    if not viewports:
        raise UserError("This window has no 3D viewport to put the graph below; open a Graph Editor.")
    viewport = max(viewports, key=lambda area: area.width * area.height)
    before = {area.as_pointer() for area in areas}
    with context.temp_override(window=context.window, area=viewport):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=SHARE)
    new = next(area for area in areas if area.as_pointer() not in before)
    lower = min(viewport, new, key=lambda area: area.y)
    lower.type = "GRAPH_EDITOR"
    return lower


def _show_whole_curves() -> None:
    """A timer's function: every Graph Editor shows its curves whole."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            region = next((region for region in area.regions if region.type == "WINDOW"), None)
            if area.type == "GRAPH_EDITOR" and region is not None:
                with bpy.context.temp_override(window=window, area=area, region=region):
                    bpy.ops.graph.view_all()


register, unregister = registration((THREER_OT_error_graph,), {})
