"""A second solve renews its own keys where they stand; the artist's layers, transforms, constraints and names stay."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.filmed import COUNT, curves, filmed
from threer_blender.scene import axes, build, layers, shot_errors


def moved(result: Any) -> Any:
    """The same shot, solved a little otherwise: its camera is higher in all frames but the first and the last."""
    cameras = {}
    for number, camera in result.shots[0].cameras.items():
        pose = camera.world_from_camera.copy()
        pose[1, 3] -= 0.2 * (1 < number < COUNT)
        cameras[number] = replace(camera, world_from_camera=pose)
    errors = np.full(COUNT, 0.1, np.float32)
    return replace(result, shots=[replace(result.shots[0], cameras=cameras, median_error=errors)])


@pytest.fixture
def displayed(tmp_path: Path) -> Any:
    """The result, its root, and the shot's camera."""
    result = filmed(tmp_path)
    root = build.build(result, tmp_path)
    (camera,) = build.filming_cameras(root)
    return result, root, camera


def place(camera: Any, frame: int) -> Any:
    bpy.context.scene.frame_set(frame)
    return np.array(camera.evaluated_get(bpy.context.evaluated_depsgraph_get()).matrix_local.translation)


def wanted(result: Any, frame: int) -> Any:
    return np.array(axes.camera_matrix(result.shots[0].cameras[frame]).translation)


def test_keys_in_a_strip_are_renewed_there_under_the_artists_layer(displayed: Any, tmp_path: Path) -> None:
    result, root, camera = displayed
    ours = camera.animation_data.action
    track = camera.animation_data.nla_tracks.new()
    track.name = "solve"
    track.strips.new("solved", 1, ours)
    camera.animation_data.action = None
    layer = bpy.data.actions.new("shake")
    camera.animation_data.action = layer
    camera.animation_data.action_blend_type = "ADD"
    camera.location = (0, 0, 0)
    for frame, height in ((1, 0.0), (COUNT, 0.5)):
        camera.location[2] = height
        camera.keyframe_insert("location", index=2, frame=frame)
    layer_now = camera.animation_data.action
    on_top = place(camera, 3) - wanted(result, 3)
    assert np.abs(on_top).max() > 0.1
    root.location, root.scale = (1, 2, 3), (2, 2, 2)
    limit = camera.constraints.new("LIMIT_ROTATION")
    camera.name, name = "Hero camera", ours.name
    again = moved(result)
    assert build.build(again, tmp_path) == root
    assert camera.animation_data.action == layer_now
    assert camera.animation_data.action_blend_type == "ADD"
    (strip,) = camera.animation_data.nla_tracks["solve"].strips
    assert strip.action.get(layers.SOLVED)
    assert strip.action.name == name
    assert (strip.frame_start, strip.frame_end) == (1, COUNT)
    np.testing.assert_allclose(place(camera, 3) - wanted(again, 3), on_top, atol=1e-4)
    assert abs(wanted(again, 3) - wanted(result, 3)).max() == pytest.approx(0.2, abs=1e-4)
    assert tuple(root.location) == (1, 2, 3)
    assert camera.name == "Hero camera"
    assert list(camera.constraints) == [limit]
    curve = shot_errors.curve(camera)
    assert curve is not None
    assert [round(key.co[1], 3) for key in curve.keyframe_points] == [0.1] * COUNT
    assert not [action for action in bpy.data.actions if action.name.endswith("before")]


def test_the_active_action_is_renewed_and_other_strips_stay(displayed: Any, tmp_path: Path) -> None:
    result, root, camera = displayed
    mine = bpy.data.actions.new("mine")
    strip = camera.animation_data.nla_tracks.new().strips.new("mine", 1, mine)
    again = moved(result)
    build.build(again, tmp_path)
    assert strip.action == mine
    assert camera.animation_data.action.get(layers.SOLVED)
    np.testing.assert_allclose(place(camera, 3), wanted(again, 3), atol=1e-5)
    assert root.children


def test_an_action_that_the_artist_put_in_our_place_is_not_lost(displayed: Any, tmp_path: Path) -> None:
    result, _, camera = displayed
    mine = bpy.data.actions.new("mine")
    camera.animation_data.action = mine
    build.build(moved(result), tmp_path)
    assert bpy.data.actions["mine"].use_fake_user
    assert camera.animation_data.action.get(layers.SOLVED)


def test_frames_without_a_camera_have_no_keys(displayed: Any, tmp_path: Path) -> None:
    result, _, camera = displayed
    some = {number: each for number, each in result.shots[0].cameras.items() if number not in (3, 4)}
    build.build(replace(result, shots=[replace(result.shots[0], cameras=some, bad=((3, 4),))]), tmp_path)
    rotations = [curve for curve in curves(camera) if curve.data_path == "rotation_quaternion"]
    assert len(rotations) == 4
    for curve in rotations:
        assert [round(key.co[0]) for key in curve.keyframe_points] == [1, 2, 5, 6]
