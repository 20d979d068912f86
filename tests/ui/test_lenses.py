"""The buttons that hand a result on, from a result's bundle, as in the panel."""

import json
from dataclasses import replace
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from tests.blender.world import CAMERAS, camera, reconstruct, write_photos
from tests.scene.test_redistortion import BARREL, SIZE, filmed
from threer_blender import bundle
from threer_blender.scene import build
from threer_blender.ui import lenses, work


def test_the_button_writes_the_lens_and_sets_the_scene_up(tmp_path: Path) -> None:
    solved = replace(camera("plate 1001", *SIZE, 200), distortion=BARREL)
    root, shot, photo = filmed(tmp_path, {1001: solved})
    result = reconstruct([photo], [solved], step=8, shots=[shot])
    folder = bundle.write(result, tmp_path / "clip.3r")
    root[build.BUNDLE] = str(folder)
    for cls in (lenses.THREER_OT_export_lenses, lenses.THREER_OT_comp_over_plate):
        bpy.utils.register_class(cls)
    work.begin(tmp_path / "home", "threer_blender")
    try:
        assert bpy.ops.threer.comp_over_plate() == {"FINISHED"}
        assert (tmp_path / "clip_lens" / "lens.json").is_file()
        assert bpy.context.scene.render.resolution_x > SIZE[0]
        (cloud,) = [child for child in root.children if child.get("threer_role") == "cloud"]
        assert cloud.hide_render  # points would cover the plate
        assert bpy.ops.threer.export_lenses(directory=str(tmp_path / "handed on")) == {"FINISHED"}
        assert len(list((tmp_path / "handed on").glob("*.exr"))) == 2
    finally:
        work.end()
        for cls in (lenses.THREER_OT_export_lenses, lenses.THREER_OT_comp_over_plate):
            bpy.utils.unregister_class(cls)


def test_exported_cameras_stand_where_those_in_the_scene_do(tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "shot", CAMERAS[:3])
    folder = bundle.write(reconstruct(photos, CAMERAS[:3], step=8), tmp_path / "shot.3r")
    root = build.build(bundle.read(folder), folder)
    root.matrix_world = Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(0.4, 4, "X") @ Matrix.Scale(2.5, 4)
    bpy.context.view_layer.update()
    bpy.utils.register_class(lenses.THREER_OT_export_cameras)
    work.begin(tmp_path / "home", "threer_blender")
    try:
        arguments = {"directory": str(tmp_path / "handed on"), "format_id": "transforms"}
        assert bpy.ops.threer.export_cameras(**arguments) == {"FINISHED"}
    finally:
        work.end()
        bpy.utils.unregister_class(lenses.THREER_OT_export_cameras)
    index = json.loads((tmp_path / "handed on" / "transforms.json").read_text("utf-8"))
    assert [Path(frame["file_path"]).name for frame in index["frames"]] == [
        "00001_landscape.png", "00002_portrait.png", "00003_off_centre.png"
    ]  # fmt: skip
    for frame, camera_object in zip(index["frames"], build.solved_cameras(root), strict=True):
        place, rotation, _ = camera_object.matrix_world.decompose()
        expected = Matrix.LocRotScale(place, rotation, None)
        assert np.allclose(frame["transform_matrix"], expected, atol=1e-5)
