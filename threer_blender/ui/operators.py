"""[B] The buttons. Each operator translates a click into one call; a UserError becomes a report and stays in the panel.

No operator owns anything: a reconstruction belongs to the queue, see `work`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import bpy

from .. import bundle
from ..files import photo_files, removal
from ..jobs import process
from ..model.errors import UserError
from ..scene import build, cameras, look
from . import aside, choices, pictures, properties, summary, work
from .buttons import HIDDEN, AsksForFiles, AsksForFolder, Button, Drop, OfResult, WhenIdle, entry, registration

# Endings that Blender's own filters for pictures and films do not show. A filter takes at most 255 characters.
UNKNOWN = photo_files.CHOOSABLE - {*bpy.path.extensions_image, *bpy.path.extensions_movie}
GLOB = ";".join(f"*{suffix}" for suffix in sorted(UNKNOWN))
REFINE = "refine"  # the engine that works on an earlier result
TAB = "3R"  # of the sidebar, with our panels


class THREER_OT_choose_photos(AsksForFiles, bpy.types.Operator):
    """Choose photos, a video, or any frame of an image sequence. Select some, or none to take all photos in a folder"""

    bl_idname = "threer.choose_photos"
    bl_label = "3R: Choose Photos or Video"  # as the menu says when files are dropped, between others' offers
    bl_options = {"UNDO"}

    adds: bpy.props.BoolProperty(name="Add", description="Keep what is chosen already", options={"SKIP_SAVE"})

    filter_glob: bpy.props.StringProperty(default=GLOB, options=HIDDEN)
    filter_image: bpy.props.BoolProperty(default=True, options=HIDDEN)
    filter_movie: bpy.props.BoolProperty(default=True, options=HIDDEN)
    filter_folder: bpy.props.BoolProperty(default=True, options=HIDDEN)
    display_type: bpy.props.EnumProperty(
        items=[("FILE_IMGDISPLAY", "Thumbnails", "", 3)],  # Blender's own number for them
        options=HIDDEN,
    )

    def run(self, context: bpy.types.Context) -> None:
        chosen = photo_files.find(self.paths or [Path(self.directory)])
        properties.choose(context.scene, chosen.files, self.adds)
        pictures.forget_thumbnails()
        _show_panel(context)
        if chosen.skipped:
            self.report({"INFO"}, photo_files.skipped_sentence(chosen.skipped))
        work.current().error = ""


def _show_panel(context: bpy.types.Context) -> None:
    """Opens the sidebar's tab of ours in the viewport onto which files were dropped, where the sidebar is closed."""
    viewport = _viewport(context)
    if viewport is None or viewport.show_region_ui:
        return
    viewport.show_region_ui = True
    sidebar = next(region for region in context.area.regions if region.type == "UI")
    with contextlib.suppress(AttributeError, TypeError):  # Blender refuses until it has drawn the tabs once
        sidebar.active_panel_category = TAB


