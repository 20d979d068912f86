"""Lenses by the names of camera and lens, in pixels of the photo."""

import pytest

from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.worker import known_lenses

PHOTO = Photo("plate 1001", "plate", 6000, 4000, "", frame=1001)
CANON = {"camera": "Canon EOS 5D Mark III", "focal": 24.0}


def test_a_camera_says_how_wide_its_sensor_is() -> None:
    heard: list[str] = []
    (photo,) = known_lenses.applied([PHOTO], {"camera": "X-T4", "focal": 23.5}, heard.append)
    assert photo.focal == pytest.approx(6000, rel=0.01)
    assert heard == ["X-T4: the sensor is 23.5 mm wide."]


def test_a_lens_says_how_it_distorts() -> None:
    heard: list[str] = []
    named = {**CANON, "lens_name": "Canon EF 24-105mm f/4L IS USM", "known_lens": "held"}
    (photo,) = known_lenses.applied([PHOTO], named, heard.append)
    assert photo.lens.held
    assert photo.lens.distortion is not None
    assert photo.lens.distortion.params[0] < -0.02
    assert photo.lens.focal == pytest.approx(4000, rel=0.05)
    assert any("at 24 mm: k1 -0" in sentence for sentence in heard)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(UserError, match="A lens is named but no camera"):
        known_lenses.applied([PHOTO], {"lens_name": "EF 24-105mm"}, lambda _sentence: None)
    with pytest.raises(UserError, match="enter it"):
        known_lenses.applied([PHOTO], {**CANON, "focal": 0.0, "lens_name": "EF 24-105mm f/4L"}, lambda _sentence: None)
