"""The points that were tracked through a shot stand in the scene as solved. Artists select, delete and weigh them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.filmed import COUNT, filmed
from threer_blender.model.reconstruction import TrackedPoints
from threer_blender.scene import build, tracks
from threer_blender.scene.changes import Changes

PLACES = np.array([[0, 0, 1], [1, 0, 2], [np.nan] * 3, [0, 1, 1], [1, 1, 2]], np.float32)


def tracked() -> TrackedPoints:
    point, frame = np.repeat(np.arange(5), COUNT), np.tile(np.arange(1, COUNT + 1), 5)
    return TrackedPoints(
        point.astype(np.int32), frame.astype(np.int32), np.full((5 * COUNT, 2), 50, np.float32), PLACES,
        np.array([0.1, 3.0, np.nan, 0.3, 2.5], np.float32), np.array([1, 1, 0.5, 1, 0], np.float32),
    )  # fmt: skip


@pytest.fixture
def displayed(tmp_path: Path) -> Any:
    """The result, its root object and the object of its tracks, shown in the scene."""
    result = filmed(tmp_path, tracks=tracked())
    root = build.build(result, tmp_path)
    return result, root, build.show_tracks(bpy.context.scene, root, result.shots[0])


def test_tracks_are_vertices_where_they_were_solved(displayed: Any) -> None:
    result, root, obj = displayed
    assert obj.parent == root
    assert obj.hide_render  # no render shows them over the plate
    np.testing.assert_array_equal(tracks.values(obj, tracks.NUMBER), [0, 1, 3, 4])
    np.testing.assert_allclose(tracks.values(obj, tracks.ERROR), [0.1, 3.0, 0.3, 2.5])
    np.testing.assert_allclose([vertex.co[:] for vertex in obj.data.vertices], PLACES[[0, 1, 3, 4]])
    assert tracks.changed_weights(obj, result.shots[0]) == {}
    (camera,) = build.filming_cameras(root)
    assert tracks.of(camera) == obj
    assert build.show_tracks(bpy.context.scene, root, result.shots[0]) == obj


def test_deleted_and_weighed_tracks_are_told_by_number(displayed: Any) -> None:
    result, _, obj = displayed
    assert tracks.select_worst(obj, 2.0) == 2
    assert tracks.weigh(obj, 0.0) == 2
    assert tracks.changed_weights(obj, result.shots[0]) == {"1": 0.0}  # number 4 was left out already
    colors = [tuple(round(255 * value) for value in each.color_srgb[:3]) for each in obj.data.attributes["color"].data]
    assert colors[1] == colors[3] == (90, 90, 90)
    assert colors[0][1] > colors[0][0]  # a small error is green
    tracks.select_worst(obj, 2.9)
    tracks.weigh(obj, 5.0)
    assert tracks.changed_weights(obj, result.shots[0]) == {"1": 5.0}
    bpy.context.view_layer.objects.active = obj
    obj.data.vertices.foreach_set("select", np.array([True, False, False, False]))
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.delete(type="VERT")
    assert tracks.changed_weights(obj, result.shots[0]) == {"0": 0.0, "1": 5.0}
    with tracks.in_object_mode(obj):
        assert obj.mode == "OBJECT"
    assert obj.mode == "EDIT"
    bpy.context.view_layer.objects.active = obj.parent  # as a click in the outliner can
    with tracks.in_object_mode(obj):
        assert obj.mode == "OBJECT"
    assert obj.mode == "EDIT"
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_second_solve_shows_its_own_tracks(displayed: Any, tmp_path: Path) -> None:
    result, root, obj = displayed
    obj.name = "my tracks"
    before = obj.data.name
    again = replace(result.shots[0], tracks=replace(tracked(), errors=np.full(5, 0.2, np.float32)), bad=((2, 3),))
    assert build.build(replace(result, shots=[again]), tmp_path) == root
    assert bpy.data.objects["my tracks"] == obj
    np.testing.assert_allclose(tracks.values(obj, tracks.ERROR), [0.2] * 4)
    assert len([mesh for mesh in bpy.data.meshes if mesh.name.startswith(before[:8])]) == 1
    (camera,) = build.filming_cameras(root)
    assert tracks.bad_ranges(camera) == [(2, 3)]


def test_bad_ranges_are_remembered_in_order(displayed: Any) -> None:
    (camera,) = build.filming_cameras(displayed[1])
    with Changes() as changes:
        tracks.set_bad_ranges(changes, camera, [(5, 5), (1, 2)])
    assert tracks.bad_ranges(camera) == [(1, 2), (5, 5)]
    with Changes() as changes:
        tracks.set_bad_ranges(changes, camera, [])
    assert tracks.BAD not in camera
    camera[tracks.BAD] = "nonsense"
    assert tracks.bad_ranges(camera) == []
