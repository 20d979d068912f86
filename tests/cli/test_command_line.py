"""Photos to a .blend by the command line, as a technical director runs it. The scene is compared with the truth."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from threer_blender import addon, bundle
from threer_blender.cli import command_line, exit_status
from threer_blender.jobs.messages import Done, Failed, Message, Progress, from_line
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import files, picture

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "sample"


def run(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "threer_blender", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos and the scene.blend and picture.png that the command line made of them."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "photos").mkdir()
    for path in sorted((SAMPLE / "photos").glob("*.jpg")):  # ten landscape, one portrait
        shutil.copy(path, folder / "photos")
    outputs = ("--output", folder / "scene.blend", "--picture", folder / "picture.png")
    done = run("reconstruct", folder / "photos", "--option", "quality=preview", "--json", *outputs)
    assert done.returncode == 0, done.stderr
    (folder / "messages.jsonl").write_text(done.stdout)
    return folder


@pytest.fixture
def opened(project: Path) -> Iterator[bpy.types.Scene]:
    bpy.ops.wm.open_mainfile(filepath=str(project / "scene.blend"))
    yield bpy.context.scene
    bpy.ops.wm.read_homefile(use_empty=True)


def messages(project: Path) -> list[Message]:
    return [from_line(line) for line in (project / "messages.jsonl").read_text().splitlines()]


def test_stdout_is_messages_and_nothing_else(project: Path) -> None:
    sent = messages(project)
    assert isinstance(sent[-1], Done)
    assert sent[-1].registered == sent[-1].chosen == 11
    fractions = [m.fraction for m in sent if isinstance(m, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_only_results_are_left(project: Path) -> None:
    names = {"photos", "scene.blend", "scene.3r", "picture.png", "messages.jsonl"}
    assert {path.name for path in project.iterdir()} == names


def test_cameras_in_the_file_are_those_that_took_the_photos(opened: bpy.types.Scene) -> None:
    """Relative rotations and directions between Blender's cameras equal the true ones."""
    truth = {entry["photo"]: entry for entry in json.loads((SAMPLE / "truth.json").read_text())["cameras"]}
    cameras = [obj for obj in opened.objects if obj.type == "CAMERA"]
    assert len(cameras) == 11
    solved = np.array([np.array(obj.matrix_world) for obj in cameras])
    true = np.array([truth[obj.name]["world_from_camera"] for obj in cameras]) @ np.diag((1.0, -1.0, -1.0, 1.0))
    scale = np.linalg.norm(solved[:, :3, 0], axis=1)  # the cameras inherit it from their root
    solved[:, :3, :3] /= scale[:, None, None]
    rotation_errors, direction_errors = [], []  # degrees, of each two cameras
    for i in range(len(cameras)):
        for j in range(i):
            rotation = solved[i, :3, :3].T @ solved[j, :3, :3] @ (true[i, :3, :3].T @ true[j, :3, :3]).T
            rotation_errors.append(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
            a, b = (m[i, :3, :3].T @ (m[j, :3, 3] - m[i, :3, 3]) for m in (solved, true))
            direction_errors.append(
                np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))
            )
    assert np.median(rotation_errors) < 0.15
    assert np.median(direction_errors) < 0.25
    assert max(rotation_errors) < 0.6  # one photo alone has the portrait lens: its principal point is undetermined
    assert max(direction_errors) < 2.0


def test_plates_stand_behind_the_cameras_and_move_with_the_project(opened: bpy.types.Scene) -> None:
    for obj in opened.objects:
        if obj.type == "CAMERA":
            image = obj.data.background_images[0].image
            assert image.filepath.startswith("//scene.3r")
            assert Path(bpy.path.abspath(image.filepath)).is_file()
            with Image.open(bpy.path.abspath(image.filepath)) as plate:
                assert plate.size == (obj["threer_width"], obj["threer_height"])


def test_the_picture_lines_up(project: Path) -> None:
    """Where the render through a camera shows points, it shows what the photo shows there."""
    with Image.open(project / "picture.png") as picture:
        pixels = np.asarray(picture.convert("RGB"), float)
    width = (pixels.shape[1] - 16) // 3  # three pictures side by side, with 8 pixels between them
    photo, render, view = (pixels[:, k * (width + 8) :][:, :width] for k in range(3))
    close = np.abs(photo - render).mean(axis=2) < 30
    assert close.mean() > 0.6
    assert np.abs(photo - view).mean() > 1.5 * np.abs(photo - render).mean()  # the new view is another one
    shifted = np.abs(np.roll(photo, 12, axis=1) - render).mean()
    assert np.abs(photo - render).mean() < 0.8 * shifted


