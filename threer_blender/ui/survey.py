"""[B] The buttons that mark survey points on the plate, and give them to the next solve."""

from __future__ import annotations

from pathlib import Path

import bpy

from .. import bundle
from ..files import bundle_folder, survey_files
from ..jobs import results
from ..model.errors import UserError
from ..model.reconstruction import Camera
from ..scene import build, identity, shots, survey_marks
from . import properties, summary, words
from .buttons import Button, registration
from .picks import Picker, Picks

POINTS_FILE, MARKS_FILE = "survey points.csv", "survey marks.csv"


def _photo(context: bpy.types.Context) -> tuple[str, Camera, bpy.types.Object]:
    """The name of the photo, or the number of the frame, that the artist looks at; its solved camera, and the object.

    Raises UserError where the scene's camera was not solved at this frame.
    """
    obj, root = context.scene.camera, summary.current_root(context.scene, context.object)
    solved = bundle.read(summary.bundle(root))
    frame = context.scene.frame_current
    for shot in solved.shots:
        if obj is not None and shots.is_of(obj, shot) and frame in shot.cameras:
            return str(frame), shot.plate_camera(frame), obj
    index = None if obj is None else identity.number(obj, build.INDEX)
    if obj is not None and index is not None and 0 <= index < len(solved.photos):
        camera = solved.camera(solved.photos[int(index)].name)
        if camera is not None:
            return camera.photo, camera, obj
    raise UserError("The scene's camera was not solved at this frame: look through a solved camera first.")


class THREER_OT_mark_survey(Picker, bpy.types.Operator):
    """Click where the plate shows the selected empty's point (or the vertex selected in Edit Mode): a survey mark"""

    bl_idname = "threer.mark_survey"
    bl_label = "Mark Survey Point"

    def to_click(self) -> Picks:
        return Picks(self.bl_label, "the place of the selected point on the plate", 1, on_plate=True)

    def run(self, context: bpy.types.Context) -> None:
        place = self.picked(1)[0]
        name, camera, filming = _photo(context)
        u, v = survey_marks.pixel(filming, camera, place)
        obj = survey_marks.point(context)
        survey_marks.add(obj, name, (u, v))
        self.report({"INFO"}, f"{obj.name}: marked at {u:.1f}, {v:.1f} of {name}")


class THREER_OT_use_survey(Button, bpy.types.Operator):
    """Write the marked points as survey lists, and have the next solve stand where they stand in this scene"""

    bl_idname = "threer.use_survey"
    bl_label = "Use Survey Points"

    def run(self, context: bpy.types.Context) -> None:
        scene = context.scene
        points = survey_marks.marked(scene)
        if len(points) < 3:
            raise UserError(
                f"{words.count(len(points), 'point')} marked: mark three or more, each in two photos or frames or more."
            )
        chosen = [Path(path) for path in properties.chosen_paths(scene)]
        if not chosen:
            raise UserError("Choose the photos or the video first.")
        folder = results.results_folder(chosen[0], bpy.data.filepath)
        folder.mkdir(parents=True, exist_ok=True)
        points_file, marks_file = (bundle_folder.unused_name(folder / name) for name in (POINTS_FILE, MARKS_FILE))
        survey_files.write(points_file, marks_file, points)
        values = properties.options_of(scene, properties.engine(scene))
        values.survey, values.survey_pixels = str(points_file), str(marks_file)
        self.report({"INFO"}, f"{words.count(len(points), 'survey point')}; press Reconstruct")


register, unregister = registration((THREER_OT_mark_survey, THREER_OT_use_survey), {})
