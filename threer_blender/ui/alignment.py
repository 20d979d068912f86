"""[B] The panel and the tools that set the scene upright, on its ground and to its size. They change the root alone."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..model.errors import UserError
from ..scene import alignment, build, identity, picking
from ..scene import root as roots
from . import ready, summary, words
from .buttons import OfResult, WhereResult
from .panel import Sidebar
from .picks import Picker, Picks

SET_BY_HAND = "Up is as you set it."
ON_PLATE = "Draw a line along a level edge of the picture, where no points are: the edge comes to lie along an axis"


def _root(context: bpy.types.Context) -> bpy.types.Object:
    """The root of the result that the panel shows, which must be there."""
    root = summary.current_root(context.scene, context.object)
    assert root is not None  # `poll` has checked it
    return root


class THREER_OT_ground(Picker, bpy.types.Operator):
    """Click three points on the ground, or brush over it: the plane through the real points there becomes z = 0"""

    bl_idname = "threer.ground"
    bl_label = "Ground"

    def to_click(self) -> Picks | None:
        return Picks("Ground", "three points on the ground", 3, more=True)

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        plane = alignment.plane_through(self.picked(3), picking.visible_points(root))
        above = np.median(roots.camera_centres(root), axis=0)
        roots.place(root, alignment.grounded(roots.matrix(root), plane, above))


class THREER_OT_axis(Picker, bpy.types.Operator):
    """Click two points along a wall or an edge: it comes to lie along an axis. The ground stays level for X and Y"""

    bl_idname = "threer.axis"
    bl_label = "Axis"

    axis: bpy.props.EnumProperty(
        name="Along",
        items=[
            ("NEAREST", "Nearest", "The axis that the line is nearest to"),
            ("X", "X", "Only rotates about z"),
            ("Y", "Y", "Only rotates about z"),
            ("Z", "Z", "Sets an upright edge upright"),
        ],
    )

    on_plate: bpy.props.BoolProperty(
        name="On the Plate", description="The line is drawn on the picture of the scene's camera, on whatever is there"
    )

    @classmethod
    def description(cls, _context: bpy.types.Context, properties: Any) -> str:
        return ON_PLATE if properties.on_plate else str(cls.__doc__)

    def to_click(self) -> Picks | None:
        if self.on_plate:
            return Picks("Axis on plate", "both ends of a level edge on the picture", 2, on_plate=True)
        return Picks("Axis", "two points along a wall or an edge", 2)

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        start, end = self.picked(2)[:2]
        axis = "" if self.axis == "NEAREST" else self.axis
        if self.on_plate:
            if context.scene.camera is None:
                raise UserError("The scene has no camera: look through a solved camera first.")
            centre = np.array(context.scene.camera.matrix_world.translation)
            direction = alignment.line_on_plate(centre, start, end, upright=axis == "Z")
            start, end = centre, centre + direction
        roots.place(root, alignment.along_axis(roots.matrix(root), start, end, axis))


class THREER_OT_scale(Picker, bpy.types.Operator):
    """Click two points and type how far they are from each other: the scene gets its true size. The ground stays"""

    bl_idname = "threer.scale"
    bl_label = "Scale"

    length: bpy.props.FloatProperty(
        name="Distance", description="Between the two points", default=1.0, min=0.0, unit="LENGTH"
    )

    def to_click(self) -> Picks | None:
        return Picks("Scale", "two points whose distance you know", 2, typed=True)

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        start, end = self.picked(2)[:2]
        roots.place(root, alignment.scaled(roots.matrix(root), float(np.linalg.norm(end - start)), self.length))


class THREER_OT_camera_height(OfResult, bpy.types.Operator):
    """Say how high over the ground the scene's camera was: the scene gets its true size. Set the ground first"""

    bl_idname = "threer.camera_height"
    bl_label = "Camera Height"
    bl_options = {"REGISTER", "UNDO"}

    height: bpy.props.FloatProperty(
        name="Height", description="Of the camera over the ground", default=1.6, min=0.0, unit="LENGTH"
    )

    def invoke(self, context: bpy.types.Context, _event: Any) -> set[str]:
        return set(context.window_manager.invoke_props_dialog(self))

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        height = roots.camera_height(root, context.scene.camera)
        if height <= 0:
            raise UserError("The camera is not over the ground: set the ground first.")
        roots.place(root, alignment.scaled(roots.matrix(root), height, self.height))


