"""The scene of a result is found in a saved .blend, and no other."""

from pathlib import Path

import bpy
import pytest

from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, stored_masks


def test_the_root_of_the_result_is_found(reconstruction: Reconstruction, tmp_path: Path) -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    name = build.build(reconstruction, tmp_path / "a result").name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert stored_masks.root_in(tmp_path / "scene.blend", tmp_path / "a result").name == name
    with pytest.raises(UserError, match="holds no scene of the result"):
        stored_masks.root_in(tmp_path / "scene.blend", tmp_path / "another")


def test_what_is_no_scene(tmp_path: Path) -> None:
    (tmp_path / "x.blend").write_bytes(b"nothing")
    for path in (tmp_path / "x.blend", tmp_path / "gone.blend"):
        with pytest.raises(UserError, match="could not open"):
            stored_masks.root_in(path, tmp_path)
