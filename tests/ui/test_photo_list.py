"""The list of chosen photos: adding, removing, and what the result says of each."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import bpy
import pytest

from tests.blender.drawn import panel
from tests.blender.extension import choose, part, roots
from tests.blender.world import CAMERAS
from tests.sample_photos import SAMPLE
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction, Unregistered

pytest_plugins = ["tests.blender.extension"]


@pytest.mark.usefixtures("addon")
def test_photos_are_added_and_removed(tmp_path: Path) -> None:
    for photo in SAMPLE[:3]:
        shutil.copy(photo, tmp_path)
    settings = bpy.context.scene.threer
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=[{"name": SAMPLE[2].name}])
    assert not panel().count("threer.reconstruct ")  # one photo is no scene
    assert "One photo tells no depth" in panel()
    names = [{"name": photo.name} for photo in SAMPLE[:3]]
    bpy.ops.threer.choose_photos(directory=str(tmp_path), files=names, adds=True)
    assert [Path(entry.path).name for entry in settings.photos] == [SAMPLE[index].name for index in (2, 0, 1)]
    settings.photo_row = 2
    assert bpy.ops.threer.remove_photo() == {"FINISHED"}
    assert [Path(entry.path).name for entry in settings.photos] == [SAMPLE[index].name for index in (2, 0)]
    assert settings.photo_row == 1
    assert (tmp_path / SAMPLE[1].name).exists()
    assert "threer.reconstruct " in panel()
    bpy.ops.threer.clear_photos()
    assert not bpy.ops.threer.remove_photo.poll()


@pytest.mark.usefixtures("addon")
def test_each_photo_says_what_became_of_it(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """One has an error, the others were not measured, and one has no camera."""
    cameras = [replace(reconstruction.cameras[0], reprojection_error=0.42), *reconstruction.cameras[1:-1]]
    lost = Unregistered(reconstruction.cameras[-1].photo, "It overlaps no other photo.", "Take more: all around.")
    folder = bundle.write(replace(reconstruction, cameras=cameras, unregistered=[lost]), tmp_path / "result")
    bpy.ops.threer.import_result(directory=str(folder))
    (root,) = roots()
    photo_list, states = part("ui.photo_list"), part("ui.summary").photo_states(root)
    assert states[lost.photo].reason == "It overlaps no other photo. Take more: all around."
    first = photo_list.state_of(f"/somewhere/{cameras[0].photo}", states)
    assert first.error == pytest.approx(0.42)
    bpy.ops.threer.look_through(camera=photo_list.state_of(cameras[1].photo, states).camera)
    assert bpy.context.scene.camera["threer_photo"] == cameras[1].photo
    assert photo_list.state_of("/somewhere/another.jpg", states) is None
    assert photo_list.name_of("C:\\photos\\one.jpg") == "one.jpg"
    choose(Path(reconstruction.photos[0].path).parent)
    settings = bpy.context.scene.threer
    settings.photo_row = [Path(entry.path).name for entry in settings.photos].index(lost.photo)
    text = panel()
    assert "List: 1 without a camera" in text
    assert "It overlaps no other photo." in text
    root["threer_unregistered"] = '{"a.jpg": [1]}'  # a stranger's file
    assert len(part("ui.summary").photo_states(root)) == len(CAMERAS) - 1


def test_cameras_of_layout_quality_are_refined_by_a_button(work: ModuleType, photo_folder: Path) -> None:
    bpy.ops.threer.import_result(directory=str(photo_folder / "bundle"))
    assert "threer.refine_cameras" in panel()
    before = part("ui.summary").bundle(roots()[0])
    (photo_folder / "go").touch()
    assert bpy.ops.threer.refine_cameras() == {"FINISHED"}
    (root,) = roots()
    assert part("ui.summary").bundle(root) != before
    assert work.current().error == ""


def test_messages_go_away(work: ModuleType) -> None:
    work.current().error, work.current().was_cancelled = "The reconstruction was cancelled.", True
    assert "was cancelled" in panel()
    bpy.ops.threer.dismiss_message()
    assert "was cancelled" not in panel()
    assert not work.current().was_cancelled
