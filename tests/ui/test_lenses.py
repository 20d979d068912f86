"""The buttons of a solved lens, from a result's bundle, as in the panel."""

from dataclasses import replace
from pathlib import Path

import bpy

from tests.blender.world import camera, reconstruct
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
        assert bpy.ops.threer.export_lenses(directory=str(tmp_path / "handed on")) == {"FINISHED"}
        assert len(list((tmp_path / "handed on").glob("*.exr"))) == 2
    finally:
        work.end()
        for cls in (lenses.THREER_OT_export_lenses, lenses.THREER_OT_comp_over_plate):
            bpy.utils.unregister_class(cls)
