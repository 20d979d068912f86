"""[R] The sample photos agree with their own truth: files, lens, poses and depth. Imports Pillow and the model.

Nothing is rendered. Depth pixels of one photo are projected into its neighbour by the true cameras. There they must
have the depth, the colours and the sub-pixel position that the neighbour's own files state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import ExifTags, Image, ImageOps

from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

Array = npt.NDArray[Any]

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
TRUTH = json.loads((SAMPLE / "truth.json").read_text())
RECORDS = {record["photo"]: record for record in TRUTH["cameras"]}
PAIRS = list(pairwise(RECORDS))
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Projected:
    """The N depth pixels of one photo, projected into another."""

    first_pixels: Array  # (N, 2) photo pixels in the first
    pixels: Array  # (N, 2) photo pixels in the other
    expected_depth: Array  # (N,) metres in the other's frame
    stated_depth: Array  # (N,) metres of the other's depth file; NaN where it is not smooth around the pixel

    @property
    def visible(self) -> Array:
        visible: Array = np.abs(self.stated_depth / self.expected_depth - 1) < 0.01
        return visible


def camera_of(name: str) -> Camera:
    record = RECORDS[name]
    lens = Distortion(record["distortion"]["model"], tuple(record["distortion"]["params"]))
    numbers = {key: record[key] for key in ("photo", "width", "height", "fx", "fy", "cx", "cy")}
    return Camera(**numbers, world_from_camera=np.array(record["world_from_camera"]), distortion=lens)


@cache
def depth_of(name: str) -> Array:
    """(h, w) metres, NaN where there is none."""
    stored = np.asarray(Image.open(SAMPLE / RECORDS[name]["depth"])).astype(np.float64)
    return np.where(stored == TRUTH["depth"]["none"], np.nan, stored * TRUTH["depth"]["metres_per_unit"])


@cache
def grey_of(name: str) -> Array:
    """(H, W) of the displayed photo, softened by a 3 × 3 tent so that sampling between pixels is fair."""
    photo = ImageOps.exif_transpose(Image.open(SAMPLE / "photos" / name)).convert("L")
    padded = np.pad(np.asarray(photo).astype(np.float64), 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    softened: Array = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    return softened


def corners(raster: Array, pixels: Array) -> tuple[Array, Array]:
    """The four raster values around each pixel (N, 4) and their bilinear weights; NaN outside. Centres are at .5."""
    x, y = (pixels - 0.5).T
    inside = (x >= 0) & (y >= 0) & (x < raster.shape[1] - 1) & (y < raster.shape[0] - 1)
    column, row = np.where(inside, np.floor(x), 0).astype(int), np.where(inside, np.floor(y), 0).astype(int)
    right, below = x - column, y - row
    values = np.stack([raster[row + dy, column + dx] for dy in (0, 1) for dx in (0, 1)], axis=-1)
    weights = np.stack([(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right], axis=-1)
    return np.where(inside[:, None], values, np.nan), weights


def sample(raster: Array, pixels: Array) -> Array:
    values, weights = corners(raster, pixels)
    blended: Array = (values * weights).sum(axis=-1)
    return blended


def projected(first: str, second: str) -> Projected:
    """The depth pixels of the photo `first`, projected into the photo `second`."""
    depth, second_depth, camera, second_camera = depth_of(first), depth_of(second), camera_of(first), camera_of(second)
    y, x = np.nonzero(np.isfinite(depth))
    height, width = depth.shape
    first_pixels = np.stack([(x + 0.5) * camera.width / width, (y + 0.5) * camera.height / height], axis=-1)
    local = camera.rays(first_pixels) * depth[y, x][:, None]
    world = local @ camera.world_from_camera[:3, :3].T + camera.world_from_camera[:3, 3]
    pixels = second_camera.project(world)
    expected = (world - second_camera.world_from_camera[:3, 3]) @ second_camera.world_from_camera[:3, 2]
    second_height, second_width = second_depth.shape
    depth_pixels = pixels * (second_width / second_camera.width, second_height / second_camera.height)
    values, weights = corners(1 / second_depth, depth_pixels)
    smooth = np.ptp(values, axis=-1) < 0.02 * values.min(axis=-1)
    stated = np.where(smooth, 1 / (values * weights).sum(axis=-1), np.nan)
    return Projected(first_pixels, pixels, expected, stated)


def test_files_are_small_and_complete() -> None:
    files = [path for path in SAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 3 * MEGABYTE
    assert {path.name for path in (SAMPLE / "photos").iterdir()} == set(RECORDS)
    assert 10 <= len(RECORDS) <= 12


@pytest.mark.parametrize("name", RECORDS)
def test_exif_states_orientation_and_a_focal_prior(name: str) -> None:
    record, stored = RECORDS[name], Image.open(SAMPLE / "photos" / name)
    exif = stored.getexif()
    portrait = record["height"] > record["width"]
    assert stored.width > stored.height, "a camera stores its sensor's rows"
    assert exif[ExifTags.Base.Orientation] == (6 if portrait else 1)
    assert ImageOps.exif_transpose(stored).size == (record["width"], record["height"])
    details = exif.get_ifd(ExifTags.IFD.Exif)
    prior = details[ExifTags.Base.FocalLengthIn35mmFilm] / 36 * max(stored.size)
    assert 0.001 < abs(prior / record["fx"] - 1) < 0.02
    assert ExifTags.Base.DateTimeOriginal in details


def test_exactly_one_photo_is_portrait() -> None:
    assert [record["height"] > record["width"] for record in RECORDS.values()].count(True) == 1


@pytest.mark.parametrize("name", RECORDS)
def test_poses_are_rigid_and_depth_covers_all_but_sky(name: str) -> None:
    rotation = camera_of(name).world_from_camera[:3, :3]
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) > 0
    assert np.isfinite(depth_of(name)).mean() > 0.9


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_depth_lands_on_the_neighbours_depth(first: str, second: str) -> None:
    carried = projected(first, second)
    record = RECORDS[second]
    inside = ((carried.pixels > 0) & (carried.pixels < (record["width"], record["height"]))).all(axis=-1)
    difference = np.abs(carried.stated_depth / carried.expected_depth - 1)
    assert inside.mean() > 0.6, "neighbours overlap"
    assert carried.visible[inside].mean() > 0.6, "most of the overlap is seen by both"
    assert np.median(difference[carried.visible]) < 0.0005


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_neighbours_show_the_same_colours_to_a_twentieth_of_a_pixel(first: str, second: str) -> None:
    """One step of Lucas & Kanade 1981 measures the mean offset that truth leaves between two photos."""
    carried = projected(first, second)
    first_pixels, second_pixels = carried.first_pixels[carried.visible], carried.pixels[carried.visible]
    first_grey, second_grey = sample(grey_of(first), first_pixels), sample(grey_of(second), second_pixels)
    usable = np.isfinite(first_grey) & np.isfinite(second_grey)
    assert np.corrcoef(first_grey[usable], second_grey[usable])[0, 1] > 0.97
    slope = np.stack([sample(image, second_pixels) for image in reversed(np.gradient(grey_of(second)))], axis=-1)
    usable &= np.isfinite(slope).all(axis=-1) & (np.abs(first_grey - second_grey) < 40)
    terms = np.concatenate([slope, first_grey[:, None], np.ones((len(first_grey), 1))], axis=-1)[usable]
    offset = np.linalg.lstsq(terms, second_grey[usable], rcond=None)[0][:2]
    assert np.abs(offset).max() < 0.05
