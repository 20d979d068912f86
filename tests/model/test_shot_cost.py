"""The expected cost of a shot grows with its frames and their size."""

import pytest

from threer_blender.model import shot_cost


def test_a_clip_of_ten_minutes_tells_its_budget() -> None:
    text = shot_cost.sentence("clip.mp4", 10 * 60 * 24, 960 * 540)
    assert "14,400 frames" in text
    assert "85 minutes and 2.9 GB" in text


def test_a_short_shot_says_nothing() -> None:
    assert shot_cost.sentence("clip.mp4", 200) == ""


def test_large_frames_take_longer() -> None:
    small, large = (shot_cost.seconds(100, pixels) for pixels in (640 * 360, 4096 * 2160))
    assert small == pytest.approx(35, rel=0.05)
    assert 1.2 * small < large < 1.4 * small
