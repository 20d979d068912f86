"""Survey points marked on the plate: their pixels, the lists, and the solve that stands on them."""

from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.drawn import drawn
from tests.blender.extension import part, roots
from tests.geometry.shots import synthetic_shots
from tests.solved_shots import FIRST, FRAMES, result_of, write_plate
from threer_blender import bundle
from threer_blender.files import survey_files
from threer_blender.model.lens import Distortion
from threer_blender.worker import surveying

pytest_plugins = ["tests.blender.extension"]
MARKED = (FIRST, FIRST + 12, FIRST + FRAMES - 1)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("walked")
    numbers = np.arange(FIRST, FIRST + FRAMES)
    lens = Distortion("SIMPLE_RADIAL", (-0.1,))
    shot = synthetic_shots.shot(synthetic_shots.moving(FRAMES), numbers=numbers, distortion=lens)
    return bundle.write(result_of(shot, write_plate(folder / "frames")), folder / "result")


@pytest.fixture
def root(addon: ModuleType, walked: Path) -> Any:  # noqa: ARG001
    """The result's root, turned and scaled by the artist; its camera films."""
    bpy.ops.threer.import_result(directory=str(walked))
    (root,) = roots()
    root.location, root.scale = (1, 2, 3), (2, 2, 2)
    (bpy.context.scene.camera,) = part("scene.build").filming_cameras(root)
    bpy.context.view_layer.update()
    return root


def mark(root: Any, place: Any, name: str) -> Any:
    """An empty at a place (3,) of the result's world, marked in three frames; the click's ray goes half-way to it."""
    empty = bpy.data.objects.new(name, None)
    empty.location = root.matrix_world @ part("scene.survey_marks").Vector(place)
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.objects.active = empty
    for frame in MARKED:
        bpy.context.scene.frame_set(frame)
        centre = bpy.context.scene.camera.matrix_world.translation
        assert bpy.ops.threer.mark_survey(picks=[{"name": "", "co": (centre + empty.location) / 2}]) == {"FINISHED"}
    return empty


def test_marks_are_the_plates_pixels_and_the_next_solve_stands_on_the_points(root: Any, walked: Path) -> None:
    result = bundle.read(walked)
    (shot,) = result.shots
    places = [(0.5, 0.2, 5.0), (-1.0, -0.5, 6.0), (0.8, -0.7, 4.5), (-0.6, 0.6, 5.5)]
    empties = [mark(root, place, f"nail, {number}") for number, place in enumerate(places)]
    for place, empty in zip(places, empties, strict=True):
        for each in part("scene.survey_marks").of(empty):
            assert np.abs(shot.cameras[int(each.photo)].project(np.array(place)) - (each.u, each.v)).max() < 0.05
    first = Path(shot.path.replace("####", str(FIRST)))
    bpy.ops.threer.choose_photos(directory=str(first.parent), files=[{"name": first.name}])
    assert bpy.ops.threer.use_survey() == {"FINISHED"}
    options = bpy.context.scene.threer.options_colmap
    points = survey_files.read_points(Path(options.survey))
    assert list(points) == [f"nail__{number}" for number in range(4)]
    surveyed = surveying.applied(result, {"survey": options.survey, "survey_pixels": options.survey_pixels})
    assert [point.agrees for point in surveyed.survey] == [True] * 4
    assert max(point.error or 0.0 for point in surveyed.survey) < 0.005
    assert {"threer.mark_survey", "threer.use_survey"} <= set(drawn("ui.panel", "THREER_PT_more").split())


def test_a_click_beside_the_picture_and_too_few_points_are_refused(root: Any) -> None:
    bpy.ops.object.empty_add(location=root.location)
    camera = bpy.context.scene.camera
    behind = camera.matrix_world @ part("scene.survey_marks").Vector((0, 0, 1))
    with pytest.raises(RuntimeError, match="not in the picture"):
        bpy.ops.threer.mark_survey(picks=[{"name": "", "co": behind}])
    with pytest.raises(RuntimeError, match="mark three or more"):
        bpy.ops.threer.use_survey()
    bpy.context.scene.frame_set(FIRST - 5)
    with pytest.raises(RuntimeError, match="not solved at this frame"):
        bpy.ops.threer.mark_survey(picks=[{"name": "", "co": behind}])


def test_a_vertex_of_a_scan_becomes_a_survey_point(root: Any) -> None:
    place = root.matrix_world @ part("scene.survey_marks").Vector((0.2, 0.1, 5.0))
    mesh = bpy.data.meshes.new("scan")
    mesh.from_pydata([place, place * 2], [], [])
    scan = bpy.data.objects.new("scan", mesh)
    bpy.context.scene.collection.objects.link(scan)
    bpy.context.view_layer.objects.active = scan
    bpy.context.scene.frame_set(FIRST)
    mesh.vertices[0].select, mesh.vertices[1].select = True, False
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.threer.mark_survey(picks=[{"name": "", "co": place}]) == {"FINISHED"}
    bpy.ops.object.mode_set(mode="OBJECT")
    (entry,) = part("scene.survey_marks").marked(bpy.context.scene).values()
    assert np.allclose(entry[0], place, atol=1e-5)
