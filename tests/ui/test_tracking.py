"""The panel of a shot: what it says, its list of frames, and its buttons."""

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import bpy
import pytest

from tests.blender.drawn import drawn
from tests.blender.extension import part, roots
from tests.blender.filmed import COUNT, filmed
from threer_blender import bundle

pytest_plugins = ["tests.blender.extension"]


@pytest.fixture
def filming_camera(addon: ModuleType, tmp_path: Path) -> Any:  # noqa: ARG001
    """The shot's camera as the add-on imported it."""
    folder = bundle.write(filmed(tmp_path), tmp_path / "3R results" / "result")
    bpy.ops.threer.import_result(directory=str(folder))
    (root,) = roots()
    (camera,) = part("scene.build").filming_cameras(root)
    return camera


def test_the_panel_says_how_well_the_shot_sticks(filming_camera: Any) -> None:  # noqa: ARG001
    bpy.context.scene.frame_set(5)
    text = drawn("ui.tracking", "THREER_PT_tracking")
    assert "Solved: 6 of 6 frames" in text
    assert "Move: free" in text
    assert "Error, median: 0.20 px" in text or "Error, median: 0.21 px" in text
    assert "0.90 px at frame 4" in text
    assert "Frame 5: 12 tracks over 60% of the picture" in text
    assert "THREER_UL_frames" in text


def test_a_click_on_a_row_goes_to_its_frame(filming_camera: Any) -> None:
    tracking, scene = part("ui.tracking"), bpy.context.scene
    scene.threer_shot_row = 3
    assert scene.frame_current == 4
    keys = part("scene.shot_errors").curve(filming_camera)
    listed = SimpleNamespace(only_suspicious=True, bitflag_filter_item=1)
    flags, _ = tracking.THREER_UL_frames.filter_items(listed, bpy.context, keys, "keyframe_points")
    assert flags == [0, 0, 0, 1, 1, 0]
    assert len(flags) == COUNT


def test_buttons_mark_frames_and_write_the_report(filming_camera: Any, tmp_path: Path) -> None:  # noqa: ARG001
    bpy.ops.threer.mark_frames()
    assert sorted(marker.frame for marker in bpy.context.scene.timeline_markers) == [4, 5]
    bpy.ops.threer.write_report(filepath=str(tmp_path / "report.html"))
    (entry,) = json.loads((tmp_path / "report.json").read_text("utf-8"))["shots"]
    assert set(entry["suspicious"]) == {"4", "5"}
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(RuntimeError, match="choose another name"):
        bpy.ops.threer.write_report(filepath=str(tmp_path / "mine.html"))
    (tmp_path / "shot.v2.html").write_text("mine")
    with pytest.raises(RuntimeError, match="there already"):  # Blender asks about the name as it was typed
        bpy.ops.threer.write_report(filepath=str(tmp_path / "shot.v2"))
    assert (tmp_path / "shot.v2.html").read_text() == "mine"


def test_a_result_that_has_gone_is_said_before_a_name_is_asked_for(filming_camera: Any, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "3R results" / "result").rename(tmp_path / "elsewhere")
    reports: list[str] = []
    writing = part("ui.tracking").THREER_OT_write_report.__bases__[0]
    values = {"suffix": ".html", "report": lambda _self, _kinds, text: reports.append(text)}
    assert type("Writing", (writing,), values)().invoke(bpy.context, None) == {"CANCELLED"}
    (sentence,) = reports
    assert "is not where it was; import it from where it is now" in sentence


def test_a_script_that_names_no_file_gets_a_sentence(filming_camera: Any) -> None:  # noqa: ARG001
    with pytest.raises(RuntimeError, match=r"Choose the \.html file to write"):
        bpy.ops.threer.write_report()


@pytest.mark.usefixtures("addon")
def test_without_a_shot_there_is_no_panel() -> None:
    assert not part("ui.tracking").THREER_PT_tracking.poll(bpy.context)
