"""The expected cost of a long shot is reported before it begins."""

from threer_blender.worker import shot_budget


def test_a_clip_of_ten_minutes_tells_its_budget() -> None:
    text = shot_budget.sentence("clip.mp4", 10 * 60 * 24)
    assert "14,400 frames" in text
    assert "84 minutes and 2.9 GB" in text


def test_a_short_shot_says_nothing() -> None:
    assert shot_budget.sentence("clip.mp4", 200) == ""
