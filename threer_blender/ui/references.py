"""[B] The box "What Is Known" for facts that are known before a solve: its options, and buttons that fill them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy

from ..engines.options import KNOWN_BOX
from ..files import bundle_folder, scene_camera_files
from ..jobs import results
from ..jobs.messages import Calibrate
from ..model.engine import Option
from ..model.errors import UserError
from ..scene import scene_cameras
from . import properties, survey, words, work
from .buttons import AsksForFiles, Button, registration

LENS_FILE, CAMERAS_FILE = "lens.json", "scene_cameras.json"


class THREER_OT_lens_grid(AsksForFiles, bpy.types.Operator):
    """Solve the lens from photos of a checkerboard or dots, tilted and all over the picture, and use it from then on"""

    bl_idname = "threer.lens_grid"
    bl_label = "From Lens Grids…"

    def run(self, context: bpy.types.Context) -> None:
        if not self.paths:
            raise UserError("No photos were chosen: choose some of a checkerboard or a grid of dots.")
        tasks = work.current().queue.tasks
        outputs = {Path(task.request.output) for task in tasks if isinstance(task.request, Calibrate)}
        output = str(bundle_folder.unused_name(self.paths[0].with_name(LENS_FILE), outputs))
        owner, engine = context.scene.session_uid, properties.engine(context.scene)

        def use() -> None:
            scene = work.scene_of(owner)
            if scene is not None:
                properties.options_of(scene, engine).lens_file = output

        work.add(Calibrate([str(path) for path in self.paths], output), owner, use)


class THREER_OT_scene_cameras(Button, bpy.types.Operator):
    """Solve against cameras of this scene: those that belong to chosen photos stay, and the other photos get cameras"""

    bl_idname = "threer.scene_cameras"
    bl_label = "Use Scene Cameras"

    def run(self, context: bpy.types.Context) -> None:
        chosen = [Path(path) for path in properties.chosen_paths(context.scene)]
        cameras = scene_cameras.of(context.scene, chosen)
        if len(cameras) < 2:
            raise UserError(
                "Fewer than two cameras of the scene belong to chosen photos: give each the photo as its background "
                "image, or the photo's name."
            )
        folder = results.results_folder(chosen[0], bpy.data.filepath)
        folder.mkdir(parents=True, exist_ok=True)
        path = bundle_folder.unused_name(folder / CAMERAS_FILE)  # a waiting task may still read an earlier file
        scene_camera_files.write(path, cameras)
        properties.options_of(context.scene, properties.engine(context.scene)).against = str(path)
        self.report({"INFO"}, f"{len(cameras)} cameras of the scene stay; press Reconstruct")


def draw(layout: Any, options: Sequence[Option], values: Any, columns: int) -> None:
    """Draws the boxes that the options name, each with its options, on lines of so many letters.

    `values` holds the options as properties.
    """
    for name in dict.fromkeys(option.box for option in options if option.box):
        box = layout.box().column()
        box.label(text=name)
        for option in options:
            if option.box == name:
                box.prop(values, option.name)
        if name == KNOWN_BOX:
            inner = columns - words.BORDER
            text = words.fitting(THREER_OT_lens_grid.bl_label, "Lens Grids…", inner)
            box.operator(THREER_OT_lens_grid.bl_idname, text=text, icon="MESH_GRID")
            text = words.fitting(THREER_OT_scene_cameras.bl_label, "Scene Cameras", inner)
            box.operator(THREER_OT_scene_cameras.bl_idname, text=text, icon="CAMERA_DATA")
            mark, use = survey.THREER_OT_mark_survey, survey.THREER_OT_use_survey
            row = words.side_by_side(box, (mark.bl_label, use.bl_label), inner)
            row.operator(mark.bl_idname, text=words.fitting(mark.bl_label, "Mark Survey", inner), icon="EMPTY_AXIS")
            row.operator(use.bl_idname, text=words.fitting(use.bl_label, "Use Survey", inner), icon="FILE_TICK")


register, unregister = registration((THREER_OT_lens_grid, THREER_OT_scene_cameras), {})
