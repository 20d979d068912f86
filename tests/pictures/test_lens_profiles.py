"""Sensors and distortions of Lensfun's data base: published sizes, and Lensfun's own correction of a lens."""

import lensfunpy
import numpy as np
import pytest

from threer_blender.model import lens
from threer_blender.model.errors import UserError
from threer_blender.pictures import lens_profiles


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [
        ("canon eos 5d mark iii", 36.0, 24.0),
        ("DC-GH5", 17.3, 13.0),
        ("X-T4", 23.5, 15.6),
        ("Canon EOS 80D", 22.3, 14.9),
    ],
)
def test_sensors_are_as_large_as_their_makers_say(name: str, width: float, height: float) -> None:
    sensor = lens_profiles.sensor(name)
    assert sensor.width == pytest.approx(width, rel=0.015)
    assert sensor.height == pytest.approx(height, rel=0.015)


@pytest.mark.parametrize("name", ["ARRI Alexa Mini", "no such camera", "", "Sony A7 III"])
def test_a_camera_that_is_not_known_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="knows no camera"):
        lens_profiles.sensor(name)


@pytest.mark.parametrize("millimetres", [24.0, 33.0])
def test_a_lens_distorts_as_lensfun_says(millimetres: float) -> None:
    """Lensfun's own undistortion of a picture of 600 × 400 pixels."""
    size = (600, 400)
    solved = lens_profiles.profile("Canon EOS 5D Mark III", "Canon EF 24-105mm f/4L IS USM", millimetres, size)
    database = lensfunpy.Database()
    camera = database.find_cameras("Canon", "Canon EOS 5D Mark III")[0]
    theirs = database.find_lenses(camera, "Canon", "Canon EF 24-105mm f/4L IS USM")[0]
    modifier = lensfunpy.Modifier(theirs, camera.crop_factor, *size)
    modifier.initialize(millimetres, 8.0, 1000.0, scale=1.0)
    lensfun_pixels = modifier.apply_geometry_distortion()  # (H, W, 2): where each corrected pixel lies in the picture
    focal = millimetres / 36 * size[0]
    y, x = np.mgrid[0:400:40, 0:600:40]
    ideal = np.stack([x - 299.5, y - 199.5], axis=-1) / focal
    ours = lens.distort(solved.distortion, ideal) * focal * solved.scale + (299.5, 199.5)
    assert np.abs(ours - lensfun_pixels[y, x]).max() < max(0.6, 3 * solved.residual)
    assert np.abs(lensfun_pixels[y, x] - np.stack([x, y], axis=-1)).max() > 2.0
    assert solved.residual < 1.0


def test_lenses_that_are_not_known_are_refused() -> None:
    with pytest.raises(UserError, match="knows no lens"):
        lens_profiles.profile("X-T4", "a lens of glass", 35.0, (600, 400))
    with pytest.raises(UserError, match="enter it"):
        lens_profiles.profile("Canon EOS 5D Mark III", "Canon EF 24-105mm f/4L IS USM", 0.0, (600, 400))
