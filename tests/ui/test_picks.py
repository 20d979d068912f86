"""Clicks in a viewport: which points they give, what the header says, and lengths that are typed."""

import bpy
import numpy as np
import pytest

from threer_blender.model.errors import UserError
from threer_blender.ui.picks import NO_POINT, Picks, length

VIEW = np.diag((0.5, 0.5, -0.01, 1.0))  # from above; x and y from -2 to 2 fill the region
REGION = (400, 400)
WORLD = np.array([(0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], np.float32)


def test_clicks_count_up_and_a_miss_is_said() -> None:
    picks = Picks("Ground", "three points on the ground", 3, more=True)
    assert "Ground: click three points on the ground (0 of 3)" in picks.hint()
    assert "Esc: cancel" in picks.hint()
    picks.click(WORLD, VIEW, REGION, (301, 199), 10)
    picks.click(WORLD, VIEW, REGION, (30, 30), 10)
    assert picks.points == [(1.0, 0.0, 0.0)]
    assert NO_POINT in picks.hint()
    picks.click(WORLD, VIEW, REGION, (200, 300), 10)
    assert NO_POINT not in picks.hint()
    assert not picks.is_complete
    picks.take_back()
    picks.take_back()
    picks.take_back()
    assert picks.points == []
    for mouse in ((200, 200), (300, 200), (200, 300), (200, 200)):
        picks.click(WORLD, VIEW, REGION, mouse, 10)
    assert picks.is_complete
    assert len(picks.points) == 4


def test_a_stroke_gives_many_points_and_is_taken_back_whole() -> None:
    rows = np.array([(x, y, 0.0) for x in np.linspace(-1, 1, 41) for y in (-0.5, 0.5)], np.float32)
    picks = Picks("Ground", "three points on the ground", 3, more=True)
    picks.click(rows, VIEW, REGION, (200, 150), 10)
    for x in range(200, 301):
        picks.drag(rows, VIEW, REGION, (x, 150), 10)
    assert picks.release()
    assert len(picks.points) == 6  # one each 20 pixels
    assert np.allclose(np.array(picks.points)[:, 1], -0.5)
    quick = Picks("Ground", "three points on the ground", 3, more=True)
    quick.click(rows, VIEW, REGION, (200, 150), 10)
    quick.drag(rows, VIEW, REGION, (300, 150), 10)  # faster than Blender draws
    assert quick.points == picks.points
    picks.drag(rows, VIEW, REGION, (250, 250), 10)  # no button is held
    assert len(picks.points) == 6
    picks.click(rows, VIEW, REGION, (30, 30), 10)
    assert not picks.release()
    picks.take_back()
    assert picks.points == []


def test_a_line_on_the_plate_needs_no_points() -> None:
    picks = Picks("Axis", "both ends", 2, on_plate=True)
    picks.click(WORLD, VIEW, REGION, (30, 30), 10)
    picks.click(WORLD, VIEW, REGION, (370, 200), 10)
    assert picks.is_complete
    assert np.allclose(np.array(picks.points)[:, :2], [(-1.7, -1.7), (1.7, 0.0)])


def test_a_length_is_typed_after_the_points() -> None:
    picks = Picks("Scale", "two points", 2, typed=True)
    picks.click(WORLD, VIEW, REGION, (200, 200), 10)
    picks.click(WORLD, VIEW, REGION, (300, 200), 10)
    picks.text = "2.5"
    assert "2.5_" in picks.hint()
    picks.take_back()
    assert picks.text == "2."
    assert picks.is_complete


@pytest.mark.parametrize(
    ("text", "metres"), [("2.5", 2.5), ("30 cm", 0.3), ("6ft", 1.8288), ("1m 20cm", 1.2), (" 2 m ", 2.0), ("A4", 0.297)]
)
def test_lengths_with_units(text: str, metres: float) -> None:
    scene = bpy.context.scene
    assert length(scene, text) == pytest.approx(metres, rel=1e-5)
    scene.unit_settings.scale_length = 0.01
    assert length(scene, text) == pytest.approx(100 * metres, rel=1e-5)


@pytest.mark.parametrize("text", ["", "wide", "2 apples", "((", "__import__('os')"])
def test_what_is_no_length_is_said(text: str) -> None:
    with pytest.raises(UserError, match="no length"):
        length(bpy.context.scene, text)
