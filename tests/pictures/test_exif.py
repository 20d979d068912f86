"""The lens by EXIF. Where EXIF may be wrong, no value is taken from it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
from PIL import TiffImagePlugin

from tests.pictures.saved import Warned, read_one, save, scene, tags
from threer_blender.pictures import exif, photos


def test_focal_from_the_35_mm_equivalent(tmp_path: Path) -> None:
    """A 3:2 full-frame photo with a 50 mm lens: 36 mm across the width, whichever way the camera was held."""
    exif = {"FocalLength": 50.0, "FocalLengthIn35mmFilm": 50}
    flat = read_one(save(tmp_path / "flat.jpg", scene(360, 240), exif=tags(**exif)))
    assert flat.focal == pytest.approx(500)
    assert flat.sensor_width == pytest.approx(36)
    tall = read_one(save(tmp_path / "tall.jpg", scene(360, 240), exif=tags(Orientation=6, **exif)))
    assert (tall.width, tall.height) == (240, 360)
    assert tall.focal == pytest.approx(500)
    assert tall.sensor_width == pytest.approx(24)


def test_focal_of_a_phone_goes_by_the_diagonal(tmp_path: Path) -> None:
    """4:3 sensor of 5.6 × 4.2 mm (diagonal 7.0) behind 4.2 mm: sold as 26 mm."""
    phone = save(tmp_path / "phone.jpg", scene(400, 300), exif=tags(FocalLength=4.2, FocalLengthIn35mmFilm=26))
    photo = read_one(phone)
    assert photo.focal == pytest.approx(4.2 / 5.6 * 400, rel=0.01)
    assert photo.sensor_width == pytest.approx(5.6, rel=0.01)


@pytest.mark.parametrize(("unit", "per_mm"), [(2, 25.4), (3, 10), (4, 1), (5, 0.001)])
@pytest.mark.parametrize("orientation", [1, 8])
def test_focal_from_the_focal_plane(tmp_path: Path, unit: int, per_mm: float, orientation: int) -> None:
    """A 22.3 mm wide sensor of 4752 pixels, its picture shrunk to 360, behind a 35 mm lens."""
    exif = tags(
        Orientation=orientation,
        FocalLength=35.0,
        FocalPlaneXResolution=TiffImagePlugin.IFDRational(round(4752 / 22.3 * per_mm * 10**6), 10**6),
        FocalPlaneResolutionUnit=unit,
        ExifImageWidth=4752,
        ExifImageHeight=3168,
    )
    photo = read_one(save(tmp_path / "slr.jpg", scene(360, 240), exif=exif))
    assert photo.focal == pytest.approx(360 * 35 / 22.3, rel=1e-3)
    assert photo.sensor_width == pytest.approx(22.3 if orientation == 1 else 22.3 / 1.5, rel=1e-3)


@pytest.mark.parametrize(
    "exif",
    [
        {},
        {"FocalLength": 50.0},
        {"FocalLength": 0.0, "FocalLengthIn35mmFilm": 0},
        {"FocalLengthIn35mmFilm": 60000},
        {"FocalLength": 4.0, "FocalPlaneXResolution": TiffImagePlugin.IFDRational(0, 0)},
    ],
)
def test_no_focal_is_better_than_a_wrong_one(tmp_path: Path, exif: dict[str, object]) -> None:
    photo = read_one(save(tmp_path / "plain.jpg", scene(), exif=tags(**exif)))
    assert photo.focal is None
    assert photo.sensor_width is None


def test_a_digital_zoom_that_the_equivalent_leaves_out_is_counted(tmp_path: Path) -> None:
    """The equivalent stays 36 mm while the zoom changes, so it is that of the whole sensor: 1 × and 1.6 × 360 px."""
    for number, zoom in enumerate((1.0, 1.6)):
        exif = tags(FocalLength=6.0, FocalLengthIn35mmFilm=36, DigitalZoomRatio=zoom)
        save(tmp_path / f"{number}.jpg", scene(360, 240, seed=number), exif=exif)
    wide, zoomed = photos.read(sorted(tmp_path.glob("*.jpg")), Warned()).accepted
    assert wide.focal == pytest.approx(360)
    assert zoomed.focal == pytest.approx(576)
    assert zoomed.sensor_width == pytest.approx(6.0 / 1.6)


def test_a_digital_zoom_that_the_equivalent_contains_is_not_counted_twice(tmp_path: Path) -> None:
    for number, (zoom, film) in enumerate([(1.0, 36), (1.6, 58), (0.0, 36)]):
        exif = tags(FocalLength=6.0, FocalLengthIn35mmFilm=film, DigitalZoomRatio=zoom)
        save(tmp_path / f"{number}.jpg", scene(360, 240, seed=number), exif=exif)
    focals = [photo.focal for photo in photos.read(sorted(tmp_path.glob("*.jpg")), Warned()).accepted]
    assert focals == pytest.approx([360, 580, 360])


@pytest.mark.parametrize(
    ("size", "focal"),
    [
        ((360, 240), 360),  # the whole picture, shrunk to a tenth
        ((240, 360), 360),  # and turned without a word
        ((2400, 2400), 3600),  # a square out of it, not shrunk
        ((3500, 2200), 3600),
        ((240, 240), None),  # a square out of it, shrunk; how far, nothing tells
    ],
)
def test_a_crop_keeps_the_focal_length_of_the_whole_picture(
    size: tuple[int, int], focal: float | None, tmp_path: Path
) -> None:
    exif = tags(FocalLength=36.0, FocalLengthIn35mmFilm=36, ExifImageWidth=3600, ExifImageHeight=2400)
    photo = read_one(save(tmp_path / "crop.jpg", scene(*size), exif=exif))
    assert photo.focal == (None if focal is None else pytest.approx(focal))


def test_the_sensor_of_a_named_camera_gives_the_focal_length() -> None:
    tags = exif.lens_tags({0x010F: "FUJIFILM", 0x0110: "X-T4\0", 0x920A: 23.5})
    assert tags.camera == "FUJIFILM X-T4"
    # The lens of 23.5 mm is as long as the sensor of an X-T4 is wide, so the focal length is the picture's width.
    assert exif.focal_for_sensor(23.5, tags, 600, 400) == pytest.approx(600)
    assert exif.lens_tags({0x010F: "Canon", 0x0110: "Canon EOS 80D"}).camera == "Canon EOS 80D"
    assert exif.focal_for_sensor(23.5, exif.lens_tags({}), 600, 400) is None


ODD = (0, -1, 1, 5, 65535, (1, 2), "50", "", b"\0\1", "nan", 3.5, "x" * 5000, *itertools.starmap(
    TiffImagePlugin.IFDRational, [(0, 0), (1, 0), (-5, 3), (50, 1)]
))  # fmt: skip
TAGS = (
    "FocalLength", "FocalLengthIn35mmFilm", "DigitalZoomRatio", "ExifImageWidth", "ExifImageHeight", "Make", "Model",
    "FocalPlaneXResolution", "FocalPlaneYResolution", "FocalPlaneResolutionUnit", "LensModel", "LensSpecification",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_tags_of_any_type_leave_the_photo_readable(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    values = {name: draw.choice(ODD) for name in draw.sample(TAGS, 6)}
    photo = read_one(save(tmp_path / "a.jpg", scene(), exif=tags(**values)))
    assert photo.focal is None or 0.2 <= photo.focal / photo.width <= 50
    assert photo.sensor_width is None or photo.sensor_width > 0
