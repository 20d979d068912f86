"""[B] The lasso: points in an outline that is drawn over the viewport are masked, unmasked or isolated."""

from __future__ import annotations

from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..model.errors import UserError
from ..scene import masks, picture_points
from ..scene.masks import SELECTION
from . import picks, work
from .buttons import HIDDEN
from .points import OfPoints, targets

HINT = "Lasso: drag around points   |   Navigate as usual   |   Esc: cancel"
STEP = 3.0  # pixels between two corners of the outline


class THREER_PG_corner(bpy.types.PropertyGroup):
    """A corner of an outline, in pixels from the region's lower left corner."""

    co: bpy.props.FloatVectorProperty(name="Corner", size=2)


ACTIONS = (
    ("MASK", "Mask", "Hide the points in the outline"),
    ("SHOW", "Show", "Show the masked points in the outline again"),
    ("ISOLATE", "Isolate", "Hide the points outside of the outline"),
)


class THREER_OT_lasso(OfPoints, bpy.types.Operator):
    """Drag around points to mask them, through and through. Nothing is deleted"""

    bl_idname = "threer.lasso"
    bl_label = "Lasso"

    action: bpy.props.EnumProperty(name="Action", items=ACTIONS)
    outline: bpy.props.CollectionProperty(type=THREER_PG_corner, options=HIDDEN)
    perspective: bpy.props.FloatVectorProperty(
        name="View", description="Clip space from Blender's world, row by row", size=16, options=HIDDEN
    )
    size: bpy.props.IntVectorProperty(name="Region", size=2, options=HIDDEN)

    _drawn: list[tuple[float, float]]
    _view: Any
    _area: Any
    _handle: Any

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        return {
            "SHOW": "Drag around points to show those again that the lasso has masked",
            "ISOLATE": "Drag around points to mask all others",
        }.get(properties.action, str(cls.__doc__))

    def run(self, context: bpy.types.Context) -> None:
        outline = [tuple(corner.co) for corner in self.outline]
        if len(outline) < 3 or not all(0 < side < 1 << 15 for side in self.size):
            raise UserError("The lasso needs an outline: drag around points in the viewport.")
        matrix = np.array(self.perspective, np.float64).reshape(4, 4)
        objects = targets(context)
        for obj in objects:
            inside = picture_points.in_lasso(picture_points.positions(obj), matrix, tuple(self.size), outline)
            before = masks.read(obj.data, SELECTION)
            hidden = {"MASK": before | inside, "SHOW": before & ~inside, "ISOLATE": before | ~inside}[self.action]
            masks.write(obj, SELECTION, hidden)
        self.say_hidden(objects, SELECTION)

    def invoke(self, context: bpy.types.Context, _event: Any) -> set[str]:
        if context.area is None or context.area.type != "VIEW_3D":
            return self.execute(context)
        self._drawn, self._view, self._area = [], None, context.area
        self._handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (self._drawn,), "WINDOW", "POST_PIXEL")
        context.window_manager.modal_handler_add(self)
        context.window.cursor_modal_set("CROSSHAIR")
        self._area.header_text_set(HINT)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: Any) -> set[str]:
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            self._end(context)
            return {"CANCELLED"}
        if event.type == "LEFTMOUSE" and event.value == "PRESS" and not event.alt:
            self._view = picks.view_at(self._area, event.mouse_x, event.mouse_y)
            return {"RUNNING_MODAL"} if self._view else {"PASS_THROUGH"}
        if self._view is None:
            is_navigation = event.type in picks.NAVIGATION or event.alt or event.type.startswith("NUMPAD_")
            return {"PASS_THROUGH"} if is_navigation else {"RUNNING_MODAL"}
        region, region_3d = self._view
        if event.type in picks.MOUSE_MOTION:
            place = float(event.mouse_x - region.x), float(event.mouse_y - region.y)
            if not self._drawn or np.hypot(*np.subtract(place, self._drawn[-1])) >= STEP:
                self._drawn.append(place)
                self._area.tag_redraw()
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE":
            self.outline.clear()
            for corner in self._drawn:
                self.outline.add().co = corner
            self.perspective = np.array(region_3d.perspective_matrix).ravel().tolist()
            self.size = region.width, region.height
            self._end(context)
            return self.execute(context)
        return {"RUNNING_MODAL"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Called where Blender ends the operator, as when another file is opened."""
        self._end(context)

    def _end(self, context: bpy.types.Context) -> None:
        """Takes away the drawing, the text and the cursor."""
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        self._area.header_text_set(None)
        if context.window is not None:
            context.window.cursor_modal_restore()
        self._area.tag_redraw()
        work.current().scene_facts.forget()


def _draw(outline: list[tuple[float, float]]) -> None:
    """Draws the outline so far, closed."""
    if len(outline) < 2:
        return
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", picks.MARK)
    batch_for_shader(shader, "LINE_STRIP", {"pos": [*outline, outline[0]]}).draw(shader)


register, unregister = bpy.utils.register_classes_factory((THREER_PG_corner, THREER_OT_lasso))
