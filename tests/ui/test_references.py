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
from threer_blender.files import scene_camera_files

pytest_plugins = ["tests.blender.extension"]


def test_a_lens_from_grids_is_used(work: ModuleType, tmp_path: Path) -> None:
    for number, view in enumerate(POSES[1:]):
        Image.fromarray(photo(pose(*view))).save(tmp_path / f"{number}.png")
    names = [{"name": f"{number}.png"} for number in range(3)]
    (tmp_path / "lens.json").write_text("the artist's")
    options = bpy.context.scene.threer.options_colmap
    bpy.ops.threer.lens_grid(directory=str(tmp_path), files=names)
    bpy.ops.threer.lens_grid(directory=str(tmp_path), files=names)
    task, second = work.current().queue.tasks
    assert Path(second.request.output) == tmp_path / "lens 3.json"
    assert "Next: lens grid, 3 photos" in drawn("ui.panel", "THREER_PT_main")
    assert options.lens_file == ""
    part("ui.work").finish(task)
    assert "focal length" in work.current().success
    assert options.lens_file == str(tmp_path / "lens 2.json")
    assert Path(options.lens_file).is_file()
    assert (tmp_path / "lens.json").read_text() == "the artist's"
    part("ui.work").cancel(second)
    options.lens_file = ""


def test_photos_without_corners_are_refused_in_a_sentence(work: ModuleType, tmp_path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    bpy.ops.threer.lens_grid(directory=str(tmp_path), files=[{"name": "blank.png"}])
    (task,) = work.current().queue.tasks
    with pytest.raises(Exception, match="None of the photos shows the corners"):
        part("ui.work").finish(task)
    assert bpy.context.scene.threer.options_colmap.lens_file == ""


@pytest.mark.usefixtures("addon")
def test_the_box_holds_what_is_known() -> None:
    text = drawn("ui.panel", "THREER_PT_more")
    assert "What Is Known" in text
    assert {"threer.lens_grid", "threer.scene_cameras"} <= set(text.split())


def test_without_cameras_of_photos_there_is_no_reference(work: ModuleType, tmp_path: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / "blank.png")
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=[{"name": "blank.png"}])
    with pytest.raises(RuntimeError, match="Fewer than two cameras of the scene belong to chosen photos"):
        bpy.ops.threer.scene_cameras()
    bpy.ops.threer.clear_photos()
    assert work.current().error


@pytest.mark.usefixtures("addon")
def test_cameras_of_a_scene_replace_no_file(tmp_path: Path) -> None:
    """Neither the artist's own, nor that of an earlier click, which a task that waits still reads."""
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, np.uint8)).save(tmp_path / f"{name}.png")
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"{name}.png", bpy.data.cameras.new(name)))
    (tmp_path / "scene_cameras.json").write_text("the artist's")
    written = []
    for names in ("ab", "bc"):
        bpy.ops.threer.choose_photos(directory=str(tmp_path), files=[{"name": f"{name}.png"} for name in names])
        bpy.ops.threer.scene_cameras()
        written.append(Path(bpy.context.scene.threer.options_colmap.against))
        bpy.ops.threer.clear_photos()
    bpy.context.scene.threer.options_colmap.against = ""
    photos = [[Path(each.photo).stem for each in scene_camera_files.read(path)] for path in written]
    assert photos == [["a", "b"], ["b", "c"]]
    assert {path.parent for path in written} == {tmp_path / "3R results"}
    assert (tmp_path / "scene_cameras.json").read_text() == "the artist's"