class THREER_OT_remove_photo(Button, bpy.types.Operator):
    """Take the chosen row's photo or shot out of the list. Its file stays where it is"""

    bl_idname = "threer.remove_photo"
    bl_label = "Remove from List"
    bl_options = {"UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        settings = properties.settings(context.scene)
        return bool(0 <= settings.photo_row < len(settings.photos))

    def run(self, context: bpy.types.Context) -> None:
        settings = properties.settings(context.scene)
        settings.photos.remove(settings.photo_row)
        settings.photo_row = max(0, min(settings.photo_row, len(settings.photos) - 1))


class THREER_OT_clear_photos(Button, bpy.types.Operator):
    """Empty the list of what is chosen. The files stay where they are"""

    bl_idname = "threer.clear_photos"
    bl_label = "Forget Choice"
    bl_options = {"UNDO"}

    def run(self, context: bpy.types.Context) -> None:
        properties.settings(context.scene).photos.clear()


class THREER_OT_reconstruct(Button, bpy.types.Operator):
    """Find where each photo or frame was taken, and what it shows, as cameras and points. You can go on working"""

    bl_idname = "threer.reconstruct"
    bl_label = "Reconstruct"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if properties.settings(context.scene).photos:
            return True
        cls.poll_message_set("Choose photos or a video first")
        return False

    def run(self, context: bpy.types.Context) -> None:
        scene = context.scene
        engine = properties.engine(scene)
        options = properties.option_values(scene, engine)
        if refusal := choices.refusal(engine, options):
            raise UserError(refusal)
        task = work.start(properties.chosen_paths(scene), engine.id, options, scene)
        if bpy.app.background:  # where timers never run
            work.finish(task)


class THREER_OT_cancel(Button, bpy.types.Operator):
    """Stop this work. Nothing of it is left behind, unless it already has a result to keep"""

    bl_idname = "threer.cancel"
    bl_label = "Cancel"

    position: bpy.props.IntProperty(name="Position in the queue", min=0, options=HIDDEN)

    def run(self, _context: bpy.types.Context) -> None:
        tasks = work.current().queue.tasks
        if self.position < len(tasks):  # else it has just ended
            work.cancel(tasks[self.position])


class THREER_OT_import_result(AsksForFolder, bpy.types.Operator):
    """Put a finished reconstruction into this scene; choose the folder that was written"""

    bl_idname = "threer.import_result"
    bl_label = "Import Reconstruction"
    bl_options = {"UNDO"}

    beside: bpy.props.BoolProperty(
        name="Beside",
        description="A result of the same photos stays, to compare both. Else this one takes its place",
        options={"SKIP_SAVE"},
    )

    def run(self, context: bpy.types.Context) -> None:
        work.import_result(self.folder, context.scene, beside=self.beside)


class THREER_OT_dismiss_result(Button, bpy.types.Operator):
    """Do not offer this result again; its folder stays, and File > Import still reads it"""

    bl_idname = "threer.dismiss_result"
    bl_label = "Dismiss"

    directory: bpy.props.StringProperty(subtype="DIR_PATH", options=HIDDEN)

    def run(self, _context: bpy.types.Context) -> None:
        work.dismiss(Path(self.directory))


def _viewport(context: bpy.types.Context) -> bpy.types.SpaceView3D | None:
    """The 3D viewport that a button was clicked in; None where a script calls."""
    space = context.space_data
    return space if space is not None and space.type == "VIEW_3D" else None


def show_colors(context: bpy.types.Context) -> None:
    """Has the viewport that a button was clicked in show materials, since other shadings do not color points."""
    viewport = _viewport(context)
    if viewport is not None and viewport.shading.type in ("WIREFRAME", "SOLID"):
        viewport.shading.type = "MATERIAL"


def colors_match(context: bpy.types.Context) -> bool:
    """Whether the viewport shows points in their photos' colours already."""
    viewport = _viewport(context)
    shows_materials = viewport is not None and viewport.shading.type not in ("WIREFRAME", "SOLID")
    return shows_materials and context.scene.view_settings.view_transform == "Standard"


def sees_through_ours(context: bpy.types.Context, root: bpy.types.Object) -> bool:
    """Whether the viewport looks through a camera of this root."""
    viewport, camera = _viewport(context), context.scene.camera
    if viewport is None or camera is None or viewport.region_3d.view_perspective != "CAMERA":
        return False
    return bool(camera.parent == root)


class _Result(OfResult):
    """A button for a next step with the reconstruction that the panel shows."""

    bl_options = {"UNDO"}

    @staticmethod
    def photo_cameras(context: bpy.types.Context) -> list[bpy.types.Object]:
        return build.photo_cameras(summary.current_root(context.scene, context.object))


class THREER_OT_dismiss_message(Button, bpy.types.Operator):
    """Take this message off the panel"""

    bl_idname = "threer.dismiss_message"
    bl_label = "Dismiss"

    def run(self, _context: bpy.types.Context) -> None:
        current = work.current()
        current.error, current.success, current.log, current.was_cancelled = "", "", None, False


class THREER_OT_look_through(_Result, bpy.types.Operator):
    """Look through the shot's moving camera or a photo's, over its picture. The render becomes as large as that"""

    bl_idname = "threer.look_through"
    bl_label = "Look Through Camera"

    step: bpy.props.IntProperty(
        name="Step", description="How many cameras to go on; 0 stays at the current one", options={"SKIP_SAVE"}
    )
    camera: bpy.props.StringProperty(
        name="Camera", description="The name of the camera to look through", options={"SKIP_SAVE"}
    )

    def run(self, context: bpy.types.Context) -> None:
        root = summary.current_root(context.scene, context.object)
        solved = [*build.filming_cameras(root), *self.photo_cameras(context)] or build.solved_cameras(root)
        if not solved:
            raise UserError("This reconstruction has no cameras any more; import its result again.")
        index = solved.index(context.scene.camera) + self.step if context.scene.camera in solved else 0
        chosen = next((each for each in solved if each.name == self.camera), solved[index % len(solved)])
        cameras.use_camera(context.scene, chosen)
        viewport = _viewport(context)
        if viewport is not None:
            viewport.region_3d.view_perspective = "CAMERA"
            viewport.overlay.show_relationship_lines = False  # each camera's line to the root crosses the picture
            aside.hide_others(context.scene, context.view_layer, chosen)


class THREER_OT_refine_cameras(OfResult, bpy.types.Operator):
    """Correct the cameras of this result by details matched between its photos; its points follow"""

    bl_idname = "threer.refine_cameras"
    bl_label = "Refine Cameras"

    def run(self, context: bpy.types.Context) -> None:
        folder = summary.bundle(summary.current_root(context.scene, context.object))
        photos = list(dict.fromkeys(photo.path for photo in bundle.read_photos(folder)))
        task = work.start(photos, REFINE, {"start": str(folder)}, context.scene)
        if bpy.app.background:  # where timers never run
            work.finish(task)


class THREER_OT_open_result(_Result, bpy.types.Operator):
    """Show the folder of this result in the system's file browser"""

    bl_idname = "threer.open_result"
    bl_label = "Open Folder"
    bl_options = {"INTERNAL"}

    def run(self, context: bpy.types.Context) -> None:
        root = self.root(context)
        folder = summary.bundle(root)  # checks the path: the .blend may be a stranger's and name any program
        if sys.platform == "darwin":  # where some folders are programs
            subprocess.run(["/usr/bin/open", "-R", str(folder)], check=False)
        else:
            bpy.ops.wm.path_open(filepath=str(folder))


class THREER_OT_match_colors(_Result, bpy.types.Operator):
    """See the points in their photos' colors: this viewport shows materials, the scene's view transform is Standard"""

    bl_idname = "threer.match_colors"
    bl_label = "Match Photo Colors"

    def run(self, context: bpy.types.Context) -> None:
        look.match_photo_colors(context.scene)
        show_colors(context)


class THREER_OT_view_per_frame(_Result, bpy.types.Operator):
    """Bind one camera to each frame with timeline markers, so that stepping through frames steps through photos"""

    bl_idname = "threer.view_per_frame"
    bl_label = "One Photo per Frame"

    def run(self, context: bpy.types.Context) -> None:
        photographed = self.photo_cameras(context)
        if not photographed:
            raise UserError("This is for photos: a shot has one camera that moves. Press Look Through Camera.")
        cameras.one_view_per_frame(context.scene, photographed)


class THREER_OT_clear_cache(WhenIdle, bpy.types.Operator):
    """Delete compiled code and logs; the next reconstruction starts some seconds later. Results stay"""

    bl_idname = "threer.clear_cache"
    bl_label = "Clear Cache"

    def run(self, _context: bpy.types.Context) -> None:
        data_folder = work.current().data_folder
        process.remove_logs(data_folder / process.LOGS)
        removal.remove(data_folder / process.KERNELS)


class THREER_FH_photos(Drop, bpy.types.FileHandler):
    """Photos dropped onto a viewport."""

    bl_idname = "THREER_FH_photos"
    bl_label = "Photos to Reconstruct"
    bl_import_operator = THREER_OT_choose_photos.bl_idname
    bl_file_extensions = ";".join(sorted(photo_files.CHOOSABLE))


register, unregister = registration(
    (
        THREER_OT_choose_photos,
        THREER_OT_remove_photo,
        THREER_OT_clear_photos,
        THREER_OT_dismiss_message,
        THREER_OT_reconstruct,
        THREER_OT_cancel,
        THREER_OT_import_result,
        THREER_OT_dismiss_result,
        THREER_OT_look_through,
        THREER_OT_refine_cameras,
        THREER_OT_open_result,
        THREER_OT_match_colors,
        THREER_OT_view_per_frame,
        THREER_OT_clear_cache,
        THREER_FH_photos,
    ),
    {"TOPBAR_MT_file_import": entry(THREER_OT_import_result, "3R Reconstruction (folder)")},
)
