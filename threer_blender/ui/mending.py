"""[B] The panel to mend a shot by hand: leave tracks out or weigh them, mark bad frames, and solve the shot again."""

from __future__ import annotations

from typing import ClassVar

import bpy
import numpy as np

from ..jobs import results
from ..jobs.messages import SolveAgain
from ..model.errors import UserError, quoted
from ..scene import build, cameras, tracks
from ..scene.changes import Changes
from . import words, work
from .buttons import registration
from .panel import Sidebar
from .smoothing import THREER_OT_smooth_camera
from .tracking import OfShot, current_shot, filming

MOST_ROWS = 8  # of the list of bad frames


def _tracks_object(context: bpy.types.Context) -> bpy.types.Object | None:
    """The object of the shot's tracks; None where they are not in the scene."""
    camera = filming(context)
    return None if camera is None else tracks.of(camera)


class THREER_PT_mending(Sidebar, bpy.types.Panel):
    """The artist's tools where a shot does not stick."""

    bl_label = "Mend by Hand"
    bl_parent_id = "THREER_PT_tracking"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, columns = self.layout, words.columns(context)
        obj = _tracks_object(context)
        if obj is None:
            layout.operator(THREER_OT_show_tracks.bl_idname, icon="PARTICLE_POINT")
        else:
            words.sentence(layout, "Select tracks in Edit Mode.", columns, "INFO")
            layout.operator(THREER_OT_select_worst.bl_idname, icon="RESTRICT_SELECT_OFF")
            text = words.fitting(THREER_OT_select_near.bl_label, "Select Near", columns)
            layout.operator(THREER_OT_select_near.bl_idname, text=text, icon="POINTCLOUD_DATA")
            row = layout.row(align=True)
            row.operator(THREER_OT_weigh_tracks.bl_idname, text="Leave Out").weight = 0.0
            row.operator(THREER_OT_weigh_tracks.bl_idname, text="Use").weight = 1.0
            row.operator(THREER_OT_weigh_tracks.bl_idname, text="Hold").weight = tracks.HEAVY
            count = tracks.excluded(obj)
            if count:
                layout.label(text=f"{words.count(count, 'track')} left out")
        camera = filming(context)
        layout.operator(THREER_OT_mark_bad.bl_idname, icon="CANCEL")
        ranges = tracks.bad_ranges(camera)
        for index, (first, last) in enumerate(ranges[:MOST_ROWS]):
            row = layout.row(align=True)
            row.label(text=f"Bad: {first}" if first == last else f"Bad: {first} to {last}")
            row.operator(THREER_OT_unmark_bad.bl_idname, text="", icon="X").index = index
        if len(ranges) > MOST_ROWS:
            layout.label(text=f"… and {len(ranges) - MOST_ROWS} more")
        layout.operator(THREER_OT_smooth_camera.bl_idname, icon="SMOOTHCURVE")
        row = layout.row()
        row.scale_y = 1.4
        row.operator(THREER_OT_solve_again.bl_idname, icon="FILE_REFRESH")


