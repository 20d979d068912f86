"""Ground, axis, scale and origin as buttons: on the root, kept by another solve, refused in a sentence."""

from pathlib import Path
from types import ModuleType
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from tests.blender.drawn import drawn
from tests.blender.extension import imported, part, roots
from tests.blender.world import CAMERAS, reconstruct, write_photos
from threer_blender import bundle
from threer_blender.model.reconstruction import Photo
from threer_blender.model.reconstruction_transform import transformed

pytest_plugins = ["tests.blender.extension"]
# On the chequered floor, in the reconstruction's world, whose y points down.
FLOOR = np.array([(-2.0, 0.0, -1.0), (2.0, 0.0, -1.0), (0.0, 0.0, 2.0)])
TILTED = Matrix.Rotation(0.4, 4, (1, 0.3, 0)) @ Matrix.Translation((0.3, 0.1, 2.0)) @ Matrix.Scale(1.7, 4)


@pytest.fixture
def photos(tmp_path: Path) -> Any:
    return write_photos(tmp_path / "shot", CAMERAS)


@pytest.fixture
def root(addon: ModuleType, photos: list[Photo], tmp_path: Path) -> Any:  # noqa: ARG001
    """The root of an imported result, which the artist has tilted."""
    root = imported(photos, tmp_path / "result")
    root.matrix_world = TILTED @ root.matrix_world
    bpy.context.view_layer.update()
    return root


def standing(root: Any, points: Any) -> Any:
    """(N, 3) where points of the reconstruction stand."""
    matrix = np.array(root.matrix_world)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def picks(points: Any) -> Any:
    return [{"name": "", "co": tuple(map(float, point))} for point in points]


def test_ground_axis_and_scale(root: Any) -> None:
    assert np.abs(standing(root, FLOOR)[:, 2]).max() > 0.3
    assert bpy.ops.threer.ground(picks=picks(standing(root, FLOOR))) == {"FINISHED"}
    assert np.abs(standing(root, FLOOR)[:, 2]).max() < 1e-4
    assert standing(root, np.array([(0.0, -0.7, 0.0)]))[0, 2] > 0.3  # the ball lies on it
    wall = np.array([(-1.0, 0.0, 1.0), (1.0, 0.0, 1.0)])
    assert bpy.ops.threer.axis(picks=picks(standing(root, wall)), axis="X") == {"FINISHED"}
    start, end = standing(root, wall)
    assert abs((end - start)[1]) < 1e-4
    assert bpy.ops.threer.scale(picks=picks((start, end)), length=3.0) == {"FINISHED"}
    start, end = standing(root, wall)
    assert np.linalg.norm(end - start) == pytest.approx(3.0, abs=1e-4)
    assert np.abs(standing(root, FLOOR)[:, 2]).max() < 1e-4


def test_axis_by_a_line_on_the_plate(root: Any) -> None:
    bpy.ops.threer.ground(picks=picks(standing(root, FLOOR)))
    bpy.context.view_layer.update()
    camera = np.array(bpy.context.scene.camera.matrix_world.translation)
    edge = np.array([(-1.0, -0.5, 1.0), (0.5, -0.5, 1.7)])  # level, where the picture shows no points
    ends = standing(root, edge)
    on_rays = camera + 0.37 * (ends - camera)
    assert bpy.ops.threer.axis(picks=picks(on_rays), on_plate=True, axis="X") == {"FINISHED"}
    start, end = standing(root, edge)
    assert abs((end - start)[1]) < 1e-4 * abs((end - start)[0])
    assert np.abs(standing(root, FLOOR)[:, 2]).max() < 1e-4
    horizon = camera + np.array([(-1.0, 2.0, 0.0), (1.0, 2.0, 0.0)])
    with pytest.raises(RuntimeError, match="above or below the horizon"):
        bpy.ops.threer.axis(picks=picks(horizon), on_plate=True)


