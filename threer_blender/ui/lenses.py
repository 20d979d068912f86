"""[B] The buttons that export a result's lens, its cameras and points, and that put CG over the plate."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import bpy

from .. import bundle
from ..exchange import export as exchange
from ..exchange.content import AXES, Choice
from ..files import sequence_files
from ..lenses import export
from ..model.errors import UserError, quoted
from ..scene import cameras, interchange, masks, redistortion, shots, world
from . import summary, words, work
from .buttons import AsksForFolder, OfResult, registration

FOLDER_ENDS = {"lens": "_lens", "comp": "_comp"}  # endings of the folders that are written beside a result


class THREER_OT_export_lenses(AsksForFolder, OfResult, bpy.types.Operator):
    """Write the solved lens for other programs: STMaps for Nuke and 3DE, a Nuke script, all numbers as JSON"""

    bl_idname = "threer.export_lenses"
    bl_label = "Export Lens"

    def run(self, context: bpy.types.Context) -> None:
        folder = summary.bundle(summary.current_root(context.scene, context.object))
        lines = export.write(bundle.read(folder), self.folder)
        self.report({"INFO"}, "; ".join(line.strip() for line in lines))


class THREER_OT_export_cameras(AsksForFolder, OfResult, bpy.types.Operator):
    """Write pictures without distortion, cameras and points for other programs, as they stand in this scene"""

    bl_idname = "threer.export_cameras"
    bl_label = "Export Cameras and Points"

    format_id: bpy.props.EnumProperty(
        name="Format",
        items=[
            (name, each.label, f"For {each.readers}") for name, each in (exchange.FORMATS | exchange.IN_BLENDER).items()
        ],
    )

    axes: bpy.props.EnumProperty(
        name="World",
        description="Which axis goes up in the files",
        items=[("OWN", "As the program's", ""), *((name, name, "") for name in AXES)],
    )
    scale: bpy.props.FloatProperty(
        name="Scale", description="Units of the files for one of Blender's; 0 is the program's own", min=0.0
    )
    first_frame: bpy.props.IntProperty(
        name="First Frame", description="Where shots begin in the files; 0 is as their plates", min=0
    )

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        folder = summary.bundle(root)
        choice = Choice("" if self.axes == "OWN" else self.axes, self.scale, self.first_frame or None)
        smooth, sentences = shots.as_smoothed(summary.filming_cameras(root), bundle.read(folder))
        unmasked, mask_sentences = masks.applied(root, smooth)
        result = world.in_scene(root, unmasked)
        if self.format_id in exchange.IN_BLENDER:
            lines = interchange.write(result, self.format_id, self.folder, choice)
        else:
            lines = exchange.write(result, folder, self.format_id, self.folder, choice)
        self.report({"INFO"}, "; ".join([*lines, *mask_sentences, *sentences]))


class THREER_OT_comp_over_plate(OfResult, bpy.types.Operator):
    """Render larger than the plate (overscan) and let the compositor put the CG, with the lens's distortion, over it"""

    bl_idname = "threer.comp_over_plate"
    bl_label = "Comp over Plate"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        root = summary.current_root(context.scene, context.object)
        if root is not None and summary.filming_cameras(root):
            return True
        cls.poll_message_set("This needs a reconstruction of a video or an image sequence")
        return False

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        filming = summary.filming_cameras(root)
        camera = context.scene.camera if context.scene.camera in filming else filming[0]
        comp = comp_over_plate(context.scene, root, camera)
        self.report({"INFO"}, f"The compositor saves frames of the plate's size in {quoted(comp)}")


def comp_over_plate(scene: bpy.types.Scene, root: bpy.types.Object, camera: bpy.types.Object) -> Path:
    """Writes the lens of a shot's camera beside the result, and has the compositor distort CG by it.

    Returns the folder into which the compositor saves frames. Raises UserError where the result, its shot or its plate
    is gone, or where the lens cannot be written.
    """
    folder = summary.bundle(root).resolve()
    reconstruction = bundle.read(folder)
    shot = next((shot for shot in reconstruction.shots if shots.is_of(camera, shot)), None)
    if shot is None:
        raise UserError(f"The result in {quoted(folder)} is of other shots; import it again.")
    photo = next(photo for photo in reconstruction.photos if photo.path == shot.path)
    lens, comp = (folder.with_name(folder.name.removesuffix(".3r") + end) for end in FOLDER_ENDS.values())
    export.write(reconstruction, lens)
    redistortion.set_up(scene, camera, shot, photo, lens, comp)
    return comp


def draw(layout: Any, root: bpy.types.Object, columns: int) -> None:
    """Draws the button for CG over the plate where the result has a shot, and a button to find a plate that is gone."""
    filming = summary.filming_cameras(root)
    if not filming:
        return
    layout.operator(THREER_OT_comp_over_plate.bl_idname, icon="NODE_COMPOSITING")
    for camera in filming:
        for clip in (each.clip for each in camera.data.background_images if each.clip and cameras.PHOTO in each.clip):
            path = bpy.path.abspath(clip.filepath)
            if not work.seek(("plate", path), partial(sequence_files.exists, path), True):
                words.sentence(layout, f"The plate {quoted(clip.name)} is not where it was.", columns, "ERROR")
                layout.operator("file.find_missing_files", text="Find Plate…", icon="FILE_REFRESH")


def _draw_export(menu: Any, _context: bpy.types.Context) -> None:
    menu.layout.operator(THREER_OT_export_lenses.bl_idname, text="3R Lens (STMaps, Nuke)")
    menu.layout.operator(THREER_OT_export_cameras.bl_idname, text="3R Cameras and Points (COLMAP, Nuke, Maya …)")


register, unregister = registration(
    (THREER_OT_export_lenses, THREER_OT_export_cameras, THREER_OT_comp_over_plate),
    {"TOPBAR_MT_file_export": _draw_export},
)
