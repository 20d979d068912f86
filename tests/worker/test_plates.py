"""Plates: to a fraction of a pixel what an ideal pinhole camera sees, and where the camera says."""

from __future__ import annotations

import zlib  # noqa: F401  (pycolmap brings a zlib of its own; Python's must be loaded first)
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, JpegImagePlugin

from tests.lensed import DISTORTIONS, HEIGHT, WIDTH, camera, centres, covered, taken, world_points
from threer_blender.model.arrays import Array
from threer_blender.model.errors import Cancelled, UserError
from threer_blender.model.lens import NO_DISTORTION, Distortion
from threer_blender.model.reconstruction import Photo, Reconstruction
from threer_blender.pictures import photos
from threer_blender.worker import plates


def silent(*_: object) -> None:
    """Hears what the artist would."""


def spots(actual: Array) -> Array:
    """(HEIGHT, WIDTH, 3) black picture with a soft white spot of 2 pixels at each place (N, 2)."""
    x, y = np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5
    rows = np.exp(-0.5 * ((y[:, None] - actual[:, 1]) / 2.0) ** 2)
    columns = np.exp(-0.5 * ((x[:, None] - actual[:, 0]) / 2.0) ** 2)
    total = rows @ columns.T
    return np.repeat((240 * total).round().clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def centroids(picture: Array, near: Array) -> Array:
    """(N, 2) centre of mass of the light within 9 pixels of each place (N, 2)."""
    pixels, light = centres(picture.shape[1], picture.shape[0]), picture[..., 0].astype(float)
    collected = []
    for place in near:
        x, y = np.maximum(place.astype(int) - 10, 0)
        window = np.s_[y : y + 21, x : x + 21]
        weight = light[window] * (np.linalg.norm(pixels[window] - place, axis=-1) < 9)
        weight[weight < 4] = 0  # JPEG's ringing
        collected.append((pixels[window] * weight[..., None]).sum(axis=(0, 1)) / weight.sum())
    return np.array(collected)


def photographed(path: Path, picture: Array, orientation: int = 1) -> Photo:
    """Save an upright picture the way a camera that was held like that does, and read it as the artist's photo."""
    stored = np.ascontiguousarray(np.rot90(picture, {1: 0, 3: 2, 6: 1, 8: -1}[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options: dict[str, Any] = {} if path.suffix == ".png" else {"quality": 97}
    Image.fromarray(stored).save(path, exif=exif.tobytes(), **options)
    return photos.read([path], silent).accepted[0]


@pytest.mark.parametrize("distortion", DISTORTIONS, ids=str)
@pytest.mark.parametrize("orientation", [1, 8])
def test_points_fall_where_the_camera_says(tmp_path: Path, distortion: Distortion, orientation: int) -> None:
    """With its distortion in the photo, without it in the plate: both to 0.05 px."""
    lensed = camera(distortion)
    ideal = np.stack(np.meshgrid(np.linspace(40, 600, 8), np.linspace(40, 380, 6)), axis=-1).reshape(-1, 2)
    ideal += np.random.default_rng(5).uniform(-5, 5, ideal.shape)
    points = world_points(lensed, ideal, np.random.default_rng(6).uniform(1, 9, len(ideal)))
    points = points[covered(lensed, ideal, 12)]
    in_photo = lensed.project(points)
    in_plate = replace(lensed, distortion=NO_DISTORTION).project(points)
    assert np.linalg.norm(in_photo - in_plate, axis=-1).max() > 4  # the lens really bends
    picture = spots(in_photo)
    photo = photographed(tmp_path / "dots.png", picture, orientation)
    plated = plates.write(lensed, photo, 3, tmp_path / "plates")
    assert replace(plated, undistorted="") == lensed
    with Image.open(tmp_path / plated.undistorted) as plate:
        written = np.asarray(plate)
    assert written.shape == picture.shape
    assert np.linalg.norm(centroids(photos.pixels(photo), in_photo) - in_photo, axis=-1).max() < 0.05
    assert np.linalg.norm(centroids(written, in_plate) - in_plate, axis=-1).max() < 0.05


def test_straight_lines_are_straight_in_the_plate(tmp_path: Path) -> None:
    """A soft-edged bright bar between two 3D points near the frame's edge, traced column by column."""
    lensed = camera(DISTORTIONS[3])
    ends = world_points(lensed, np.array([[30.0, 30.0], [610.0, 55.0]]), np.array([2.0, 7.0]))
    along = ends[0] + np.linspace(0, 1, 4000)[:, None] * (ends[1] - ends[0])
    traced = lensed.project(along)
    row = np.interp(np.arange(WIDTH) + 0.5, traced[:, 0], traced[:, 1])
    distance = centres(WIDTH, HEIGHT)[..., 1] - row
    bar = (240 * np.exp(-0.5 * (distance / 2.0) ** 2)).round().astype(np.uint8)
    photo = photographed(tmp_path / "bar.png", np.repeat(bar[..., None], 3, axis=-1))

    def bow(picture: Array) -> float:
        """The largest distance of the bar's middle from the straight line that fits it best."""
        light = picture[:120, 60:580, 0].astype(float)
        light[light < 20] = 0
        middle = (light * (np.arange(120) + 0.5)[:, None]).sum(axis=0) / light.sum(axis=0)
        columns = np.arange(len(middle))
        return float(np.abs(middle - np.polyval(np.polyfit(columns, middle, 1), columns)).max())

    plated = plates.write(lensed, photo, 0, tmp_path / "plates")
    with Image.open(tmp_path / plated.undistorted) as plate:
        assert bow(np.asarray(plate)) < 0.1
    assert bow(photos.pixels(photo)) > 3


def test_a_photo_that_blender_shows_as_it_is_needs_no_plate(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.tif"):
        photo = photographed(tmp_path / name, taken(camera(NO_DISTORTION)))
        straight = camera(NO_DISTORTION)
        assert plates.write(straight, photo, 0, tmp_path / "plates") is straight
    assert not (tmp_path / "plates").exists()


FOREIGN = [("a.jpg", 6), ("a.png", 3), ("a.heic", 1), ("a.heic", 8), ("a.avif", 1)]


@pytest.mark.parametrize(("name", "orientation"), FOREIGN)
def test_turned_and_foreign_photos_get_a_plate(tmp_path: Path, name: str, orientation: int) -> None:
    picture = taken(camera(NO_DISTORTION))
    path = tmp_path / name
    photo = photographed(path, picture, orientation)
    before = path.read_bytes(), path.stat().st_mtime_ns
    plated = plates.write(camera(NO_DISTORTION), photo, 12, tmp_path / "plates")
    assert plated.undistorted == "plates/0012_a.jpg"
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    with Image.open(tmp_path / plated.undistorted) as plate:
        assert (plate.format, plate.mode, plate.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
        assert not plate.getexif()
        assert "icc_profile" not in plate.info
        assert JpegImagePlugin.get_sampling(plate) == 0  # 4:4:4
        assert np.abs(np.asarray(plate).astype(int) - picture).mean() < 8  # HEIC halves the colour's resolution


@pytest.mark.parametrize(
    ("photo", "expected"),
    [
        ("IMG_1.jpg", "0007_IMG_1.jpg"),
        ('two folders/it\'s "new\nline".heic', "0007_it_s_new_line_.jpg"),
        ("写真 é.png", "0007_写真_é.jpg"),
        ("x" * 250 + ".png", "0007_" + "x" * 40 + ".jpg"),
    ],
)
def test_plate_names_are_safe(photo: str, expected: str) -> None:
    assert plates.plate_name(7, photo) == expected


def solved(tmp_path: Path) -> Reconstruction:
    """Three photos, of which the first and the last have a camera: one with distortion, one without."""
    chosen = [photographed(tmp_path / f"{i}.png", taken(camera(NO_DISTORTION)) // (i + 1)) for i in range(3)]
    cameras = [camera(DISTORTIONS[0], "2.png"), camera(NO_DISTORTION, "0.png")]
    return Reconstruction("test", "", chosen, cameras)


def test_all_plates_keep_the_cameras_order(tmp_path: Path) -> None:
    folder = tmp_path / "plates"
    plated = plates.write_all(solved(tmp_path), folder, silent)
    assert [(c.photo, c.undistorted) for c in plated] == [("2.png", "plates/0002_2.jpg"), ("0.png", "")]
    assert [path.name for path in folder.iterdir()] == ["0002_2.jpg"]


def test_cancelling_stops_between_plates(tmp_path: Path) -> None:
    def cancel(done: float, total: float) -> None:
        assert total == 2
        if done == 1:
            raise Cancelled

    with pytest.raises(Cancelled):
        plates.write_all(solved(tmp_path), tmp_path / "plates", cancel)
    assert len(list((tmp_path / "plates").iterdir())) == 1


def test_a_disk_or_a_photo_that_fails_is_one_sentence(tmp_path: Path) -> None:
    reconstruction = solved(tmp_path)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written to"):
        plates.write_all(reconstruction, tmp_path / "file" / "plates", silent)
    (tmp_path / "0.png").unlink()
    with pytest.raises(UserError, match=r"0\.png"):
        plates.write_all(reconstruction, tmp_path / "plates", silent)
