"""Scene Ready of a shot, as in the panel: with the comp over its plate, or nothing where that is gone."""

from dataclasses import replace
from pathlib import Path

import bpy
import pytest

from tests.blender.world import camera, reconstruct
from tests.scene.test_redistortion import BARREL, SIZE, filmed
from threer_blender import bundle
from threer_blender.scene import build
from threer_blender.ui import ready, work


def test_a_shot_gets_its_comp_or_nothing_changes(tmp_path: Path) -> None:
    solved = replace(camera("plate 1001", *SIZE, 200), distortion=BARREL)
    root, shot, photo = filmed(tmp_path, {1001: solved})
    folder = bundle.write(reconstruct([photo], [solved], step=8, shots=[shot]), tmp_path / "clip.3r")
    root[build.BUNDLE] = str(folder)
    scene = bpy.context.scene
    bpy.utils.register_class(ready.THREER_OT_scene_ready)
    work.begin(tmp_path / "home", "threer_blender")
    try:
        for _ in range(2):
            assert bpy.ops.threer.scene_ready() == {"FINISHED"}
            assert scene.render.resolution_x > SIZE[0]  # overscan
            assert (scene.frame_start, scene.camera) == (1001, build.filming_cameras(root)[0])
            assert (tmp_path / "clip_lens" / "lens.json").is_file()
        scene.camera.data.background_images[0].clip = None
        scene.render.film_transparent = False
        with pytest.raises(RuntimeError, match="does not show the plate"):
            bpy.ops.threer.scene_ready()
        assert not scene.render.film_transparent
    finally:
        work.end()
        bpy.utils.unregister_class(ready.THREER_OT_scene_ready)
