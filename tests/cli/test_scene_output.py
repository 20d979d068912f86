"""A scene and its bundle appear together or not at all, and nothing that others made is replaced unasked."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bpy
import pytest

from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.cli import command_line, exit_status
from threer_blender.files import bundle_folder
from threer_blender.host import environment
from threer_blender.host.environment import Interpreter
from threer_blender.scene import files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for outputs beside photos, whose reconstruction a stand-in for the worker delivers at once."""
    package = tmp_path / "fake" / "threer_blender" / "worker"
    package.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "blender" / "fake_worker.py", package / "__main__.py")
    interpreter = Interpreter(Path(sys.executable), (tmp_path / "fake",))
    monkeypatch.setattr(environment, "this_python", lambda _modules: interpreter)
    monkeypatch.setenv("THREER_HOME", str(tmp_path / "home"))
    photos = write_photos(tmp_path / "photos", CAMERAS[:3])
    bundle.write(reconstruct(photos, CAMERAS[:3], step=16), tmp_path / "photos" / "bundle")
    (tmp_path / "photos" / "go").touch()  # the stand-in waits for this file
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def run(project: Path, *more: str) -> int:
    photos = [str(path) for path in sorted((project.parent / "photos").glob("*.png"))]
    return command_line.main(["reconstruct", *photos, "--output", str(project / "shot.blend"), *more])


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_replaces_what_the_first_has_written(project: Path) -> None:
    for _ in range(2):
        assert run(project) == exit_status.OK
        assert sorted(path.name for path in project.iterdir()) == ["shot.3r", "shot.blend"]
        assert bundle_folder.foreign(project / "shot.3r") is None
        bpy.ops.wm.open_mainfile(filepath=str(project / "shot.blend"))
        (root,) = [obj for obj in bpy.context.scene.objects if obj.get("threer_role") == "root"]
        assert root["threer_bundle"] == "//shot.3r"
        camera_objects = [child for child in root.children if child.type == "CAMERA"]
        assert len(camera_objects) == 3
        for camera_object in camera_objects:
            assert Path(bpy.path.abspath(camera_object.data.background_images[0].image.filepath)).is_file()


def test_cameras_without_points_get_their_picture(project: Path) -> None:
    photos = project.parent / "photos"
    solved = bundle.read(photos / "bundle")
    shutil.rmtree(photos / "bundle")
    bundle.write(replace(solved, cloud=None, pointmaps=[]), photos / "bundle")
    assert run(project, "--picture", str(project / "check.png")) == exit_status.OK
    assert (project / "check.png").read_bytes().startswith(b"\x89PNG")


def an_artists_scene(project: Path) -> None:
    (project / "shot.blend").write_bytes(b"BLENDER of an artist")


def a_scene_that_was_worked_on(project: Path) -> None:
    assert run(project) == exit_status.OK
    bpy.ops.wm.open_mainfile(filepath=str(project / "shot.blend"))
    bpy.ops.mesh.primitive_monkey_add()
    bpy.context.preferences.filepaths.save_version = 0
    bpy.ops.wm.save_mainfile()


def a_scene_without_its_bundle(project: Path) -> None:
    assert run(project) == exit_status.OK
    shutil.rmtree(project / "shot.3r")


@pytest.mark.parametrize("make", [an_artists_scene, a_scene_that_was_worked_on, a_scene_without_its_bundle])
def test_a_scene_of_another_origin_is_replaced_only_when_asked(
    project: Path, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(project)
    before = everything(project)
    assert run(project) == exit_status.USER
    assert "say --overwrite to replace it, or choose another name." in capsys.readouterr().err
    assert everything(project) == before
    assert run(project, "--overwrite") == exit_status.OK
    assert (project / "shot.blend1").read_bytes() == before["shot.blend"]
    assert bundle_folder.foreign(project / "shot.3r") is None


@pytest.mark.parametrize("name", ["photo.png", "shot.3r/photo.png"])
def test_a_picture_of_anothers_is_not_painted_over(
    project: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_bytes(b"precious")
    assert run(project, "--picture", str(project / name)) == exit_status.USER
    assert capsys.readouterr().err.endswith(".\n")
    assert (project / name).read_bytes() == b"precious"


def test_a_bundle_with_an_artists_file_refuses_the_whole_run(project: Path) -> None:
    assert run(project) == exit_status.OK
    (project / "shot.3r" / "mask.png").write_bytes(b"precious")
    before = everything(project)
    assert run(project) == exit_status.USER
    assert everything(project) == before


@pytest.mark.parametrize("earlier", [False, True])
def test_where_the_scene_fails_neither_is_replaced_and_the_result_is_kept(
    project: Path, earlier: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if earlier:
        assert run(project) == exit_status.OK
    before = everything(project)

    def full(*_given: object) -> None:
        raise files.not_written(project / "shot.blend", RuntimeError("Error: No space left on device"))

    monkeypatch.setattr(files, "save_new", full)
    assert run(project) == exit_status.USER
    retained = project / ("shot 2.3r" if earlier else "shot.3r")
    assert f"the reconstruction itself is complete in '{retained}'" in capsys.readouterr().err
    assert len(bundle.read(retained).cameras) == 3
    assert before.items() <= everything(project).items()
    assert not list(project.glob(".*"))


def test_the_scene_of_a_result_that_has_none(project: Path) -> None:
    folder, blend = project / "walk", project / "walk.blend"
    photos = [str(path) for path in sorted((project.parent / "photos").glob("*.png"))]
    assert command_line.main(["reconstruct", *photos, "--output", str(folder)]) == exit_status.OK
    for _ in range(2):  # the second one replaces the first
        assert command_line.main(["scene", str(folder), "--output", str(blend)]) == exit_status.OK
        assert sorted(path.name for path in project.iterdir()) == ["walk", "walk.blend"]
        assert bundle_folder.names_beside(folder) == ["walk.blend"]
        bpy.ops.wm.open_mainfile(filepath=str(blend))
        (root,) = [obj for obj in bpy.context.scene.objects if obj.get("threer_role") == "root"]
        assert root["threer_bundle"] == "//walk"
        images = [child.data.background_images[0].image for child in root.children if child.type == "CAMERA"]
        assert len(images) == 3
        assert all(Path(bpy.path.abspath(image.filepath)).is_file() for image in images)
    blend.write_bytes(b"an artist's own")
    assert command_line.main(["scene", str(folder), "--output", str(blend)]) == exit_status.USER
    assert blend.read_bytes() == b"an artist's own"
    assert command_line.main(["scene", str(folder), "--output", str(blend), "--overwrite"]) == exit_status.OK
    assert (project / "walk.blend1").read_bytes() == b"an artist's own"
    assert command_line.main(["scene", str(project), "--output", str(blend)]) == exit_status.USER
