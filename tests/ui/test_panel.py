"""The add-on as an artist has it: an enabled extension whose buttons reconstruct, queue, wait, cancel and clean up."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import pytest
from PIL import Image

from tests.blender.drawn import panel
from tests.blender.dump import lines
from tests.blender.extension import ADDON, choose, enable, make_photo_folder, part, roots, start, until
from tests.blender.world import CAMERAS
from tests.processes import gone
from tests.sample_photos import SAMPLE
from threer_blender import bundle
from threer_blender.model.reconstruction import Reconstruction

pytest_plugins = ["tests.blender.extension"]

# Choosing


def test_choose_files_or_a_folder(work: ModuleType, photo_folder: Path, tmp_path: Path) -> None:
    settings = bpy.context.scene.threer
    choose(photo_folder)
    assert [Path(entry.path).name for entry in settings.photos] == sorted(camera.photo for camera in CAMERAS)
    assert sum(entry.megabytes for entry in settings.photos) == pytest.approx(
        sum((photo_folder / camera.photo).stat().st_size for camera in CAMERAS) / 1e6, rel=1e-4
    )
    names = [{"name": "square.png"}, {"name": "larger.png"}]
    bpy.ops.threer.choose_photos(directory=str(photo_folder), files=names)
    assert [Path(entry.path).name for entry in settings.photos] == ["square.png", "larger.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="There is no photo in the folder"):
        choose(tmp_path / "empty")
    assert "There is no photo in the folder" in work.current().error
    assert len(settings.photos) == 2
    bpy.ops.threer.clear_photos()
    assert len(settings.photos) == 0
    assert not bpy.ops.threer.reconstruct.poll()


@pytest.mark.usefixtures("addon")
def test_choose_files_of_any_name(photo_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / 'an album\'s "best"\nof 2026, 写真'
    names = ["a b.png", 'it\'s "quoted".png', "two\nlines.png", "写真 ünï.png"]
    folder.mkdir()
    for name in names:
        shutil.copy(photo_folder / "square.png", folder / name)
    choose(folder)
    chosen = part("ui.properties").chosen_paths(bpy.context.scene)
    assert sorted(chosen) == sorted(str(folder / name) for name in names)
    bpy.ops.threer.choose_photos(directory=str(folder), files=[{"name": name} for name in names])
    assert part("ui.properties").chosen_paths(bpy.context.scene) == [str(folder / name) for name in names]


@pytest.mark.usefixtures("addon")
def test_choosing_a_folder_says_what_is_left_out(
    photo_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(photo_folder / "square.png", folder / "deep")
    (folder / "notes.txt").write_text("notes")
    choose(folder)
    assert part("ui.properties").chosen_paths(bpy.context.scene) == [str(folder / "deep" / "square.png")]
    assert "Left out of the folder, 1 file: 'notes.txt' (no photo)." in capfd.readouterr().out


@pytest.mark.usefixtures("addon")
def test_dropped_photos_are_those_that_are_read() -> None:
    handler = part("ui.operators").THREER_FH_photos
    assert set(handler.bl_file_extensions.split(";")) == part("files.photo_files").CHOOSABLE
    assert handler.bl_import_operator == "threer.choose_photos"
    assert len(part("ui.operators").GLOB) <= 255  # more is cut off by Blender's file browser


@pytest.mark.usefixtures("addon")
def test_every_option_is_declared_once() -> None:
    """The properties are the declaration's: names, defaults, choices and bounds."""
    registry, properties = part("engines.registry"), part("ui.properties")
    for engine in registry.engines().values():
        options = properties.options_of(bpy.context.scene, engine)
        assert set(options.__annotations__) == {option.name for option in engine.options}
        for option in engine.options:
            declared = options.bl_rna.properties[option.name]
            assert getattr(options, option.name) == option.default
            assert declared.description + "." == option.tooltip
            if option.choices is not None:
                assert {item.identifier: item.name for item in declared.enum_items} == option.choices
            if option.maximum is not None:
                assert (declared.hard_min, declared.hard_max) == (option.minimum, option.maximum)
        values = properties.option_values(bpy.context.scene, engine)
        assert engine.checked_options(values) == engine.checked_options({})


