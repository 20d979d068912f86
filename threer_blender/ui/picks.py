"""[B] Points picked in the viewport: a modal operator says in the header what to click, and draws the picked points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from gpu_extras.batch import batch_for_shader

from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from ..scene import picking
from ..scene.known_sizes import LENGTHS
from .buttons import HIDDEN, OfResult

NAVIGATION = {"MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM", "NDOF_MOTION", "HOME"}
MOUSE_MOTION = {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"}  # the latter where the mouse is faster than Blender draws
MARK = (1.0, 0.6, 0.1, 1.0)
MARK_SIZE = 5.0  # pixels from the middle to the end, at Blender's interface scale 1
NO_POINT = "No point there: click on the cloud, the splats or a mesh of the result"
NO_PLATE = "Look through a solved camera first (Numpad 0)"


class THREER_PG_pick(bpy.types.PropertyGroup):
    """A picked point."""

    co: bpy.props.FloatVectorProperty(name="Point", subtype="XYZ")


class Picks:
    """The clicks so far, independent of any window.

    The artist clicks `wanted` points, or more of them where `more` is true. `what` says in words which points. Where
    `typed` is true, a length is typed after that. Where `on_plate` is true, a click gives a point in front of the
    camera that the artist looks through, whether or not something of the result is there. `points` are in Blender's
    world. `text` is the typed length. `note` is a remark on the last click for the header.
    """

    def __init__(
        self, label: str, what: str, wanted: int, more: bool = False, typed: bool = False, on_plate: bool = False
    ) -> None:
        self.label, self.what, self.wanted, self.more, self.typed = label, what, wanted, more, typed
        self.on_plate = on_plate
        self.points: list[tuple[float, ...]] = []
        self.text = ""
        self.note = ""
        self.starts: list[int] = []  # how many points there were before each stroke
        self.brush: Any = None  # the mouse's place at the last point of a stroke; None where no button is held
        self.brushed = False

    @property
    def is_complete(self) -> bool:
        """Whether there are enough points."""
        return len(self.points) >= self.wanted

    def click(self, places: Array, perspective: Any, region: tuple[int, int], mouse: Any, radius: float) -> None:
        """Adds the point that a click means, for arguments see `picking.pick`. Where there is none, `hint` says so."""
        self.brush, self.brushed, self.note = mouse, False, ""
        self.starts.append(len(self.points))
        if self.on_plate:
            self.points.append(tuple(map(float, picking.on_ray(np.array(perspective), region, mouse))))
            return
        index = picking.pick(places, np.array(perspective), region, mouse, radius)
        if index >= 0:
            self.points.append(tuple(map(float, places[index])))
        else:
            self.note = NO_POINT

    def drag(self, places: Array, perspective: Any, region: tuple[int, int], mouse: Any, radius: float) -> None:
        """Adds points as `click` does, one each two radii on the way that the mouse was dragged. A miss adds none."""
        if self.brush is None or not self.more:
            return
        start, way = np.array(self.brush, float), np.subtract(mouse, self.brush)
        for step in range(1, int(np.linalg.norm(way) / (2 * radius)) + 1):
            self.brush = start + way * min(1.0, step * 2 * radius / float(np.linalg.norm(way)))
            index = picking.pick(places, np.array(perspective), region, self.brush, radius)
            if index >= 0:
                self.points.append(tuple(map(float, places[index])))
                self.brushed, self.note = True, ""

    def release(self) -> bool:
        """Called when the button is let go. Returns whether a drag has given points, and there are enough now."""
        self.brush = None
        return self.brushed and self.is_complete

    def take_back(self) -> None:
        """Removes the last typed letter, else the points of the last click or stroke."""
        self.note = ""
        if self.text:
            self.text = self.text[:-1]
        elif self.points:
            start = len(self.points)
            while start == len(self.points):  # a click that missed gave none
                start = self.starts.pop()
            del self.points[start:]

    def hint(self) -> str:
        """The text for the header: what to click or type next, and the keys."""
        if self.typed and self.is_complete:
            wanted = f"type their distance, such as 2.5 m, or A4 for its long side: {self.text}_"
            keys = ["Enter: done"]
        else:
            wanted = f"click {self.what} ({len(self.points)} of {self.wanted})"
            keys = ["drag: brush over them", "Shift: more points", "Enter: done"] if self.more else []
        parts = [f"{self.label}: {wanted}", *keys, "Backspace: take back", "Esc: cancel", *filter(None, [self.note])]
        return "   |   ".join(parts)


class Picker(OfResult):
    """An operator that works on picked points. A script gives them as `picks`; else the artist clicks them.

    `to_click` of a subclass says what to click. Its `run` does the work, from `picks` alone.
    """

    bl_label: str
    bl_options = {"REGISTER", "UNDO"}

    picks: bpy.props.CollectionProperty(type=THREER_PG_pick, options=HIDDEN)
    length: float
    _clicks: Picks
    _places: Array  # that can be picked, in Blender's world
    _area: Any
    _handle: Any

    def to_click(self) -> Picks | None:
        """The points to click; None where the operator needs no clicks."""
        raise NotImplementedError

    def candidates(self) -> Array:
        """(N, 3) the points that the next click can mean, in Blender's world."""
        return self._places

    def picked(self, count: int) -> FloatArray:
        """(N, 3) the points in Blender's world, at least `count`. Raises UserError where there are fewer."""
        points = np.array([pick.co for pick in self.picks], np.float64).reshape(-1, 3)
        if len(points) < count:
            raise UserError(f"{self.bl_label} needs {count} points: click them in the viewport.")
        return points

    def invoke(self, context: bpy.types.Context, _event: Any) -> set[str]:
        picks = self.to_click()
        if picks is None or context.area is None or context.area.type != "VIEW_3D":
            return self.execute(context)
        root = self.root(context)
        self._places = picking.visible_points(root)
        if not len(self._places) and not picks.on_plate:
            self.report(
                {"ERROR"}, "There are no points to click: reconstruct with dense points, or show what is hidden."
            )
            return {"CANCELLED"}
        self._clicks, self._area = picks, context.area
        self._handle = bpy.types.SpaceView3D.draw_handler_add(_draw, (picks,), "WINDOW", "POST_PIXEL")
        context.window_manager.modal_handler_add(self)
        context.window.cursor_modal_set("CROSSHAIR")
        self._say(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: Any) -> set[str]:
        picks = self._clicks
        is_typing = picks.typed and picks.is_complete
        if event.type in NAVIGATION or event.alt or (event.type.startswith("NUMPAD_") and not is_typing):
            return {"PASS_THROUGH"}
        if event.type in MOUSE_MOTION:
            self._pick(context, event, picks.drag)
            return {"RUNNING_MODAL"}
        if event.type == "LEFTMOUSE" and event.value == "RELEASE" and picks.release() and not event.shift:
            return self._done(context)
        if event.value != "PRESS":
            return {"RUNNING_MODAL"}
        if event.type in ("ESC", "RIGHTMOUSE"):
            self._end(context)
            return {"CANCELLED"}
        if event.type == "LEFTMOUSE" and not is_typing:
            if not self._pick(context, event, picks.click):
                return {"PASS_THROUGH"}
            if picks.is_complete and not picks.typed and not (picks.more and event.shift) and not picks.note:
                return self._done(context)
        elif event.type in ("RET", "NUMPAD_ENTER") and picks.is_complete:
            return self._done(context)
        elif event.type == "BACK_SPACE":
            picks.take_back()
        elif is_typing and event.unicode.isprintable():
            picks.text += event.unicode
        self._say(context)
        return {"RUNNING_MODAL"}

    def _pick(self, context: bpy.types.Context, event: Any, add: Callable[..., None]) -> bool:
        """Adds what is under the mouse by `add`, a method of Picks; False over a sidebar or a header."""
        view = view_at(self._area, event.mouse_x, event.mouse_y)
        if view is None:
            return False
        region, region_3d = view
        if self._clicks.on_plate and region_3d.view_perspective != "CAMERA":
            self._clicks.note = NO_PLATE
            return True
        count = len(self._clicks.points)
        mouse = event.mouse_x - region.x, event.mouse_y - region.y
        radius = picking.RADIUS * context.preferences.system.ui_scale
        add(self.candidates(), region_3d.perspective_matrix, (region.width, region.height), mouse, radius)
        if len(self._clicks.points) > count:
            self._say(context)
        return True

    def cancel(self, context: bpy.types.Context) -> None:
        """Called where Blender ends the operator, as when another file is opened."""
        self._end(context)

    def _done(self, context: bpy.types.Context) -> set[str]:
        """Ends the clicking and runs the operator with the points, unless what was typed is no length."""
        if self._clicks.typed:
            try:
                self.length = length(context.scene, self._clicks.text)
            except UserError as error:
                self._clicks.note = str(error)
                self._say(context)
                return {"RUNNING_MODAL"}
        self._end(context)
        self.picks.clear()
        for point in self._clicks.points:
            self.picks.add().co = point
        return self.execute(context)

    def _say(self, context: bpy.types.Context) -> None:
        """Shows what to click next in the header and the status bar."""
        self._area.header_text_set(self._clicks.hint())
        context.workspace.status_text_set(self._clicks.hint())
        self._area.tag_redraw()

    def _end(self, context: bpy.types.Context) -> None:
        """Ends the clicking: takes away the drawing, the texts and the cursor."""
        bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
        self._area.header_text_set(None)
        context.workspace.status_text_set(None)
        if context.window is not None:
            context.window.cursor_modal_restore()
        self._area.tag_redraw()


