"""[B] The panel of a shot: does its camera stick? It shows the shot's errors, a list of frames, and what to do.

The list shows the keys of the error's F-curve (`scene.shot_errors`), so it is right after undo and load.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy

from .. import bundle
from ..model.errors import UserError, quoted
from ..model.reconstruction import Shot
from ..reports import files
from ..reports.shot_page import REASON
from ..scene import overlay, shot_errors, shots
from . import summary, words, work
from .buttons import Asks, Button
from .panel import Sidebar

ROW = "threer_shot_row"  # the property of scenes for the chosen row of the list
ROWS = 8  # of the list
ERROR_GRAPH = "threer.error_graph"  # the button of `error_graph`
NUMBER_SHARE = 0.25  # of a row's width, for the frame's number


def filming(context: bpy.types.Context) -> bpy.types.Object | None:
    """The shot's camera that the panel is about; None where the result has no shot.

    It is the active object or the scene's camera where one of them filmed a shot, else the first shot's camera.
    """
    root = summary.current_root(context.scene, context.object)
    if root is None:
        return None
    ours = summary.filming_cameras(root)
    return next((each for each in (context.object, context.scene.camera) if each in ours), next(iter(ours), None))


def current_shot(context: bpy.types.Context) -> tuple[Path, int, Shot, bpy.types.Object]:
    """The shot that the panel shows: its result's folder, its index among the result's shots, the shot, its camera.

    Raises UserError where the result is gone or has no such shot.
    """
    root, camera = summary.current_root(context.scene, context.object), filming(context)
    folder = summary.bundle(root)
    for index, shot in enumerate(bundle.read(folder).shots):
        if shots.is_of(camera, shot):
            return folder, index, shot, camera
    raise UserError(f"The result in {quoted(folder)} is of other shots; import it again.")


class THREER_UL_frames(bpy.types.UIList):
    """The list of a shot's frames: number, error as a bar, and a warning sign at frames to look at."""

    bl_idname = "THREER_UL_frames"

    only_suspicious: bpy.props.BoolProperty(
        name="Frames to Look At", description="Show only frames with a large error, a jump, or few tracks"
    )

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: Any,
        curve: Any,
        key: Any,
        _icon: int,
        _active_data: Any,
        _active_property: str,
    ) -> None:
        camera = filming(context)
        number, error = round(key.co[0]), float(key.co[1])
        name = ("worst", None if camera is None else camera.session_uid)
        worst = work.current().scene_facts.get(name, lambda: _worst(curve))
        row = layout.split(factor=NUMBER_SHARE)
        row.label(text=str(number))
        row = row.row(align=True)
        row.progress(factor=error / worst if worst else 0.0, text=f"{error:.2f} px")
        marked = camera is not None and number in shot_errors.suspicious(camera)
        row.label(text="", icon="ERROR" if marked else "BLANK1")

    def draw_filter(self, _context: bpy.types.Context, layout: Any) -> None:
        layout.prop(self, "only_suspicious")

    def filter_items(self, context: bpy.types.Context, curve: Any, name: str) -> tuple[list[int], list[int]]:
        camera = filming(context)
        if not self.only_suspicious or camera is None:
            return [], []
        marked = shot_errors.suspicious(camera)
        keys = getattr(curve, name)
        return [self.bitflag_filter_item if round(key.co[0]) in marked else 0 for key in keys], []


def _worst(curve: Any) -> float:
    """The largest keyed error of an F-curve, in pixels; 0 without keys."""
    return max((float(key.co[1]) for key in curve.keyframe_points), default=0.0)