# Reconstructing


def test_in_background_the_button_blocks_and_works(work: ModuleType, photo_folder: Path, data_folder: Path) -> None:
    (photo_folder / "go").touch()
    choose(photo_folder)
    assert bpy.ops.threer.reconstruct() == {"FINISHED"}
    (root,) = roots()
    assert len([child for child in root.children if child.type == "CAMERA"]) == len(CAMERAS)
    assert Path(root["threer_bundle"]).parent == photo_folder / "3R results"
    assert Path(root["threer_bundle"]).name.endswith("shot")
    assert part("jobs.results").waiting(data_folder) == []
    assert work.current().queue.tasks == work.current().arrived == work.current().offered == []
    actual = part("ui.summary").summary(root)
    assert (actual.registered, actual.chosen) == (len(CAMERAS), len(CAMERAS))
    cloud = bundle.read(part("ui.summary").bundle(root)).cloud
    assert cloud is not None
    assert actual.points == len(cloud)
    assert actual.notes == [part("scene.startup").HIDDEN]


def test_a_result_of_a_saved_file_lies_beside_it(photo_folder: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    bpy.ops.wm.save_as_mainfile(filepath=str(project / "shot.blend"))
    (photo_folder / "go").touch()
    choose(photo_folder)
    bpy.ops.threer.reconstruct()
    (root,) = roots()
    assert root["threer_bundle"].startswith("//3R results")
    assert part("ui.summary").bundle(root).parent == project / "3R results"


@pytest.mark.usefixtures("addon")
def test_the_panel_says_how_good_the_cameras_are(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """One refined, one measured, the rest neither."""
    cameras = list(reconstruction.cameras)
    cameras[0] = replace(cameras[0], reprojection_error=0.5, error_before=12.0)
    cameras[1] = replace(cameras[1], reprojection_error=0.7)
    part("scene.build").build(replace(reconstruction, cameras=cameras), tmp_path)
    text = panel()
    assert "Reprojection error 0.60 px (12.0 before refinement)" in text
    assert f"{len(cameras) - 2} cameras of layout quality, not refined" in text


def test_with_the_engine_itself(work: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "real"
    folder.mkdir()
    for photo in SAMPLE[:4]:
        shutil.copy(photo, folder)
    choose(folder)
    bpy.context.scene.threer.options_colmap.quality = "preview"
    bpy.ops.threer.reconstruct()
    (root,) = roots()
    actual = part("ui.summary").summary(root)
    assert (actual.registered, actual.chosen) == (4, 4)
    assert actual.points > 10_000
    assert actual.error < 1.0
    assert work.current().error == ""


def test_a_users_mistake_is_said_and_changes_nothing(work: ModuleType, photo_folder: Path, data_folder: Path) -> None:
    (photo_folder / "go").write_text("These photos do not overlap; take more of them.")
    choose(photo_folder)
    before = lines()
    with pytest.raises(RuntimeError, match="do not overlap"):
        bpy.ops.threer.reconstruct()
    assert lines() == before
    assert work.current().error == "These photos do not overlap; take more of them."
    assert not (photo_folder / "3R results").exists()
    assert list((data_folder / "not imported").iterdir()) == []
    (photo_folder / "go").write_text("")
    bpy.ops.threer.reconstruct()
    assert work.current().error == ""


def test_a_result_that_cannot_be_read_leaves_the_scene_and_stays_offered(work: ModuleType, photo_folder: Path) -> None:
    arrays = photo_folder / "bundle" / "arrays.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1])
    task = start(work, photo_folder)
    before = lines()
    (photo_folder / "go").touch()
    until(work, lambda: work.current().error)
    assert lines() == before
    assert work.current().offered == [task.output]


# The job


def test_two_jobs_queue(work: ModuleType, photo_folder: Path, tmp_path: Path) -> None:
    other = make_photo_folder(tmp_path / "other", step=16)
    first, second = start(work, photo_folder), start(work, other)
    assert first.output != second.output
    until(work, lambda: first.progress.fraction > 0)
    assert second.job is None
    (photo_folder / "go").touch()
    until(work, lambda: second.job is not None)
    assert first.ended
    (other / "go").touch()
    until(work, lambda: not work.current().queue.tasks and not work.current().arrived)
    assert work.tick() is None
    # The second photos are the first ones' equals in content, so they bring the same objects up to date.
    (root,) = roots()
    assert part("ui.summary").bundle(root) == second.output


def test_loading_a_file_keeps_the_job_and_its_result_offers_itself(
    work: ModuleType, photo_folder: Path, data_folder: Path
) -> None:
    task = start(work, photo_folder)
    until(work, lambda: task.progress.fraction > 0)
    bpy.ops.wm.read_homefile(use_factory_startup=False)
    assert bpy.app.timers.is_registered(work.tick)
    assert len(bpy.context.scene.threer.photos) == 0
    before = lines()
    (photo_folder / "go").touch()
    until(work, lambda: task.ended)
    work.tick()
    assert lines() == before
    assert work.current().offered == [task.output]
    bpy.ops.threer.import_result(directory=str(task.output))
    assert len(roots()) == 1
    assert work.current().offered == part("jobs.results").waiting(data_folder) == []


def test_undo_and_redo_keep_the_job(work: ModuleType, photo_folder: Path) -> None:
    bpy.ops.ed.undo_push(message="start")
    task = start(work, photo_folder)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.ed.undo_push(message="cube")
    until(work, lambda: task.progress.fraction > 0)
    bpy.ops.ed.undo()
    bpy.ops.ed.redo()
    bpy.ops.ed.undo()
    (photo_folder / "go").touch()
    until(work, roots)
    assert task.ended


def test_a_result_waits_while_the_artist_edits(work: ModuleType, photo_folder: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.mode_set(mode="EDIT")
    task = start(work, photo_folder)
    (photo_folder / "go").touch()
    until(work, lambda: work.current().arrived)
    work.tick()
    assert roots() == []
    assert work.current().arrived == [task]
    bpy.ops.object.mode_set(mode="OBJECT")
    work.tick()
    assert len(roots()) == 1


def test_a_script_in_edit_mode_does_not_wait(photo_folder: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.mode_set(mode="EDIT")
    (photo_folder / "go").touch()
    choose(photo_folder)
    bpy.ops.threer.reconstruct()
    assert len(roots()) == 1


def test_cancel_leaves_nothing(work: ModuleType, photo_folder: Path, tmp_path: Path, data_folder: Path) -> None:
    other = make_photo_folder(tmp_path / "other", step=16)
    first, second = start(work, photo_folder), start(work, other)
    until(work, lambda: first.progress.fraction > 0)
    bpy.ops.threer.cancel(position=1)
    until(work, lambda: second.ended)
    assert second.job is None
    bpy.ops.threer.cancel(position=0)
    until(work, lambda: first.ended)
    assert gone(first.job.pid)
    assert roots() == list((data_folder / "not imported").iterdir()) == []
    assert not (photo_folder / "3R results").exists()
    assert not (other / "3R results").exists()
    assert work.tick() is None


def test_stopping_keeps_a_result_that_is_only_being_improved(
    work: ModuleType, photo_folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 24), (200, 100, 50)).save(tmp_path / "preview.png")
    (tmp_path / "preview.png").rename(photo_folder / "preview.png")
    task = start(work, photo_folder)
    until(work, lambda: task.preview is not None and task.progress.cancel_delivers)
    pictures = part("ui.pictures")
    pictures.icon(task.preview)  # without a window it is no icon, only a picture
    assert tuple(work.current().previews[str(task.preview)].image_size) == (32, 24)
    bpy.ops.threer.cancel(position=0)
    until(work, roots)
    assert isinstance(task.ended, part("jobs.messages").Done)


def test_silence_is_noticed(work: ModuleType, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = part("ui.queue")
    task = start(work, photo_folder)
    until(work, lambda: task.progress.fraction > 0)
    assert task.silent_seconds is None
    monkeypatch.setattr(jobs, "SILENCE", 0.5)
    (photo_folder / "silent").touch()
    until(work, lambda: task.silent_seconds is not None)
    bpy.ops.threer.cancel(position=0)
    until(work, lambda: task.ended)


def test_disabling_ends_the_job_and_enabling_finds_finished_results(
    work: ModuleType, photo_folder: Path, repository: Path
) -> None:
    finished = start(work, photo_folder)
    until(work, lambda: finished.progress.fraction > 0)
    bpy.ops.wm.read_homefile()
    (photo_folder / "go").touch()
    until(work, lambda: finished.ended)
    (photo_folder / "go").unlink()
    running = start(work, photo_folder)
    until(work, lambda: running.progress.fraction > 0)
    tick = work.tick
    bpy.ops.preferences.addon_disable(module=ADDON)
    assert gone(running.job.pid)
    assert not bpy.app.timers.is_registered(tick)
    assert list((photo_folder / "3R results").iterdir()) == [finished.output]
    enable(repository)
    assert part("ui.work").current().offered == [finished.output]
    bpy.ops.threer.dismiss_result(directory=str(finished.output))
    assert part("ui.work").current().offered == []
    assert (finished.output / "scene.json").exists()


def registered() -> Any:
    """Everything of ours that Blender knows."""
    classes = [name for name in dir(bpy.types) if name.startswith("THREER_")]
    operators = dir(bpy.ops.threer)
    handlers = [
        function
        for name in dir(bpy.app.handlers)
        if isinstance(listed := getattr(bpy.app.handlers, name), list)
        for function in listed
        if (getattr(function, "__module__", None) or "").startswith(ADDON)
    ]
    menu = [draw for draw in bpy.types.TOPBAR_MT_file_import._dyn_ui_initialize() if draw.__module__.startswith(ADDON)]
    scene = [name for name in dir(bpy.types.Scene) if "threer" in name]
    return {"classes": classes, "operators": operators, "handlers": handlers, "menu": menu, "scene": scene}


@pytest.mark.usefixtures("addon")
def test_enabled_twice_and_disabled_leaves_nothing(repository: Path) -> None:
    known = registered()
    assert {"choose_photos", "reconstruct", "cancel", "import_result"} <= set(known["operators"])
    assert known["scene"] == ["threer", "threer_shot_row"]
    assert len(known["menu"]) == 3
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=ADDON)
        assert not any(registered().values()), registered()
        enable(repository)
        assert [len(actual) for actual in registered().values()] == [len(actual) for actual in known.values()]


# Next steps


def test_next_steps(photo_folder: Path) -> None:
    (photo_folder / "go").touch()
    choose(photo_folder)
    bpy.ops.threer.reconstruct()
    scene = bpy.context.scene
    solved = part("scene.build").solved_cameras(roots()[0])
    scene.camera = None
    bpy.ops.threer.look_through()
    assert scene.camera == solved[0]
    bpy.ops.threer.look_through(step=1)
    assert scene.camera == solved[1]
    size = solved[1]["threer_width"], solved[1]["threer_height"]
    assert (scene.render.resolution_x, scene.render.resolution_y) == size
    bpy.ops.threer.look_through(step=-2)
    assert scene.camera == solved[-1]
    scene.view_settings.view_transform = "AgX"
    bpy.ops.threer.match_colors()
    assert scene.view_settings.view_transform == "Standard"
    bpy.ops.threer.view_per_frame()
    assert [marker.camera for marker in scene.timeline_markers] == solved


def test_clearing_the_cache_keeps_results(photo_folder: Path, data_folder: Path) -> None:
    (photo_folder / "go").touch()
    choose(photo_folder)
    bpy.ops.threer.reconstruct()
    assert list((data_folder / "logs").iterdir())
    bpy.ops.threer.clear_cache()
    assert [folder.name for folder in data_folder.iterdir()] == ["not imported"]
    assert len(list((photo_folder / "3R results").iterdir())) == 1


@pytest.mark.usefixtures("addon")
def test_an_engine_is_not_called_ready_before_anybody_has_looked() -> None:
    readiness = part("ui.readiness")
    assert readiness.described(readiness.UNKNOWN)[0] == "looking…"
    nothing_lacks = part("doctor").Readiness((), ())
    assert readiness.described(nothing_lacks) == ("ready", "CHECKMARK")
