"""A shot's errors in Blender: keyed on its camera, marked on the timeline, right after a second solve."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.filmed import COUNT, filmed
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, cameras, shot_errors


def built(reconstruction: Reconstruction) -> Any:
    (obj,) = build.filming_cameras(build.build(reconstruction, "/nowhere"))
    return obj


def test_each_frame_has_its_error(tmp_path: Path) -> None:
    result = filmed(tmp_path)
    obj = built(result)
    for number in range(1, COUNT + 1):
        bpy.context.scene.frame_set(number)
        assert obj[cameras.ERROR] == pytest.approx(float(result.shots[0].median_error[number - 1]))
    curve = shot_errors.curve(obj)
    assert curve is not None
    assert [round(key.co[0]) for key in curve.keyframe_points] == list(range(1, COUNT + 1))
    assert shot_errors.details(obj, 5) == shot_errors.FrameDetails(12, 0.6)
    assert set(shot_errors.suspicious(obj)) == {4, 5}
    facts = shot_errors.overall(obj)
    assert ("Move", "free") in facts
    assert ("Why", "Points shift.") in facts


def test_markers_point_at_the_bad_frames_and_the_artists_stay(tmp_path: Path) -> None:
    obj, scene = built(filmed(tmp_path)), bpy.context.scene
    scene.timeline_markers.new("cut", frame=4)
    for _ in range(2):
        assert shot_errors.mark_timeline(scene, obj) == 2
    assert sorted((marker.frame, marker.name) for marker in scene.timeline_markers) == [
        (4, "cut"),
        (4, "error 0.90 px"),
        (5, "12 tracks"),
    ]
    shot_errors.clear_timeline(scene, obj)
    assert [marker.name for marker in scene.timeline_markers] == ["cut"]


def test_a_second_solve_brings_its_own_errors(tmp_path: Path) -> None:
    built(filmed(tmp_path))
    better = np.full(COUNT, 0.1, np.float32)
    better[0] = np.nan
    obj = built(filmed(tmp_path, median_error=better, inliers=np.full(COUNT, 200, np.float32)))
    curve = shot_errors.curve(obj)
    assert curve is not None
    assert [round(key.co[0]) for key in curve.keyframe_points] == list(range(2, COUNT + 1))
    np.testing.assert_allclose([key.co[1] for key in curve.keyframe_points], 0.1)
    assert shot_errors.suspicious(obj) == {}


def test_a_shot_without_errors_has_no_curve(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("median_error", "p95_error", "worst_error", "inliers", "coverage"))
    obj = built(filmed(tmp_path, **nothing))
    assert shot_errors.curve(obj) is None
    assert shot_errors.suspicious(obj) == {}
