"""Masked pixels keep no depth and no points, whichever engine made them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.numbered_films import Kind, turned, write
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Camera, Photo, PhotoFromMap, PointCloud, PointMap, Reconstruction
from threer_blender.pictures import masks
from threer_blender.pictures.film import Film
from threer_blender.worker import masking

WIDTH, HEIGHT, STEP = 40, 20, 2


def solved() -> Reconstruction:
    """A camera before a wall at depth 3, with a PointMap of every second pixel and a point for each of its pixels."""
    camera = Camera("a.png", WIDTH, HEIGHT, 50.0, 50.0, WIDTH / 2, HEIGHT / 2, np.eye(4))
    x, y = np.meshgrid(np.arange(WIDTH // STEP) + 0.5, np.arange(HEIGHT // STEP) + 0.5)
    points: Array = 3 * camera.rays(np.stack([x, y], -1) * STEP).astype(np.float32)
    ones = np.ones(points.shape[:2], np.float32)
    pointmap = PointMap("a.png", points, ones, ones > 0, PhotoFromMap(STEP, STEP, 0, 0))
    flat = points.reshape(-1, 3)
    count = len(flat)
    cloud = PointCloud(
        flat, np.tile(np.array([0, 0, -1], np.float32), (count, 1)), np.zeros((count, 3), np.uint8),
        np.ones(count, np.float32), np.zeros(count, np.int32),
    )  # fmt: skip
    photo = Photo("a.png", "a.png", WIDTH, HEIGHT, "")
    return Reconstruction("test", "", [photo], [camera], pointmaps=[pointmap], cloud=cloud)


def test_masked_pixels_keep_no_depth_and_no_points(tmp_path: Path) -> None:
    white = np.zeros((HEIGHT, WIDTH), np.uint8)
    white[:, :10] = 255
    Image.fromarray(white).save(tmp_path / "mask.png")
    masked = masks.from_options({"masks": str(tmp_path), "masked": "white", "mask_margin": 0}, [])
    result = masking.applied(solved(), masked)
    assert not result.pointmaps[0].mask[:, :5].any()
    assert result.pointmaps[0].mask[:, 5:].all()
    assert result.cloud is not None
    assert len(result.cloud) == 15 * 10
    pixels = result.cameras[0].project(result.cloud.positions)
    assert pixels[:, 0].min() > 10


def test_without_masks_all_stays() -> None:
    before = solved()
    assert masking.applied(before, None) is before


def test_masks_are_checked_before_the_work(tmp_path: Path) -> None:
    photos = [Photo(f"{number}.png", f"{number}.png", WIDTH, HEIGHT, "") for number in range(3)]
    for name, level, size in (("0", 255, (20, 10)), ("1", 0, (20, 10)), ("x", 0, (20, 10))):
        Image.new("L", size, level).save(tmp_path / f"{name}.png")
    options = {"masks": str(tmp_path), "masked": "white", "mask_margin": 0}
    heard: list[str] = []
    masking.check(photos, masks.from_options(options, []), heard.append)
    assert heard == [
        "Masks of 20 × 10 pixels are scaled to the pictures' 40 × 20.",
        "1 of 3 pictures have no mask; nothing is left out of them.",
        "The masks leave nothing of 1 of 3 pictures.",
    ]
    with pytest.raises(UserError, match="The masks leave nothing of the pictures; set Left out"):
        masking.check(photos[:1], masks.from_options(options, []), heard.append)


def test_masks_that_blender_would_draw_elsewhere_are_doubted(tmp_path: Path) -> None:
    still = write(Kind(".mp4", "libx264", options={"g": "8"}), tmp_path / "still.mp4")
    turned(still, (-1, 0, 0, -1), tmp_path / "turned.mp4")
    for number in (1, 2):
        Image.new("L", (20, 10), 0).save(tmp_path / f"mask.{number:04d}.png")
    masked = masks.from_options({"masks": str(tmp_path / "mask.0001.png"), "masked": "white", "mask_margin": 0}, [1, 2])
    for name, doubted in (("still.mp4", False), ("turned.mp4", True)):
        width, height = Film(tmp_path / name).size
        assert masked is not None
        for file in masked.by_number.values():
            Image.new("L", (width, height), 0).save(file)
        heard: list[str] = []
        masking.check([Photo(f"{name} 1", str(tmp_path / name), width, height, "", frame=1)], masked, heard.append)
        assert [("upside down" in text, "do not fit" in text) for text in heard] == [(True, True)] * doubted
