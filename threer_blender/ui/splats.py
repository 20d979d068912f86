"""[B] The buttons for splats in menus and on the panel: import, export, and render settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import bpy

from .. import splat_files
from ..model.errors import UserError, quoted
from ..scene.splats import applying, files, layers, look, native, splats
from . import work
from .buttons import HIDDEN, Asks, AsksForFiles, Button, Drop, entry, registration
from .operators import show_colors

EXPLAINED = 3  # faulty files that a report explains; it only names the others
ENDINGS = tuple(end for end in splat_files.endings() if end.startswith("."))


class THREER_OT_import_splats(AsksForFiles, bpy.types.Operator):
    """Put the Gaussian splats of files into this scene: PLY, compressed PLY, SPZ, splat, KSplat or SOG"""

    bl_idname = "threer.import_splats"
    bl_label = "3R: Import Gaussian Splats"  # as the menu says when files are dropped, between others' offers
    bl_options = {"UNDO", "PRESET"}

    filter_glob: bpy.props.StringProperty(default=";".join(f"*{end}" for end in splat_files.endings()), options=HIDDEN)
    spz_is_y_up: bpy.props.BoolProperty(
        name="SPZ Is Y Up",
        description="SPZ files have y up, as their specification says. Turn it off where one arrives upside down",
        default=True,
    )
    repair_splatt3r: bpy.props.BoolProperty(
        name="Repair Splatt3R Export",
        description="Mend the rotations of PLY files that Splatt3R wrote itself",
        default=False,
    )

    def run(self, context: bpy.types.Context) -> None:
        faults: dict[str, str] = {}
        paths = self.paths
        if not paths:
            raise UserError("Choose one or more splat files in the file browser.")
        for path in paths:
            try:
                obj, notes = files.import_file(
                    path,
                    context.scene,
                    spz_is_y_up=self.spz_is_y_up,
                    repair_splatt3r=self.repair_splatt3r,
                )
            except UserError as error:
                faults[path.name] = str(error)
                continue
            for note in notes:
                self.report({"WARNING"}, note)
            context.view_layer.objects.active = obj
        if not faults:
            return
        summary = _summary(faults, len(paths))
        if len(faults) == len(paths):
            raise UserError(summary)
        work.current().error = summary
        self.report({"WARNING"}, summary)


def _summary(faults: Mapping[str, str], count: int) -> str:
    """One report on the files that could not be imported: the reasons for the first ones, and the names of the rest."""
    if count == 1:
        return next(iter(faults.values()))
    names = list(faults)
    text = f"{len(faults)} of {count} files were not imported. {' '.join(faults[name] for name in names[:EXPLAINED])}"
    if len(names) > EXPLAINED:
        text += f" Nor were {', '.join(map(quoted, names[EXPLAINED:]))}."
    return text


class THREER_OT_export_splats(Asks, bpy.types.Operator):
    """Write the active object's splats, its transform applied, as a PLY or SPZ file"""

    bl_idname = "threer.export_splats"
    bl_label = "Export Gaussian Splats"

    check_existing: bpy.props.BoolProperty(default=True, options=HIDDEN)
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: bpy.props.StringProperty(
        default=";".join(f"*{end}" for end in splat_files.endings(written=True)), options=HIDDEN
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if splats.is_splats(context.object):
            return True
        cls.poll_message_set("Make an object with splats the active one")
        return False

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.filepath = f"{context.object.name}.ply"
        return super().invoke(context, event)

    def run(self, context: bpy.types.Context) -> None:
        files.export_file(context.object, self.filepath)


class THREER_OT_set_up_splats(Button, bpy.types.Operator):
    """Show splats as they were made. This changes the scene's color management, and lets rays pass 256 splats"""

    bl_idname = "threer.set_up_splats"
    bl_label = "Set Up Splat Rendering"
    bl_options = {"UNDO"}

    way: bpy.props.EnumProperty(
        name="Way",
        items=[
            ("RAW", "Splats Alone", "The view transform becomes Raw: exact, but lit objects look too dark beside them"),
            ("LAYER", "With CG", "Splats get a view layer of their own, and the compositor puts CG over them"),
        ],
    )

    def run(self, context: bpy.types.Context) -> None:
        ways = {"RAW": look.set_up_rendering, "LAYER": layers.use_separate_layer}
        ways[self.way](context.scene)
        show_colors(context)


class _OfSplats(Button):
    """A button about the active object's splats."""

    bl_options: ClassVar = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return splats.is_splats(context.object)


class _SwitchesDrawing(_OfSplats):
    """A button that switches between our and Blender's way of drawing the active object's splats."""

    from_native: bool  # whether Blender itself draws them before the click

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return super().poll(context) and native.is_native(context.object) == cls.from_native


class THREER_OT_splats_to_native(_SwitchesDrawing, bpy.types.Operator):
    """Let Blender draw the active object's splats itself, as its own type of point cloud"""

    bl_idname = "threer.splats_to_native"
    bl_label = "Blender's Own Splats"
    from_native = False

    renders: bpy.props.BoolProperty(
        name="In Renders Too", description="Without this, renders show splats as the reference rasteriser draws them"
    )

    def run(self, context: bpy.types.Context) -> None:
        context.view_layer.objects.active = native.to_native(context.object, self.renders)


class THREER_OT_splats_to_nodes(_SwitchesDrawing, bpy.types.Operator):
    """Show the active object's splats by this extension's modifier, as the reference rasteriser draws them"""

    bl_idname = "threer.splats_to_nodes"
    bl_label = "3R Splats"
    from_native = True

    def run(self, context: bpy.types.Context) -> None:
        native.to_nodes(context.object)


class THREER_OT_apply_splats(_OfSplats, bpy.types.Operator):
    """Apply location, rotation and scale to the active object's splats. Blender's own Apply forgets their shapes"""

    bl_idname = "threer.apply_splats"
    bl_label = "Transforms to Splats"

    def run(self, context: bpy.types.Context) -> None:
        applying.apply_transform(context.object)


class THREER_FH_splats(Drop, bpy.types.FileHandler):
    """Splat files dropped onto a viewport."""

    bl_idname = "THREER_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = THREER_OT_import_splats.bl_idname
    bl_file_extensions = ";".join(ENDINGS)


def _named(ends: Iterable[str]) -> str:
    """The entry of a menu for files with these endings."""
    return f"Gaussian Splats ({', '.join(ends)})"


def _draw_apply(menu: Any, context: bpy.types.Context) -> None:
    if splats.is_splats(context.object):
        menu.layout.separator()
        menu.layout.operator(THREER_OT_apply_splats.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


def _draw_convert(menu: Any, _context: bpy.types.Context) -> None:
    if native.available():
        menu.layout.separator()
        menu.layout.operator(THREER_OT_splats_to_native.bl_idname, icon="OUTLINER_OB_POINTCLOUD")
        menu.layout.operator(THREER_OT_splats_to_nodes.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


register, unregister = registration(
    (
        THREER_OT_import_splats,
        THREER_OT_export_splats,
        THREER_OT_set_up_splats,
        THREER_OT_splats_to_native,
        THREER_OT_splats_to_nodes,
        THREER_OT_apply_splats,
        THREER_FH_splats,
    ),
    {
        "TOPBAR_MT_file_import": entry(THREER_OT_import_splats, _named(ENDINGS)),
        "TOPBAR_MT_file_export": entry(THREER_OT_export_splats, _named(splat_files.endings(written=True))),
        "VIEW3D_MT_object_convert": _draw_convert,
        "VIEW3D_MT_object_apply": _draw_apply,
    },
)
