"""The expected cost of a long shot is told from its header, before any picture is decoded."""

from pathlib import Path

import av
import numpy as np
import pytest

from threer_blender.pictures import shot_budget


def film(path: Path, frames: int) -> Path:
    """A film of tiny frames that are all alike."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.full((48, 64, 3), 90, np.uint8)
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_a_long_film_tells_its_budget(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"long{suffix}", 1800)
    (text,) = shot_budget.sentences([path])
    assert text.startswith(f"long{suffix} has about 1,800 frames")
    assert "about 11 minutes and 0.4 GB" in text


def test_short_shots_photos_and_damaged_films_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    files = [film(tmp_path / "short.mp4", 40), tmp_path / "broken.mp4", tmp_path / "photo.jpg", tmp_path / "gone.mov"]
    assert shot_budget.sentences(files) == []


def test_a_long_sequence_tells_its_budget(tmp_path: Path) -> None:
    for number in range(1001, 2601):
        (tmp_path / f"plate.{number}.exr").write_bytes(b"")
    (text,) = shot_budget.sentences([tmp_path / "plate.####.exr"])
    assert "1,600 frames" in text