def test_another_solve_keeps_them(root: Any, photos: list[Photo], tmp_path: Path) -> None:
    bpy.ops.threer.ground(picks=picks(standing(root, FLOOR)))
    matrix = root.matrix_world.copy()
    other = np.array(Matrix.Translation((1, 2, 3)) @ Matrix.Rotation(1.2, 4, (0.5, 1, 0)) @ Matrix.Scale(0.3, 4))
    again = bundle.write(transformed(reconstruct(photos, CAMERAS, step=5), other), tmp_path / "again")
    bpy.ops.threer.import_result(directory=str(again))
    assert roots() == [root]
    assert root.matrix_world == matrix
    bpy.context.view_layer.update()
    points = part("scene.picking").visible_points(root)
    assert np.percentile(np.abs(points[:, 2]), 40) < 1e-3  # the floor is still the ground


def test_clip_ranges_follow_the_scale(root: Any) -> None:
    camera = part("scene.build").solved_cameras(root)[0]
    before = camera.data.clip_end
    bpy.ops.threer.scale(picks=picks([(0, 0, 0), (1, 0, 0)]), length=100.0)
    assert camera.data.clip_end == pytest.approx(100 * before, rel=1e-4)


def test_camera_height(root: Any) -> None:
    root.matrix_world = Matrix.Translation((0, 0, -50)) @ root.matrix_world
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="set the ground first"):
        bpy.ops.threer.camera_height(height=1.5)
    bpy.ops.threer.ground(picks=picks(standing(root, FLOOR)))
    bpy.ops.threer.camera_height(height=1.5)
    assert bpy.context.scene.camera.matrix_world.translation.z == pytest.approx(1.5, abs=1e-4)


def test_origin_and_quarters(root: Any) -> None:
    point = standing(root, FLOOR[:1])
    bpy.ops.threer.origin(at="PICK", picks=picks(point))
    assert np.abs(standing(root, FLOOR[:1])).max() < 1e-5
    bpy.context.scene.cursor.location = standing(root, FLOOR[1:2])[0]
    bpy.ops.threer.origin(at="CURSOR")
    assert np.abs(standing(root, FLOOR[1:2])).max() < 1e-5
    before = standing(root, FLOOR)
    bpy.ops.threer.quarter(axis="Z")
    assert np.allclose(standing(root, FLOOR), before @ [(0, 1, 0), (-1, 0, 0), (0, 0, 1)], atol=1e-5)
    bpy.ops.threer.quarter(axis="Z", back=True)
    assert np.allclose(standing(root, FLOOR), before, atol=1e-5)


def test_what_cannot_be_is_refused_and_nothing_changes(root: Any) -> None:
    matrix = root.matrix_world.copy()
    line = [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0)]
    with pytest.raises(RuntimeError, match="lie on one line"):
        bpy.ops.threer.ground(picks=picks(line))
    with pytest.raises(RuntimeError, match="needs 3 points"):
        bpy.ops.threer.ground(picks=picks(line[:2]))
    with pytest.raises(RuntimeError, match="are one"):
        bpy.ops.threer.axis(picks=picks(line[:1] * 2))
    with pytest.raises(RuntimeError, match="more than zero"):
        bpy.ops.threer.scale(picks=picks(line[:1] * 2), length=1.0)
    assert root.matrix_world == matrix
    root.scale.x *= 2
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="scaled unevenly"):
        bpy.ops.threer.quarter(axis="X")


def test_undo_takes_one_step(root: Any) -> None:
    name, matrix = root.name, root.matrix_world.copy()
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.threer.ground(picks=picks(standing(root, FLOOR)))
    bpy.ops.ed.undo_push(message="ground")
    bpy.ops.ed.undo()
    assert bpy.data.objects[name].matrix_world == matrix


@pytest.mark.usefixtures("root")
def test_the_panel_offers_the_tools() -> None:
    text = drawn("ui.alignment", "THREER_PT_alignment")
    for name in ("ground", "axis", "scale", "camera_height", "origin", "quarter"):
        assert f"threer.{name}" in text
