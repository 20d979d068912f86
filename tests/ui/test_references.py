"""The box of what is known, drawn with its options, and its button that solves a lens from photos of a board."""

from pathlib import Path
from types import ModuleType

import bpy
import numpy as np
import pytest
from PIL import Image

from tests.blender.drawn import drawn
from tests.blender.extension import part
from tests.geometry.grids.rendered import HEIGHT, POSES, WIDTH, photo, pose

pytest_plugins = ["tests.blender.extension"]


def test_a_lens_from_grids_is_used(addon: ModuleType, tmp_path: Path) -> None:
    for number, view in enumerate(POSES[1:]):
        Image.fromarray(photo(pose(*view))).save(tmp_path / f"{number}.png")
    names = [{"name": f"{number}.png"} for number in range(3)]
    bpy.ops.threer.lens_grid(directory=str(tmp_path), files=names)
    (task,) = addon.current().queue.tasks
    part("ui.work").finish(task)
    assert "focal length" in addon.current().success
    options = bpy.context.scene.threer.options_colmap
    assert options.lens_file == str(tmp_path / "lens.json")
    assert Path(options.lens_file).is_file()
    options.lens_file = ""


def test_photos_without_corners_are_refused_in_a_sentence(addon: ModuleType, tmp_path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    bpy.ops.threer.lens_grid(directory=str(tmp_path), files=[{"name": "blank.png"}])
    (task,) = addon.current().queue.tasks
    with pytest.raises(Exception, match="None of the photos shows the corners"):
        part("ui.work").finish(task)
    bpy.context.scene.threer.options_colmap.lens_file = ""


@pytest.mark.usefixtures("addon")
def test_the_box_holds_what_is_known() -> None:
    text = drawn("ui.panel", "THREER_PT_more")
    assert "What Is Known" in text
    assert "threer.lens_grid threer.scene_cameras" in text


def test_without_cameras_of_photos_there_is_no_reference(addon: ModuleType, tmp_path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=[{"name": "blank.png"}])
    with pytest.raises(RuntimeError, match="Fewer than two cameras of the scene belong to chosen photos"):
        bpy.ops.threer.scene_cameras()
    bpy.ops.threer.clear_photos()
    assert addon.current().error
