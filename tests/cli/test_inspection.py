"""Removed points are shown in the colour of their reason, pixel by pixel, and counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender import bundle
from threer_blender.cli import command_line, exit_status, inspection
from threer_blender.model.reconstruction import REMOVED, Camera, Photo, PhotoFromMap, PointMap, Reconstruction


@pytest.fixture
def result() -> Reconstruction:
    """A photo of a wall, nearer to the left: a column for each reason, one not trusted, four kept."""
    depth = np.tile(np.linspace(1, 4, 9, dtype=np.float32), (5, 1))
    camera = Camera("a\n.jpg", 9, 5, 8.0, 8.0, 4.5, 2.5, np.eye(4))
    removed = np.tile(np.array([0, 1, 2, 3, 4, 0, 0, 0, 0], np.uint8), (5, 1))
    mask = np.tile(np.isin(np.arange(9), (0, 4, 5, 6, 7)), (5, 1))
    empty = PointMap("a\n.jpg", np.zeros((5, 9, 3), np.float32), np.ones_like(depth), mask, PhotoFromMap(1, 1, 0, 0))
    points = (camera.rays(empty.photo_pixels()) * depth[..., None]).astype(np.float32)
    photo = Photo("a\n.jpg", "/a.jpg", 9, 5, f"{0:064}")
    return Reconstruction("dust3r", "", [photo], [camera], [replace(empty, points=points, removed=removed)])


def test_every_reason_has_its_colour(
    result: Reconstruction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.write(result, tmp_path / "result")
    assert command_line.main(["cleaning", str(tmp_path / "result"), "--output", str(tmp_path / "pictures")]) == 0
    output = capsys.readouterr().out
    assert r"0.png: 'a\n.jpg': edge 11.1%, sky 11.1%, free-space violation 11.1%, merged 11.1%" in output
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0.png", "manifest.json"]
    row = np.asarray(Image.open(tmp_path / "pictures" / "0.png"))[2]
    assert [tuple(pixel) for pixel in row[1:5]] == [inspection.COLOURS[reason] for reason in REMOVED[1:]]
    assert (row[[0, 5, 6, 7]].max(axis=1) == row[[0, 5, 6, 7]].min(axis=1)).all()
    assert (np.diff(row[[0, 5, 6, 7], 0].astype(int)) < 0).all()
    assert (row[8] == 0).all()


def test_a_result_that_tells_nothing_is_a_sentence(
    result: Reconstruction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.write(replace(result, pointmaps=[replace(result.pointmaps[0], removed=None)]), tmp_path / "result")
    arguments = ["cleaning", str(tmp_path / "result"), "--output", str(tmp_path / "pictures")]
    assert command_line.main(arguments) == exit_status.USER
    assert "does not say what was removed" in capsys.readouterr().err
    assert not (tmp_path / "pictures").exists()


def test_pictures_of_others_are_not_painted_over(
    result: Reconstruction, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.write(result, tmp_path / "result")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(b"precious")
    arguments = ["cleaning", str(tmp_path / "result"), "--output", str(tmp_path / "pictures")]
    assert command_line.main(arguments) == exit_status.USER
    assert "holds something else ('0.png')" in capsys.readouterr().err
    assert (tmp_path / "pictures" / "0.png").read_bytes() == b"precious"
    assert command_line.main([*arguments[:-1], str(tmp_path / "new")]) == 0
    assert command_line.main([*arguments[:-1], str(tmp_path / "new")]) == 0  # it is ours to replace
