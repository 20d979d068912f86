"""The length of films as Blender reads them."""

from pathlib import Path

import bpy

from tests.blender.filmed import COUNT, SIZE, write_film
from threer_blender.scene import clips


def test_a_films_frames_and_rate(tmp_path: Path) -> None:
    length = clips.length(write_film(tmp_path / "clip.mp4"))
    assert length == (COUNT, 24, SIZE[0] * SIZE[1])
    assert str(length) == f"{COUNT} frames, 24 fps"
    assert not bpy.data.movieclips


def test_a_file_that_is_no_film_has_no_length(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    assert clips.length(tmp_path / "broken.mp4") is None
    assert clips.length(tmp_path / "missing.mp4") is None
    assert not bpy.data.movieclips