class THREER_OT_show_tracks(OfShot, bpy.types.Operator):
    """Put the points that were tracked through this shot into the scene. Green points fit well, red points do not"""

    bl_idname = "threer.show_tracks"
    bl_label = "Show Tracks"
    bl_options = {"UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        folder, _, shot, camera = current_shot(context)
        if shot.tracks is None:
            raise UserError(f"The result in {quoted(folder)} keeps no tracks; reconstruct it once more.")
        build.show_tracks(context.scene, camera.parent, shot)


class _OfTracks(OfShot):
    """A button for the tracks that the scene shows."""

    bl_options: ClassVar = {"UNDO", "REGISTER"}

    @staticmethod
    def tracks(context: bpy.types.Context) -> bpy.types.Object:
        """The object of the tracks."""
        obj = _tracks_object(context)
        assert obj is not None
        return obj

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if _tracks_object(context) is not None:
            return True
        cls.poll_message_set("Show the tracks first")
        return False


class THREER_OT_select_worst(_OfTracks, bpy.types.Operator):
    """Select the tracks with an error above a number of pixels, so that you can look at them or leave them out"""

    bl_idname = "threer.select_worst_tracks"
    bl_label = "Select Worst"

    least: bpy.props.FloatProperty(
        name="Error", default=tracks.WORST, min=0.0, soft_max=20.0, description="Pixels, root mean square of a track"
    )

    def run(self, context: bpy.types.Context) -> None:
        obj = self.tracks(context)
        with tracks.in_object_mode(obj):
            count = tracks.select_worst(obj, self.least)
        _edit(context, obj)
        self.report({"INFO"}, f"{words.count(count, 'track')} off by more than {self.least:g} px")


class THREER_OT_select_near(_OfTracks, bpy.types.Operator):
    """Select the tracks near the points that are selected in another object, such as the dense points of this result"""

    bl_idname = "threer.select_near_tracks"
    bl_label = "Select Near Points"

    distance: bpy.props.FloatProperty(
        name="Distance",
        default=0.0,
        min=0.0,
        subtype="DISTANCE",
        description="From a selected point to a track. 0 is a hundredth of the way from the camera",
    )

    def run(self, context: bpy.types.Context) -> None:
        obj, other = self.tracks(context), context.object
        if other is None or other == obj:
            raise UserError("Select points of another object first, such as the dense points, in its Edit Mode.")
        with tracks.in_object_mode(other):
            places = tracks.selected_places(other)
        if not len(places):
            raise UserError("No point is selected: select some in Edit Mode.")
        camera = filming(context)
        assert camera is not None  # as poll says
        centre = np.array(camera.matrix_world.translation)
        distance = self.distance or 0.01 * float(np.median(np.linalg.norm(places - centre, axis=1)))
        if other.mode == "EDIT":
            bpy.ops.object.mode_set(mode="OBJECT")
        count = tracks.select_near(obj, places, distance)
        _edit(context, obj)
        self.report({"INFO"}, f"{words.count(count, 'track')} within {distance:.3g} of {len(places)} selected points")


def _edit(context: bpy.types.Context, obj: bpy.types.Object) -> None:
    """Makes an object the only selected one, in Edit Mode."""
    for other in context.selected_objects:
        other.select_set(other == obj)
    obj.select_set(True)
    context.view_layer.objects.active = obj
    if obj.mode != "EDIT":
        bpy.ops.object.mode_set(mode="EDIT")


class THREER_OT_weigh_tracks(_OfTracks, bpy.types.Operator):
    """Say how much the selected tracks count when the shot is solved again: not at all, as usual, or more"""

    bl_idname = "threer.weigh_tracks"
    bl_label = "Weigh Tracks"

    weight: bpy.props.FloatProperty(
        name="Weight", default=0.0, min=0.0, max=tracks.HEAVIEST, description="0 leaves tracks out, 1 is usual"
    )

    def run(self, context: bpy.types.Context) -> None:
        obj = self.tracks(context)
        with tracks.in_object_mode(obj):
            count = tracks.weigh(obj, self.weight)
        if not count:
            raise UserError("No track is selected; select some in Edit Mode, or press Select Worst.")
        effect = {0.0: "left out", 1.0: "used"}.get(self.weight, f"weighed {self.weight:g} times")
        self.report({"INFO"}, f"{words.count(count, 'track')} {effect}; press Solve Again")


class THREER_OT_mark_bad(OfShot, bpy.types.Operator):
    """Leave frames out of the next solve: the preview range, or the current frame. They get no keys"""

    bl_idname = "threer.mark_bad_frames"
    bl_label = "Mark Bad Frames"
    bl_options = {"UNDO", "REGISTER"}

    first: bpy.props.IntProperty(name="First", default=-1, min=-1, max=cameras.LAST_FRAME)
    last: bpy.props.IntProperty(name="Last", default=-1, min=-1, max=cameras.LAST_FRAME)

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        scene = context.scene
        preview = (scene.frame_preview_start, scene.frame_preview_end)
        self.first, self.last = preview if scene.use_preview_range else (scene.frame_current, scene.frame_current)
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        camera = filming(context)
        first, last = build.frames_of(camera)
        start = context.scene.frame_current if self.first < 0 else self.first
        end = max(start, self.last)
        if start > last or end < first:
            raise UserError(f"The shot has the frames {first} to {last}; go to one of them, or set a preview range.")
        with Changes() as changes:
            tracks.set_bad_ranges(changes, camera, [*tracks.bad_ranges(camera), (max(first, start), min(last, end))])


class THREER_OT_unmark_bad(OfShot, bpy.types.Operator):
    """Use these frames again in the next solve"""

    bl_idname = "threer.unmark_bad_frames"
    bl_label = "Use Frames Again"
    bl_options = {"UNDO"}

    index: bpy.props.IntProperty(min=0, options={"HIDDEN", "SKIP_SAVE"})

    def run(self, context: bpy.types.Context) -> None:
        camera = filming(context)
        ranges = tracks.bad_ranges(camera)
        with Changes() as changes:
            tracks.set_bad_ranges(changes, camera, ranges[: self.index] + ranges[self.index + 1 :])


class THREER_OT_solve_again(OfShot, bpy.types.Operator):
    """Solve this shot again from its tracks, without those left out and without bad frames. You can go on working"""

    bl_idname = "threer.solve_again"
    bl_label = "Solve Again"

    def run(self, context: bpy.types.Context) -> None:
        if context.mode == "EDIT_MESH":  # in which a result would wait
            bpy.ops.object.mode_set(mode="OBJECT")
        folder, number, shot, camera = current_shot(context)
        weights = tracks.changed_weights(_tracks_object(context), shot)
        output = results.new_folder([shot.path], bpy.data.filepath, work.current().data_folder)
        bad = [list(entry) for entry in tracks.bad_ranges(camera)]
        request = SolveAgain(str(folder), str(output), number, weights, bad)
        task = work.add(request, context.scene.session_uid)
        if bpy.app.background:  # where timers never run
            work.finish(task)


register, unregister = registration(
    (
        THREER_OT_show_tracks,
        THREER_OT_select_worst,
        THREER_OT_select_near,
        THREER_OT_weigh_tracks,
        THREER_OT_mark_bad,
        THREER_OT_unmark_bad,
        THREER_OT_solve_again,
        THREER_PT_mending,
    ),
    {},
)
