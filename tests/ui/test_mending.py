"""Mending a shot by hand on the panel: tracks, bad frames, and the second solve, which keeps the artist's work."""

from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from tests.blender.drawn import cut, drawn
from tests.blender.extension import part, roots
from tests.geometry.shots import synthetic_shots
from tests.solved_shots import FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle
from threer_blender.geometry.shots import moving_objects
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import masks

pytest_plugins = ["tests.blender.extension"]


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[synthetic_shots.SyntheticShot, Path]:
    """A shot in which many points walk, and the result that does not know which."""
    folder = tmp_path_factory.mktemp("walked")
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), walking=0.15, numbers=np.arange(FIRST, FIRST + FRAMES))
    return shot, bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


@pytest.fixture
def camera(addon: ModuleType, walked: tuple[synthetic_shots.SyntheticShot, Path]) -> Any:  # noqa: ARG001
    """The shot's camera as the add-on imported it."""
    bpy.ops.threer.import_result(directory=str(walked[1]))
    (root,) = roots()
    (filming,) = part("scene.build").filming_cameras(root)
    return filming


def panel() -> str:
    return drawn("ui.mending", "THREER_PT_mending")


def test_the_panel_offers_tracks_first_and_frames_always(camera: Any) -> None:
    assert "threer.show_tracks" in panel()
    assert "threer.weigh_tracks" not in panel()
    bpy.ops.threer.mark_bad_frames(first=1010, last=1012)
    bpy.context.scene.frame_set(1020)
    bpy.ops.threer.mark_bad_frames()
    assert part("scene.tracks").bad_ranges(camera) == [(1010, 1012), (1020, 1020)]
    assert "Bad: 1010 to 1012" in panel()
    assert "Bad: 1020" in panel()
    bpy.ops.threer.unmark_bad_frames(index=0)
    assert "Bad: 1010" not in panel()
    with pytest.raises(RuntimeError, match="The shot has the frames 1001 to 1024"):
        bpy.ops.threer.mark_bad_frames(first=1, last=20)
    bpy.ops.threer.show_tracks()
    assert "threer.weigh_tracks" in panel()
    assert cut("ui.mending", "THREER_PT_mending", 184) == []
    assert cut("ui.tracking", "THREER_PT_tracking", 184) == []


def test_solve_again_without_bad_tracks_and_frames(
    camera: Any, walked: tuple[synthetic_shots.SyntheticShot, Path], tmp_path: Path
) -> None:
    shot, folder = walked
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    (root,) = roots()
    camera, name = part("scene.build").filming_cameras(root)[0], "Hero"
    camera.name = name
    root.location, root.scale = (1, 2, 3), (2, 2, 2)
    bpy.ops.threer.show_tracks()
    bpy.ops.threer.select_worst_tracks(least=1.0)
    bpy.ops.threer.weigh_tracks(weight=0.0)
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.ops.threer.mark_bad_frames(first=1010, last=1011)
    bpy.ops.threer.solve_again()
    (again,) = roots()
    assert again == root
    assert tuple(root.location) == (1, 2, 3)
    assert part("scene.build").filming_cameras(root) == [bpy.data.objects[name]]
    result = bundle.read(part("ui.summary").bundle(root))
    assert part("ui.summary").bundle(root) != folder
    solved = result.shots[0]
    assert set(solved.cameras) == set(shot.cameras) - {1010, 1011}
    assert solved.tracks is not None
    bad = moving_objects.unexplained(shot.tracks.tracks, list(shot.cameras.values()))
    assert (solved.tracks.weights[bad] == 0).mean() > 0.9
    assert (solved.tracks.weights[~bad] == 0).mean() < 0.05
    keys = part("scene.shot_errors").curve(camera).keyframe_points
    assert sorted(round(key.co[0]) for key in keys) == sorted(solved.cameras)
    notes = [note for note in part("ui.summary").summary(root).notes if note.startswith("plate: solved again")]
    assert len(notes) == 1
    assert "without frames 1010-1011: median error" in notes[0]


def test_tracks_near_selected_dense_points_are_left_out(camera: Any) -> None:
    """The selected points of a cloud, or of any mesh, select the tracks around them."""
    bpy.ops.threer.show_tracks()
    tracked = part("scene.tracks").of(camera)
    bpy.context.view_layer.objects.active = tracked
    with pytest.raises(RuntimeError, match="of another object first"):
        bpy.ops.threer.select_near_tracks()
    places = np.array([tracked.matrix_world @ vertex.co for vertex in tracked.data.vertices])
    mesh = bpy.data.meshes.new("dense")
    mesh.from_pydata((places[::7] + 1e-4).tolist(), [], [])
    dense = bpy.data.objects.new("dense", mesh)
    bpy.context.scene.collection.objects.link(dense)
    bpy.context.view_layer.objects.active = dense
    half = [index % 2 == 0 for index in range(len(mesh.vertices))]
    mesh.vertices.foreach_set("select", half)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.threer.select_near_tracks(distance=0.001)
    assert bpy.context.object == tracked
    bpy.ops.threer.weigh_tracks(weight=0.0)
    bpy.ops.object.mode_set(mode="OBJECT")
    weights = part("scene.tracks").values(tracked, "weight")
    assert np.flatnonzero(weights == 0).tolist() == list(range(0, len(places), 14))


@pytest.mark.usefixtures("addon")
def test_a_mask_drawn_in_blender_becomes_the_engines_mask(tmp_path: Path) -> None:
    """The button writes masks of the plate, which the engine reads."""
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.threer.use_drawn_mask()
    Image.new("RGB", (96, 48)).save(tmp_path / "plate.1001.png")
    clip, mask = bpy.data.movieclips.load(str(tmp_path / "plate.1001.png")), bpy.data.masks.new("walker")
    spline = mask.layers.new().splines.new()
    spline.points.add(3)
    spline.use_cyclic = True
    for point, co in zip(spline.points, ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), strict=True):
        point.co, point.handle_left_type, point.handle_right_type = co, "VECTOR", "VECTOR"
    bpy.ops.threer.use_drawn_mask(mask=mask.name, clip=clip.name)
    properties = part("ui.properties")
    engine = properties.engine(bpy.context.scene)
    values = properties.option_values(bpy.context.scene, engine)
    assert values["masked"] == "white"
    read = masks.from_options({**values, "mask_margin": 0}, [1001])
    assert read is not None
    out = read.excluded(Photo("plate 1001", "plate", 96, 48, "", frame=1001), 1001, (96, 48))
    assert out is not None
    assert out[:, :46].all()
    assert not out[:, 50:].any()


@pytest.mark.usefixtures("addon")
def test_masks_of_one_name_over_two_clips_stand_beside_each_other(tmp_path: Path) -> None:
    """Each file has a folder for each clip. In a saved file, the same mask over the same clip goes there again."""
    mask, clips, folders = bpy.data.masks.new("Mask"), [], []
    mask.layers.new().splines.new().points.add(3)
    for name in ("a.1001.png", "b.1001.png"):
        Image.new("RGB", (16, 8)).save(tmp_path / name)
        clips.append(bpy.data.movieclips.load(str(tmp_path / name)))
    for blend in (None, "first.blend", "second.blend"):
        if blend:
            bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / blend))
        for clip in (*clips, *(clips if blend else [])):
            bpy.ops.threer.use_drawn_mask(mask=mask.name, clip=clip.name)
            folders.append(Path(bpy.context.scene.threer.options_colmap.masks))
    assert folders[2:4] == folders[4:6]
    assert folders[6:8] == folders[8:]
    assert len(set(folders)) == 6
    assert {each.parent for each in folders} == {tmp_path / "3R results"}