class THREER_OT_origin(Picker, bpy.types.Operator):
    """Bring a point of the scene to Blender's origin"""

    bl_idname = "threer.origin"
    bl_label = "Origin"

    at: bpy.props.EnumProperty(
        name="At",
        items=[("PICK", "Picked Point", "A point that you click"), ("CURSOR", "3D Cursor", "Where it stands")],
    )

    def to_click(self) -> Picks | None:
        return None if self.at == "CURSOR" else Picks("Origin", "the point that becomes the origin", 1)

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        point = np.array(context.scene.cursor.location) if self.at == "CURSOR" else self.picked(1)[0]
        roots.place(root, alignment.with_origin(roots.matrix(root), point))


class THREER_OT_quarter(OfResult, bpy.types.Operator):
    """Rotate the scene by 90 degrees about an axis through Blender's origin; Shift-click rotates the other way"""

    bl_idname = "threer.quarter"
    bl_label = "Rotate by 90°"
    bl_options = {"REGISTER", "UNDO"}

    axis: bpy.props.EnumProperty(name="About", items=[(name, name, "") for name in "XYZ"])
    back: bpy.props.BoolProperty(name="The Other Way", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: Any) -> set[str]:
        self.back = event.shift
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        root = _root(context)
        matrix = alignment.quarter_rotated(roots.matrix(root), self.axis, -1 if self.back else 1)
        roots.place(root, matrix)


class THREER_PT_alignment(WhereResult, Sidebar, bpy.types.Panel):
    """Sets which way is up, where the ground is, and how large things are."""

    bl_label = "Ground, Axis, Scale"
    bl_parent_id = "THREER_PT_main"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        words.quiet(layout, "Click points of the result in the viewport")
        row = layout.row(align=True)
        row.operator(THREER_OT_ground.bl_idname, icon="MESH_GRID")
        row.operator(THREER_OT_axis.bl_idname, icon="EMPTY_AXIS").on_plate = False
        row.operator(THREER_OT_axis.bl_idname, text="", icon="IMAGE_PLANE").on_plate = True
        row = layout.row(align=True)
        row.operator(THREER_OT_scale.bl_idname, icon="DRIVER_DISTANCE")
        half = words.columns(context) // 2 + words.SHARED_MARGIN
        text = words.fitting("Camera Height", "Height", half)
        row.operator(THREER_OT_camera_height.bl_idname, text=text, icon="CAMERA_DATA")
        row = layout.row(align=True)
        row.operator(THREER_OT_origin.bl_idname, icon="OBJECT_ORIGIN").at = "PICK"
        text = words.fitting("Origin at Cursor", "At Cursor", half)
        row.operator(THREER_OT_origin.bl_idname, text=text, icon="PIVOT_CURSOR").at = "CURSOR"
        row = layout.row(align=True)
        for name in "XYZ":
            row.operator(THREER_OT_quarter.bl_idname, text=f"{name} 90°").axis = name
        layout.operator(ready.THREER_OT_scene_ready.bl_idname, icon="SCENE")
        # Below all buttons: a tool changes the sentence, and no button may move under the mouse.
        up_sentence = identity.text(_root(context), build.UPRIGHT)[: summary.LONGEST] or SET_BY_HAND
        words.sentence(layout, up_sentence, words.columns(context), "INFO")


register, unregister = bpy.utils.register_classes_factory(
    (
        THREER_OT_ground,
        THREER_OT_axis,
        THREER_OT_scale,
        THREER_OT_camera_height,
        THREER_OT_origin,
        THREER_OT_quarter,
        ready.THREER_OT_scene_ready,
        THREER_PT_alignment,
    )
)
