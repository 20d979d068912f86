"""A saved scene whose plate was moved: the panel names it, and Blender finds it again."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.drawn import drawn
from tests.blender.extension import part, roots
from tests.geometry.shots import synthetic_shots
from tests.solved_shots import FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_a_plate_that_was_moved_is_named_and_found_again(tmp_path: Path) -> None:
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), numbers=np.arange(FIRST, FIRST + FRAMES))
    result = bundle.write(result_of(shot, write_plate(tmp_path / "frames")), tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(result))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    (tmp_path / "frames").rename(tmp_path / "archive")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    text = drawn("ui.panel", "THREER_PT_main")
    assert "is not where it was." in text
    assert "file.find_missing_files" in text
    bpy.ops.file.find_missing_files(directory=str(tmp_path / "archive"))
    assert "is not where it was." not in drawn("ui.panel", "THREER_PT_main")
    (root,) = roots()
    (camera,) = part("scene.build").filming_cameras(root)
    clip = camera.data.background_images[0].clip
    assert Path(bpy.path.abspath(clip.filepath)).parent == tmp_path / "archive"