def test_the_sample_is_judged_as_well_as_before(project: Path) -> None:
    """By the recorded evaluation: a change that makes the result worse does not pass."""
    recorded = ROOT / "tests" / "cli" / "sample_evaluation.json"
    options = ("--truth", SAMPLE, "--tolerance", "0.05")
    done = run("evaluate", "--compare", recorded, project / "scene.3r", *options)
    assert done.returncode == 0, done.stdout + done.stderr


def test_bundle_beside_the_scene_is_complete(project: Path) -> None:
    result = bundle.read(project / "scene.3r")
    assert len(result.cameras) == len(result.pointmaps) == 11
    assert result.cloud is not None
    assert len(result.cloud) > 20_000
    assert {camera.photo for camera in result.cameras} == {photo.name for photo in result.photos}
    for pointmap in result.pointmaps:
        camera = result.camera(pointmap.photo)
        assert camera is not None
        errors = camera.project(pointmap.points[pointmap.mask]) - pointmap.photo_pixels()[pointmap.mask]
        assert np.abs(errors).max() < 0.1  # a map's points lie on the rays of its own photo's pixels


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_path_that_is_not_utf_8(project: Path, tmp_path: Path) -> None:
    """It is written where it was asked for, and printed byte for byte."""
    output = os.fsencode(tmp_path) + b"/\x80"
    command = [sys.executable, "-m", "threer_blender", "export", str(project / "scene.3r"), "--format", "ply"]
    done = subprocess.run([*map(os.fsencode, command), b"--output", output], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b" as PLY in " + output + b"\n")
    assert any(path.suffix == ".ply" for path in Path(os.fsdecode(output)).iterdir())


def test_exit_status_and_last_word_of_a_refusal(tmp_path: Path) -> None:
    done = run("reconstruct", SAMPLE / "photos" / "IMG_2041.jpg", "--output", tmp_path / "scene.blend", "--json")
    assert done.returncode == exit_status.USER
    last = from_line(done.stdout.splitlines()[-1])
    assert isinstance(last, Failed)
    assert last.kind == "user"
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("reconstruct",),
        ("reconstruct", "x.jpg", "--output", "y", "--engine", "magic"),
        ("reconstruct", "x.jpg", "--output", "y", "--option", "quality"),
        ("reconstruct", "x.jpg", "--output", "y", "--picture", "z.png"),
        ("destroy",),
    ],
)
def test_wrong_commands(arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command_line.main(arguments) == exit_status.USER
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """Blender itself writes both files. A failure changes nothing that stands there already."""
    (tmp_path / "taken").write_text("a file, where a folder is named")
    ended = r"could not be written \(.*\): free some space, .* or choose another place\.$"
    with pytest.raises(UserError, match=ended):
        files.save_new(reconstruction, tmp_path, tmp_path / "taken" / "scene.blend")
    with pytest.raises(UserError, match=ended):
        picture.save([np.zeros((4, 6, 3), np.float32)], tmp_path / "taken" / "picture.png")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken").read_text() == "a file, where a folder is named"


def test_a_long_shots_cost_comes_before_the_worker_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, whether the work starts or not: an engine without its weights is refused before any process starts."""
    for number in range(1001, 2601):
        (tmp_path / f"plate.{number}.exr").write_bytes(b"")
    for engine, status in {"vggt_omega": exit_status.USER, "colmap": exit_status.USER}.items():
        arguments = ["reconstruct", str(tmp_path / "plate.1001.exr"), "--engine", engine]
        arguments += ["--output", str(tmp_path / "result")]
        assert command_line.main(arguments, tmp_path / "data") == status
        printed = capsys.readouterr().err
        assert printed.count("1,600 frames") == 1
        assert printed.startswith("! plate.####.exr has about 1,600 frames")


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["info", "--json"]) == 0
    actual: dict[str, Any] = json.loads(capsys.readouterr().out)
    engine = next(entry for entry in actual["engines"] if entry["id"] == "colmap")
    assert engine["commercial"]
    assert engine["missing"] == []
    assert actual["versions"]["bpy"]
    assert command_line.main(["info"]) == 0
    assert "ready" in capsys.readouterr().out


def test_the_same_verbs_inside_blender(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`blender -b --command` calls the function that the add-on registers; the bpy package has no command line."""
    monkeypatch.setattr(addon, "data_folder", lambda: tmp_path)
    addon.register()
    addon.unregister()
    assert addon.run_command(["info"]) == 0
    assert "engine colmap" in capsys.readouterr().out
