"""The overlay film: the plate as it is, and the solve's points where its camera projects them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from tests.blender.filmed import COUNT, SIZE, filmed, frames
from threer_blender.model.errors import UserError
from threer_blender.scene import build, cameras, overlay


def read(path: Path) -> Any:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_points_lie_where_the_camera_projects_them(tmp_path: Path) -> None:
    """Three points that all frames see, on the true plate; the rest of the picture is the plate."""
    result = filmed(tmp_path)
    positions = np.array([(0.0, -1.2, -0.9), (-0.8, -0.9, 0.5), (0.9, -0.4, 0.2)], np.float32)
    cloud = replace(
        result.cloud, positions=positions,
        **{name: getattr(result.cloud, name)[:3] for name in ("normals", "colors", "confidence", "photo")},
    )  # fmt: skip
    root = build.build(replace(result, cloud=cloud), tmp_path)
    (obj,) = build.filming_cameras(root)
    scene, blocks = bpy.context.scene, set(bpy.data.user_map())
    before = scene.frame_current, scene.camera
    overlay.write(root, obj, tmp_path / "overlay.mp4")
    assert set(bpy.data.user_map()) == blocks
    assert (scene.frame_current, scene.camera) == before
    film, plate = read(tmp_path / "overlay.mp4"), read(result.shots[0].path)
    assert len(film) == COUNT
    assert film[0].shape[:2] == SIZE[::-1]
    for number, picture in enumerate(film, start=1):
        off = np.abs(picture - plate[number - 1]).max(axis=-1)
        drawn = (off > 60) & (picture[..., 1] > picture[..., 0] + 40)  # cyan; the grid is magenta
        for x, y in frames()[number].project(positions[:2]):  # the third is on the ground, in the grid's lines
            rows, columns = np.nonzero(drawn[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7])
            middle = np.array([columns.mean() + int(x) - 6 + 0.5, rows.mean() + int(y) - 6 + 0.5])
            np.testing.assert_allclose(middle, (x, y), atol=1.0)
        assert np.median(off) < 12


def test_a_plate_that_is_gone_is_said(tmp_path: Path) -> None:
    root = build.build(filmed(tmp_path), tmp_path)
    (obj,) = build.filming_cameras(root)
    (tmp_path / "filmed" / "clip.mp4").unlink()
    with pytest.raises(UserError, match="bring it back"):
        overlay.write(root, obj, tmp_path / "overlay.mp4")
    assert not (tmp_path / "overlay.mp4").exists()


def test_a_film_never_takes_the_plates_place_or_follows_a_link(tmp_path: Path) -> None:
    root = build.build(filmed(tmp_path), tmp_path)
    (obj,) = build.filming_cameras(root)
    plate = tmp_path / "filmed" / "clip.mp4"
    before = plate.read_bytes()
    (tmp_path / "link.mp4").symlink_to(plate)
    for path in (plate, tmp_path / "link.mp4"):
        with pytest.raises(UserError, match="choose another name"):
            overlay.write(root, obj, path)
    assert plate.read_bytes() == before


def test_only_cameras_film(tmp_path: Path) -> None:
    """Custom properties go along when an artist copies them, and strangers' files hold anything."""
    root = build.build(filmed(tmp_path), tmp_path)
    (obj,) = build.filming_cameras(root)
    empty = bpy.data.objects.new("empty", None)
    empty.parent, empty[cameras.FRAMES] = root, 24
    assert build.filming_cameras(root) == [obj]
