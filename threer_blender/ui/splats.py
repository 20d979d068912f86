"""[B] The menus' and the panel's buttons for splats: import, export, and the settings to render them with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import bpy

from .. import splat_files
from ..model.errors import UserError
from ..scene.splats import files, layers, look, native, splats
from . import work
from .operators import HIDDEN, Button, show_colors

EXPLAINED = 3  # files whose faults a report explains; of more it only gives the names
ENDINGS = tuple(end for end in splat_files.endings() if end.startswith("."))


class THREER_OT_import_splats(Button, bpy.types.Operator):  # type: ignore[misc]
    """Put the Gaussian splats of files into this scene: PLY, compressed PLY, SPZ, splat, KSplat or SOG"""

    bl_idname = "threer.import_splats"
    bl_label = "3R: Import Gaussian Splats"  # as the menu says when files are dropped, between others' offers
    bl_options = {"UNDO", "PRESET"}

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options=HIDDEN)  # type: ignore[valid-type]
    files: bpy.props.CollectionProperty(  # type: ignore[valid-type]
        type=bpy.types.OperatorFileListElement, options=HIDDEN
    )
    filter_glob: bpy.props.StringProperty(  # type: ignore[valid-type]
        default=";".join(f"*{end}" for end in splat_files.endings()), options=HIDDEN
    )
    spz_is_y_up: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="SPZ Is Y Up",
        description="SPZ files have y up, as their specification says. Turn it off where one arrives upside down",
        default=True,
    )
    repair_splatt3r: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Repair Splatt3R Export",
        description="Mend the rotations of PLY files that Splatt3R wrote itself",
        default=False,
    )

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        if self.files:  # dropped onto the viewport
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> None:
        faults: dict[str, str] = {}
        for entry in self.files:
            try:
                obj, notes = files.import_file(
                    Path(self.directory) / entry.name,
                    context.scene,
                    spz_is_y_up=self.spz_is_y_up,
                    repair_splatt3r=self.repair_splatt3r,
                )
            except UserError as error:
                faults[entry.name] = str(error)
                continue
            for note in notes:
                self.report({"WARNING"}, note)
            context.view_layer.objects.active = obj
        if not faults:
            return
        summary = _summary(faults, len(self.files))
        if len(faults) == len(self.files):
            raise UserError(summary)
        work.current().error = summary
        self.report({"WARNING"}, summary)


def _summary(faults: Mapping[str, str], count: int) -> str:
    """One report on the files that could not be imported: why the first ones, and all their names."""
    if count == 1:
        return next(iter(faults.values()))
    names = list(faults)
    text = f"{len(faults)} of {count} files were not imported. {' '.join(faults[name] for name in names[:EXPLAINED])}"
    if len(names) > EXPLAINED:
        text += f" Nor were {', '.join(map(repr, names[EXPLAINED:]))}."
    return text


class THREER_OT_export_splats(Button, bpy.types.Operator):  # type: ignore[misc]
    """Write the active object's splats, its transform applied, as a PLY or SPZ file"""

    bl_idname = "threer.export_splats"
    bl_label = "Export Gaussian Splats"

    check_existing: bpy.props.BoolProperty(default=True, options=HIDDEN)  # type: ignore[valid-type]
    filepath: bpy.props.StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(  # type: ignore[valid-type]
        default=";".join(f"*{end}" for end in splat_files.endings(written=True)), options=HIDDEN
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if splats.is_splats(context.object):
            return True
        cls.poll_message_set("Make an object with splats the active one")
        return False

    def invoke(self, context: bpy.types.Context, _event: bpy.types.Event) -> set[str]:
        self.filepath = f"{context.object.name}.ply"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def run(self, context: bpy.types.Context) -> None:
        files.export_file(context.object, self.filepath)


class THREER_OT_set_up_splats(Button, bpy.types.Operator):  # type: ignore[misc]
    """Show splats as they were made, which changes the scene's color management, and lets rays through 256 of them"""

    bl_idname = "threer.set_up_splats"
    bl_label = "Set Up Splat Rendering"
    bl_options = {"UNDO"}

    way: bpy.props.EnumProperty(  # type: ignore[valid-type]
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


class THREER_OT_splats_to_native(Button, bpy.types.Operator):  # type: ignore[misc]
    """Let Blender draw the active object's splats itself, as its own type of point cloud"""

    bl_idname = "threer.splats_to_native"
    bl_label = "Blender's Own Splats"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return splats.is_splats(context.object) and not native.is_native(context.object)

    def run(self, context: bpy.types.Context) -> None:
        context.view_layer.objects.active = native.to_native(context.object)


class THREER_OT_splats_to_nodes(Button, bpy.types.Operator):  # type: ignore[misc]
    """Show the active object's splats by this extension's modifier, as the reference rasteriser draws them"""

    bl_idname = "threer.splats_to_nodes"
    bl_label = "3R Splats"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return splats.is_splats(context.object) and native.is_native(context.object)

    def run(self, context: bpy.types.Context) -> None:
        native.to_nodes(context.object)


class THREER_FH_splats(bpy.types.FileHandler):  # type: ignore[misc]
    """Splat files dropped onto a viewport."""

    bl_idname = "THREER_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = THREER_OT_import_splats.bl_idname
    bl_file_extensions = ";".join(ENDINGS)

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def _draw_splat_import(menu: Any, _context: bpy.types.Context) -> None:
    text = f"Gaussian Splats ({', '.join(ENDINGS)})"
    menu.layout.operator(THREER_OT_import_splats.bl_idname, text=text)


def _draw_splat_export(menu: Any, _context: bpy.types.Context) -> None:
    text = f"Gaussian Splats ({', '.join(splat_files.endings(written=True))})"
    menu.layout.operator(THREER_OT_export_splats.bl_idname, text=text)


def _draw_convert(menu: Any, _context: bpy.types.Context) -> None:
    if native.available():
        menu.layout.separator()
        menu.layout.operator(THREER_OT_splats_to_native.bl_idname, icon="OUTLINER_OB_POINTCLOUD")
        menu.layout.operator(THREER_OT_splats_to_nodes.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


_register, _unregister = bpy.utils.register_classes_factory(
    (
        THREER_OT_import_splats,
        THREER_OT_export_splats,
        THREER_OT_set_up_splats,
        THREER_OT_splats_to_native,
        THREER_OT_splats_to_nodes,
        THREER_FH_splats,
    )
)
_menus = {
    "TOPBAR_MT_file_import": _draw_splat_import,
    "TOPBAR_MT_file_export": _draw_splat_export,
    "VIEW3D_MT_object_convert": _draw_convert,
}


def register() -> None:
    """Makes the operators, the drop handler and the entries in menus known."""
    _register()
    for menu, draw in _menus.items():
        getattr(bpy.types, menu).append(draw)


def unregister() -> None:
    """Takes them away again."""
    for menu, draw in _menus.items():
        getattr(bpy.types, menu).remove(draw)
    _unregister()
