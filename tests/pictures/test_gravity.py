"""Gimbal angles and GPS, as files have them; what is absent or senseless is none."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import gravity

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a drone-dji:GimbalRollDegree="{roll}" drone-dji:GimbalPitchDegree="{pitch}"/>'
)


def photo(tmp_path: Path, **saved: Any) -> Photo:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (80, 60)).save(path, **saved)
    return Photo(path.name, str(path), 80, 60, "")


@pytest.mark.parametrize(
    ("pitch", "roll", "up"),
    [
        ("+0.00", "+0.00", (0, -1, 0)),
        ("-90.00", "+0.00", (0, 0, -1)),
        ("-30.0", "0", (0, -np.sqrt(0.75), -0.5)),
        ("0", "+30.0", (-0.5, -np.sqrt(0.75), 0)),
    ],
)
def test_gimbal(tmp_path: Path, pitch: str, roll: str, up: Any) -> None:
    sensed = gravity.sensed(photo(tmp_path, xmp=XMP.format(pitch=pitch, roll=roll).encode()))
    assert sensed.up is not None
    assert np.allclose(sensed.up, up)


@pytest.mark.parametrize(("pitch", "roll"), [("0", "180.0"), ("400", "0"), ("steep", "0")])
def test_senseless_gimbals_are_none(pitch: str, roll: str) -> None:
    assert gravity.gimbal_up(XMP.format(pitch=pitch, roll=roll)) is None


def tags(**changed: Any) -> Any:
    place: dict[str, Any] = {"GPSLatitudeRef": "S", "GPSLatitude": (52.0, 30.0, 36.0), "GPSLongitudeRef": "E"}
    place |= {"GPSLongitude": (13.0, 24.0, 0.0), "GPSAltitude": 40.0, "GPSAltitudeRef": b"\x01"}
    return {getattr(ExifTags.GPS, name): value for name, value in (place | changed).items() if value is not None}


def test_gps(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.GPSInfo] = tags()
    sensed = gravity.sensed(photo(tmp_path, exif=exif))
    assert sensed.place is not None
    assert np.allclose(sensed.place, (-52.51, 13.4, -40))
    assert sensed.up is None


@pytest.mark.parametrize("changed", [{"GPSAltitude": None}, {"GPSLatitude": (99.0, 0, 0)}, {"GPSLongitude": ("east",)}])
def test_senseless_places_are_none(changed: Any) -> None:
    assert gravity.gps_place(tags(**changed)) is None


def test_metres_between_places() -> None:
    places = np.array([(52.0, 13.0, 40.0), (52.001, 13.0, 40.0), (52.0, 13.001, 55.0)])
    metres = gravity.metres(places)
    assert metres[1] - metres[0] == pytest.approx((0, 111.2, 0), abs=0.1)
    assert metres[2] - metres[0] == pytest.approx((68.46, 0, 15), abs=0.1)


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"no picture")
    nothing = gravity.sensed(Photo("photo.jpg", str(tmp_path / "photo.jpg"), 80, 60, ""))
    assert nothing == gravity.sensed(Photo("film.mp4", "film.mp4", 80, 60, "", frame=1)) == (None, None)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_in_place_of_the_photo_says_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.jpg")
    assert gravity.sensed(Photo("photo.jpg", str(tmp_path / "photo.jpg"), 80, 60, "")) == (None, None)