def length(scene: bpy.types.Scene, text: str) -> float:
    """A typed length such as 2.5, 2.5 m, 30cm, 6' or A4, in Blender's units. Raises UserError where it is none."""
    units = scene.unit_settings
    known = LENGTHS.get(text.strip().lower())
    if known is not None:
        return known / float(units.scale_length)
    system = units.system if units.system != "NONE" else "METRIC"
    try:
        metres = float(bpy.utils.units.to_value(system, "LENGTH", text.strip() or "nothing"))
    except (ValueError, SyntaxError, NameError, TypeError) as error:
        raise UserError("That is no length: type one such as 2.5, 30 cm, 6 ft or A4.") from error
    return float(metres / units.scale_length)


def view_at(area: Any, x: int, y: int) -> tuple[Any, Any] | None:
    """The 3D view under the mouse: its region, and the view's matrices; None over a sidebar or a header."""
    inside = [
        region
        for region in area.regions
        if region.x <= x < region.x + region.width and region.y <= y < region.y + region.height
    ]
    windows = [region for region in area.regions if region.type == "WINDOW"]
    if any(region.type != "WINDOW" for region in inside) or not inside:
        return None
    space = area.spaces.active
    views = list(space.region_quadviews) or [space.region_3d]
    return inside[0], views[windows.index(inside[0]) % len(views)]


def _draw(picks: Picks) -> None:
    """Draws crosses with numbers at the picked points, and a line from point to point."""
    context = bpy.context
    size = MARK_SIZE * context.preferences.system.ui_scale
    places = [location_3d_to_region_2d(context.region, context.region_data, point) for point in picks.points]
    visible = [place for place in places if place is not None]
    lines = [
        (place.x + x * size, place.y + y * size) for place in visible for x, y in ((-1, -1), (1, 1), (-1, 1), (1, -1))
    ]
    outline = [*visible, visible[0]] if len(visible) > 2 and not picks.brushed else visible
    lines += [(place.x, place.y) for pair in pairwise(outline) for place in pair]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", MARK)
    gpu.state.line_width_set(2.0)
    batch_for_shader(shader, "LINES", {"pos": lines}).draw(shader)
    gpu.state.line_width_set(1.0)
    for number, place in enumerate(places, start=1):
        if place is not None:
            blf.position(0, place.x + 2 * size, place.y + size, 0)
            blf.size(0, 3 * size)
            blf.color(0, *MARK)
            blf.draw(0, str(number))


register, unregister = bpy.utils.register_classes_factory((THREER_PG_pick,))
