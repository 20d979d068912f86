"""The button that smooths a shot's camera: keys, cost, undo, and the second solve."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pycolmap
import pytest

from tests.blender.drawn import drawn
from tests.blender.extension import part, roots
from tests.geometry.shots import synthetic_shots
from tests.solved_shots import EVERY, FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a shot that a hand shook: 2 cm up and down, frame by frame."""
    folder = tmp_path_factory.mktemp("shaken")
    random, poses = np.random.default_rng(5), synthetic_shots.moving(FRAMES)
    for pose in poses:
        pose[1, 3] += 0.02 * random.standard_normal()
    shot = synthetic_shots.shot(poses, numbers=np.arange(FIRST, FIRST + FRAMES))
    return bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


@pytest.fixture
def camera(addon: ModuleType, shaken: Path) -> Any:  # noqa: ARG001
    """The shot's camera as the add-on imported it."""
    bpy.ops.threer.import_result(directory=str(shaken))
    (root,) = roots()
    (filming,) = part("scene.build").filming_cameras(root)
    return filming


def places(camera: Any) -> Any:
    """(F, 3) where the camera stands in each frame, in the result's world."""
    rows = []
    for number in range(FIRST, FIRST + FRAMES):
        bpy.context.scene.frame_set(number)
        rows.append(np.array(camera.matrix_basis)[:3, 3])
    return np.array(rows)


def unrest(camera: Any) -> float:
    return float(np.abs(np.diff(places(camera), n=3, axis=0)).mean())


def test_smoothing_tells_its_cost_and_goes_away(camera: Any) -> None:
    solved, before = places(camera), unrest(camera)
    assert "threer.smooth_camera" in drawn("ui.mending", "THREER_PT_mending")
    assert bpy.ops.threer.smooth_camera(width=2.0) == {"FINISHED"}
    assert unrest(camera) < 0.2 * before
    text = drawn("ui.tracking", "THREER_PT_tracking")
    assert "Smoothed: over 2 frames: moves the picture by" in text
    assert "median error 0.0" in text
    assert bpy.ops.threer.smooth_camera(width=0.0) == {"FINISHED"}
    assert np.abs(places(camera) - solved).max() < 1e-6
    assert "Smoothed" not in drawn("ui.tracking", "THREER_PT_tracking")


def test_a_second_solve_is_smoothed_as_the_first_was(camera: Any, tmp_path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.threer.smooth_camera(width=2.0)
    smooth, camera.location = unrest(camera), (0, 0, 0)
    bpy.ops.threer.mark_bad_frames(first=1010, last=1011)
    bpy.ops.threer.solve_again()
    assert unrest(camera) < 2 * smooth
    assert "Smoothed: over 2 frames" in drawn("ui.tracking", "THREER_PT_tracking")


def test_one_camera_with_keys_on_solved_frames_alone_and_unrolled_rotations(camera: Any, tmp_path: Path) -> None:
    """Bad frames get no keys; smoothing adds none; quaternions never flip their sign."""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.threer.mark_bad_frames(first=1010, last=1011)
    bpy.ops.threer.solve_again()
    (root,) = roots()
    assert part("scene.build").filming_cameras(root) == [camera]
    expected = [number for number in range(FIRST, FIRST + FRAMES) if number not in (1010, 1011)]
    for width in (0.0, 1.5):
        bpy.ops.threer.smooth_camera(width=width)
        curves = {(each.data_path, each.array_index): each for each in camera.animation_data.action.fcurves}
        assert {path for path, _ in curves} >= {"location", "rotation_quaternion"}
        for (path, _), curve in curves.items():
            if path in ("location", "rotation_quaternion"):
                assert [round(key.co[0]) for key in curve.keyframe_points] == expected
        signs = np.array([[key.co[1] for key in curves["rotation_quaternion", i].keyframe_points] for i in range(4)]).T
        assert (np.sum(signs[1:] * signs[:-1], axis=1) > 0).all()


def exported(form: str, folder: Path) -> Any:
    """(F, 3) where the shot's camera stands in each frame, in Blender's world, as a fresh export has it."""
    assert bpy.ops.threer.export_cameras(format_id=form, directory=str(folder)) == {"FINISHED"}
    if form == "nuke":
        (path,) = folder.glob("*.chan")
        x, y, z = np.loadtxt(path)[:, 1:4].T
        return np.stack([x, -z, y], axis=1)
    readers: dict[str, Any] = {
        "alembic": lambda path: bpy.ops.wm.alembic_import(filepath=path, as_background_job=False),
        "usd": lambda path: bpy.ops.wm.usd_import(filepath=path),
        "fbx": lambda path: bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0),
    }
    before = set(bpy.data.objects)
    readers[form](str(next(path for path in folder.iterdir() if path.stem.startswith("camera"))))
    (obj,) = (each for each in bpy.context.scene.objects if each not in before and each.type == "CAMERA")
    rows = []
    for number in range(FIRST, FIRST + FRAMES):
        bpy.context.scene.frame_set(number)
        rows.append(np.array(obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_world)[:3, 3])
    return np.array(rows)


def standing(camera: Any) -> Any:
    """(F, 3) where the camera stands in each frame, in Blender's world."""
    return places(camera) @ np.array(camera.parent.matrix_world)[:3, :3].T + camera.parent.matrix_world.translation


@pytest.mark.parametrize("form", ["nuke", "alembic", "usd", "fbx"])
def test_exports_from_the_scene_hold_the_smooth_camera(camera: Any, tmp_path: Path, form: str) -> None:
    assert np.abs(exported(form, tmp_path / "solved") - standing(camera)).max() < 1e-4
    bpy.ops.threer.smooth_camera(width=2.0)
    smooth = standing(camera)
    assert np.abs(exported(form, tmp_path / "smooth") - smooth).max() < 1e-4


@pytest.mark.parametrize("form", ["colmap", "transforms", "maya", "after-effects"])
def test_other_exports_move_as_the_smooth_camera_does(camera: Any, tmp_path: Path, form: str) -> None:
    solved = standing(camera)[::EVERY]
    for name, width in (("solved", 0.0), ("smooth", 2.0), ("again", 0.0)):
        bpy.ops.threer.smooth_camera(width=width)
        bpy.ops.threer.export_cameras(format_id=form, directory=str(tmp_path / name))
        if width:
            moved = standing(camera)[::EVERY] - solved
    before, after, again = (numbers(form, tmp_path / name) for name in ("solved", "smooth", "again"))
    assert again == pytest.approx(before, abs=1e-12)
    if form in ("maya", "after-effects"):
        assert np.abs(after - before).max() > 0.01
    else:
        assert np.linalg.norm(after - before, axis=1) == pytest.approx(np.linalg.norm(moved, axis=1), abs=1e-5)


def numbers(form: str, folder: Path) -> Any:
    """(N, 3) where the cameras stand in a COLMAP model or a transforms.json, or (N,) all numbers of another export."""
    if form == "colmap":
        model = pycolmap.Reconstruction(next(folder.rglob("images.bin")).parent)
        return np.array([model.images[key].projection_center() for key in sorted(model.images)])
    if form == "transforms":
        frames = json.loads((folder / "transforms.json").read_text())["frames"]
        return np.array([np.array(frame["transform_matrix"])[:3, 3] for frame in frames])
    text = next(path for path in folder.iterdir() if path.suffix in (".ma", ".jsx")).read_text()
    return np.array([float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", text)])
