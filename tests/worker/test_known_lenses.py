"""Lenses by the names of camera and lens, in pixels of the photo."""

from pathlib import Path

import numpy as np
import pytest

from threer_blender.files import exr_file
from threer_blender.model.errors import UserError
from threer_blender.model.reconstruction import Photo
from threer_blender.worker import known_lenses

PHOTO = Photo("plate 1001", "plate", 6000, 4000, "")
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


def test_numbers_of_an_anamorphic_lens_are_explained(tmp_path: Path) -> None:
    for name, aspect in (("square", 1.0), ("squeezed", 2.0)):
        exr_file.write(tmp_path / f"{name}.1.exr", np.zeros((48, 32, 3), np.float32), pixel_aspect=aspect)
        photo = Photo(f"{name}.#.exr 1", str(tmp_path / f"{name}.#.exr"), round(32 * aspect), 48, "", frame=1)
        heard: list[str] = []
        (known,) = known_lenses.applied([photo], {"focal": 50.0, "sensor": 40.0}, heard.append)
        assert known.focal == pytest.approx(50 / 40 * max(photo.width, 48))
        assert [("2 times as wide as high" in text, "64 × 48" in text) for text in heard] == [(True, True)] * (
            aspect == 2
        )
        known_lenses.applied([photo], {}, lambda text: pytest.fail(text))
