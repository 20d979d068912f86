"""An image sequence behind a camera: frame 1001 at frame 1001, holes stay holes, squeezed pixels stay squeezed."""

import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.compositing import compositor
from tests.blender.world import camera, looking_at, reconstruct
from tests.scene.test_cameras import POINTS, blender_pixels
from tests.scene.test_shots import moving
from threer_blender import bundle
from threer_blender.files import exr_file
from threer_blender.model.reconstruction import Photo, Shot
from threer_blender.scene import build, cameras, files

SIZE = (320, 240)
NUMBERS = (1001, 1002, 1003, 1006, 1007)
PATTERN = "plate.####.exr"


def frame(number: Any, **more: Any) -> Any:
    pose = looking_at((2 - (number - 1000) / 3, -1.5, -4.0), roll=10 * (number - 1000))
    return camera(f"{PATTERN} {number}", *SIZE, 300, cx=155, pose=pose, **more)


FRAMES = {number: frame(number) for number in NUMBERS}


@pytest.fixture
def plate(tmp_path: Path) -> Any:
    """Frames whose grey is a tenth of their last digit."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for number in NUMBERS:
        grey = np.full((SIZE[1], SIZE[0], 3), (number - 1000) / 10, np.float32)
        exr_file.write(folder / PATTERN.replace("####", str(number)), grey)
    return folder / PATTERN


def solved(plate: Any, frames: Any = FRAMES, **more: Any) -> Any:
    photos = [
        Photo(frames[n].photo, str(plate), frames[n].width, SIZE[1], sha256=f"{n:064x}", frame=n) for n in (1001, 1006)
    ]
    shot = Shot(PATTERN, str(plate), Fraction(24000, 1001), 7, frames, first_frame=1001, missing=(1004, 1005), **more)
    return reconstruct(photos, [frames[1001], frames[1006]], step=4, shots=[shot])


def plate_value(clip: Any, number: Any, folder: Path) -> Any:
    """The red of the middle pixel that the clip shows at a frame of the scene; None where it shows nothing."""
    scene = bpy.context.scene
    scene.frame_set(number)
    scene.render.resolution_x, scene.render.resolution_y = 32, 24
    scene.view_settings.view_transform = "Raw"
    tree, output = compositor(scene)
    source = tree.nodes.new("CompositorNodeMovieClip")
    source.clip = clip
    tree.links.new(source.outputs["Image"], output.inputs[0])
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.filepath = str(folder / "seen.exr")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.array(image.pixels).reshape(24, 32, 4)
    bpy.data.images.remove(image)
    return None if pixels[12, 16, 3] == 0 else float(pixels[12, 16, 0])


def test_frame_numbers_are_the_files(plate: Any, tmp_path: Path) -> None:
    root = build.build(solved(plate), tmp_path)
    scene = bpy.context.scene
    assert (scene.frame_start, scene.frame_end) == (1001, 1007)
    assert (scene.render.fps, scene.render.fps_base) == (24, pytest.approx(1.001))
    for number, camera_then in FRAMES.items():
        scene.frame_set(number)
        ahead = POINTS[(POINTS - camera_then.world_from_camera[:3, 3]) @ camera_then.world_from_camera[:3, 2] > 0.5]
        error = np.abs(blender_pixels(scene, root, moving(root), ahead) - camera_then.project(ahead)).max()
        assert error < 0.01


def test_the_plate_shows_its_own_frame_and_nothing_in_a_hole(plate: Any, tmp_path: Path) -> None:
    root = build.build(solved(plate), tmp_path)
    (background,) = moving(root).data.background_images
    assert Path(bpy.path.abspath(background.clip.filepath)).name == "plate.1001.exr"
    values = {number: plate_value(background.clip, number, tmp_path) for number in range(1001, 1008)}
    assert {number: value for number, value in values.items() if value is not None} == {
        number: pytest.approx((number - 1000) / 10, abs=1e-3) for number in NUMBERS
    }


def test_a_squeezed_plate_keeps_its_pixels(tmp_path: Path) -> None:
    """Cameras are in unsqueezed pixels; Blender gets the plate's size, with pixels twice as wide as high."""
    wide = {n: replace(c, width=640, cx=310.0) for n, c in FRAMES.items()}
    root = build.build(solved(tmp_path / PATTERN, wide, plate_size=SIZE), tmp_path)
    scene, render = bpy.context.scene, bpy.context.scene.render
    assert (render.resolution_x, render.resolution_y) == SIZE
    assert render.pixel_aspect_x / render.pixel_aspect_y == pytest.approx(2)
    scene.frame_set(1003)
    ahead = POINTS[(POINTS - wide[1003].world_from_camera[:3, 3]) @ wide[1003].world_from_camera[:3, 2] > 0.5]
    expected = wide[1003].project(ahead) / (2, 1)
    assert np.abs(blender_pixels(scene, root, moving(root), ahead) - expected).max() < 0.01


def test_a_read_only_folder_is_enough(plate: Any, tmp_path: Path) -> None:
    plate.parent.chmod(0o555)
    try:
        root = build.build(solved(plate), tmp_path)
        assert moving(root).data.background_images
    finally:
        plate.parent.chmod(0o755)
    assert cameras.FIRST_FRAME in moving(root)


@pytest.mark.parametrize("inside", [False, True], ids=["the artist's", "the bundle's"])
def test_a_saved_scene_shows_its_plate_once_it_has_its_name(plate: Any, tmp_path: Path, inside: bool) -> None:
    """The scene is saved before it and its bundle are at their final paths. Blender looks at the plate's files even
    earlier, when the path of the clip is set."""
    result = solved(plate)
    result = replace(result, shots=[replace(result.shots[0], written_plate=f"plates/{PATTERN}" if inside else "")])
    project, staged = tmp_path / "project", tmp_path / "project" / ".partial" / "new" / "shot.3r"
    bundle.write(result, staged)
    if inside:
        shutil.copytree(plate.parent, staged / "plates")
    project_bundle, blend = project / "shot.3r", project / "shot.blend"
    files.save_new(bundle.read(staged), staged, staged.parent / "scene.blend", (project_bundle, blend))
    staged.rename(project_bundle)
    (project / ".partial" / "new" / "scene.blend").rename(blend)
    bpy.ops.wm.open_mainfile(filepath=str(blend))
    (clip,) = bpy.data.movieclips
    assert clip.source == "SEQUENCE"
    assert Path(bpy.path.abspath(clip.filepath)).resolve().is_relative_to(project_bundle if inside else plate.parent)
    assert plate_value(clip, 1006, tmp_path) == pytest.approx(0.6, abs=1e-3)
