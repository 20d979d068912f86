"""Masks drawn in Blender become pictures that the engines' masks read: where they were drawn, frame by frame."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from PIL import Image

from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import masks
from threer_blender.scene import clip_masks

WIDTH, HEIGHT = 96, 48


@pytest.fixture
def clip(tmp_path: Path) -> Any:
    """An image sequence of three frames as Blender's movie clip."""
    for number in (1001, 1002, 1003):
        Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)).save(tmp_path / f"plate.{number}.png")
    return bpy.data.movieclips.load(str(tmp_path / "plate.1001.png"))


def drawn(left: float, right: float, down: float, up: float) -> Any:
    """A mask of a rectangle; places are shares of the picture's width, from its lower left corner."""
    mask = bpy.data.masks.new("walker")
    spline = mask.layers.new().splines.new()
    spline.points.add(3)
    spline.use_cyclic = True
    for point, co in zip(spline.points, ((left, down), (right, down), (right, up), (left, up)), strict=True):
        point.co = co[0], co[1] + (1 - HEIGHT / WIDTH) / 2  # Blender's square is as wide as the picture
        point.handle_left_type = point.handle_right_type = "VECTOR"
        point.handle_left = point.handle_right = point.co
    return mask


def test_a_mask_is_written_for_each_frame_as_it_was_drawn(clip: Any, tmp_path: Path) -> None:
    before = set(bpy.data.user_map())
    assert clip_masks.write(drawn(0.25, 0.5, 0.0, 0.25), clip, tmp_path / "masks") == 3
    assert {block for block in set(bpy.data.user_map()) - before if not isinstance(block, bpy.types.Mask)} == set()
    read = masks.from_options(
        {"masks": str(tmp_path / "masks"), "masked": "white", "mask_margin": 0}, [1001, 1002, 1003]
    )
    assert read is not None
    photo = Photo("plate 1002", "plate", WIDTH, HEIGHT, "", frame=1002)
    for number in (1001, 1002, 1003):
        out = read.excluded(photo, number, (WIDTH, HEIGHT))
        assert out is not None
        wanted = np.zeros((HEIGHT, WIDTH), np.bool_)
        wanted[24:48, 24:48] = True  # the lower half, the second quarter from the left
        assert (out != wanted).mean() < 0.02


@pytest.mark.parametrize("name", ["a{blend_name}", "{", "#", "%04d"])
def test_the_folder_may_be_named_like_a_template(clip: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert clip_masks.write(drawn(0.25, 0.5, 0.0, 0.25), clip, tmp_path / name / "masks") == 3
    assert len(list((tmp_path / name / "masks").glob("mask.*.png"))) == 3


def test_what_is_no_mask_is_said(clip: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty; draw a spline"):
        clip_masks.write(bpy.data.masks.new("nothing"), clip, tmp_path / "masks")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file.txt").write_text("mine")
    with pytest.raises(UserError):
        clip_masks.write(drawn(0.1, 0.2, 0.1, 0.2), clip, tmp_path / "mine")
    assert (tmp_path / "mine" / "file.txt").read_text() == "mine"