class WhereShot:
    """A button or a panel that is there only where the panel shows a shot."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return filming(context) is not None


class THREER_PT_tracking(WhereShot, Sidebar, bpy.types.Panel):
    """Does the camera stick?"""

    bl_label = "Camera Tracking"
    bl_parent_id = "THREER_PT_main"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene, columns = self.layout, context.scene, words.columns(context)
        camera = filming(context)
        for label, text in shot_errors.overall(camera):
            if label != REASON:  # which is long: the report has it
                words.sentence(layout, f"{label}: {text}", columns, "NONE")
        curve = shot_errors.curve(camera)
        if curve is not None:
            layout.template_list(
                THREER_UL_frames.bl_idname, "", curve, "keyframe_points", scene, ROW, rows=ROWS, maxrows=ROWS
            )
        layout.operator(ERROR_GRAPH, icon="GRAPH")
        text = words.fitting("Mark Frames to Look At", "Mark Frames", columns)
        layout.operator(THREER_OT_mark_frames.bl_idname, text=text, icon="MARKER_HLT")
        layout.operator(THREER_OT_write_report.bl_idname, icon="FILE_TEXT")
        layout.operator(THREER_OT_overlay_film.bl_idname, icon="RENDER_ANIMATION")
        # Below all buttons: the texts change with the frame, and no button may move under the mouse.
        frame = None if curve is None else shot_errors.details(camera, scene.frame_current)
        if frame is not None:
            text = f"Frame {scene.frame_current}: {frame.tracks} tracks over {frame.coverage:.0%} of the picture"
            words.sentence(layout, text, columns, "NONE")
            if frame.spread:
                words.sentence(layout, f"Spread of solves: {frame.spread}", columns, "NONE")
        marked = shot_errors.suspicious(camera)
        if scene.frame_current in marked:
            words.sentence(layout, marked[scene.frame_current], columns, "ERROR")


def _go_to_row(scene: bpy.types.Scene, context: bpy.types.Context) -> None:
    """Called for a click on a row of the list: moves the timeline to that frame."""
    camera = filming(context)
    curve = None if camera is None else shot_errors.curve(camera)
    row = getattr(scene, ROW)
    if curve is not None and 0 <= row < len(curve.keyframe_points):
        scene.frame_set(round(curve.keyframe_points[row].co[0]))


class OfShot(WhereShot, Button):
    """A button about the shot that the panel shows."""


class THREER_OT_mark_frames(OfShot, bpy.types.Operator):
    """Put timeline markers at the frames to look at: large errors, jumps, few tracks, no camera"""

    bl_idname = "threer.mark_frames"
    bl_label = "Mark Frames to Look At"
    bl_options = {"UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        count = shot_errors.mark_timeline(context.scene, filming(context))
        self.report({"INFO"}, f"{words.count(count, 'frame')} to look at")


class _Writes(Asks, OfShot):
    """A button that asks for the name of a file that ends in `suffix`, and writes that file."""

    suffix: str
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(options={"HIDDEN", "SKIP_SAVE"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})  # Blender asks, then

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if self.attempt(self.suggest, context) == {"CANCELLED"}:
            return {"CANCELLED"}
        return super().invoke(context, event)

    def suggest(self, context: bpy.types.Context) -> None:
        """Sets the name that the file browser begins with: beside the result. Raises UserError where that is gone."""
        result = summary.bundle(summary.current_root(context.scene, context.object))
        self.filepath = str(result.with_name(result.name.removesuffix(".3r") + f" tracking{self.suffix}"))
        self.filter_glob = f"*{self.suffix}"

    def run(self, context: bpy.types.Context) -> None:
        chosen = Path(bpy.path.abspath(self.filepath))
        if not chosen.name:
            raise UserError(f"Choose the {self.suffix} file to write.")
        has_suffix = chosen.suffix.lower() == self.suffix
        path = chosen if has_suffix else chosen.with_name(chosen.name + self.suffix)
        if not has_suffix and os.path.lexists(path):  # Blender asked about the name without the suffix
            raise UserError(f"{quoted(path)} is there already: choose another name.")
        self.write(context, summary.current_root(context.scene, context.object), path)
        self.report({"INFO"}, f"Written: {path}")

    def write(self, context: bpy.types.Context, root: bpy.types.Object, path: Path) -> None:
        raise NotImplementedError


class THREER_OT_write_report(_Writes, bpy.types.Operator):
    """Write a report on how well the shots of this result stick: an HTML page with graphs, and JSON beside it"""

    bl_idname = "threer.write_report"
    bl_label = "Write Report…"
    suffix = ".html"

    def write(self, _context: bpy.types.Context, root: bpy.types.Object, path: Path) -> None:
        files.write(bundle.read(summary.bundle(root)), path)


class THREER_OT_overlay_film(_Writes, bpy.types.Operator):
    """Render the plate with points and a grid on the ground over it, as a film: does it stick?"""

    bl_idname = "threer.overlay_film"
    bl_label = "Overlay Film…"
    suffix = ".mp4"

    def write(self, context: bpy.types.Context, root: bpy.types.Object, path: Path) -> None:
        overlay.write(root, filming(context), path)


_register, _unregister = bpy.utils.register_classes_factory(
    (
        THREER_UL_frames,
        THREER_OT_mark_frames,
        THREER_OT_write_report,
        THREER_OT_overlay_film,
        THREER_PT_tracking,
    )
)


def register() -> None:
    """Registers the panel, its buttons, and the property for the list's chosen row."""
    _register()
    row = bpy.props.IntProperty(name="Frame", description="Go to this frame", update=_go_to_row, options={"SKIP_SAVE"})
    setattr(bpy.types.Scene, ROW, row)


def unregister() -> None:
    """Takes the panel, its buttons and the property out of Blender again."""
    delattr(bpy.types.Scene, ROW)
    _unregister()
