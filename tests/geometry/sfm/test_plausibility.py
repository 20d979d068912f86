"""Lenses that nobody would believe are refused, doubtful ones carry a warning, real ones pass without a word."""

import numpy as np
import pycolmap
import pytest

from threer_blender.geometry.sfm.plausibility import lens_fault, warnings
from threer_blender.model.reconstruction import Photo

WIDTH, HEIGHT = 1600, 1200
PHOTO = Photo("a.jpg", "a.jpg", 3200, 2400, "")


def camera(focal: float, k1: float = 0.0) -> pycolmap.Camera:
    """A lens of `focal` widths of the picture."""
    lens = pycolmap.Camera.create_from_model_name(1, "SIMPLE_RADIAL", focal * WIDTH, WIDTH, HEIGHT)
    lens.params = [*lens.params[:3], k1]
    return lens


@pytest.mark.parametrize(
    ("focal", "k1"),
    [
        (0.5, -0.08),  # a wide zoom of 90 degrees
        (0.8, 0.01),
        (1.2, 0.0),
        (2.4, -0.5),  # a long lens, whose picture is too narrow for a large k1 to matter
    ],
)
def test_lenses_of_cameras_pass_without_a_word(focal: float, k1: float) -> None:
    assert lens_fault(camera(focal, k1), PHOTO, enough_points=False) == ""
    assert warnings({"a.jpg": camera(focal, k1)}, 0.7, 1) == []


@pytest.mark.parametrize(("focal", "degrees"), [(0.28, 121.5), (0.07, 164), (29.0, 1.98), (100.0, 0.6)])
def test_no_number_of_points_makes_a_field_of_view_believable(focal: float, degrees: float) -> None:
    assert 2 * np.degrees(np.arctan(0.5 / focal)) == pytest.approx(degrees, abs=0.5)
    assert "field of view" in lens_fault(camera(focal), PHOTO, enough_points=True)


def test_exif_makes_a_wide_lens_believable_and_contradicts_a_wrong_one() -> None:
    wide = Photo("a.jpg", "a.jpg", 3200, 2400, "", focal=0.27 * 3200)
    assert lens_fault(camera(0.28), wide, enough_points=False) == ""
    assert "photo's own" in lens_fault(camera(0.5), wide, enough_points=True)


def test_an_unusual_focal_length_needs_points() -> None:
    """A turntable is filmed through a long lens of 5.2 widths of the picture, which sees 11 degrees."""
    assert lens_fault(camera(5.2), PHOTO, enough_points=True) == ""
    assert lens_fault(camera(5.2), PHOTO, enough_points=False) == "unusual focal length"


@pytest.mark.parametrize(
    ("focal", "k1"),
    [
        (0.5, -0.4),  # shows nothing beyond 0.61 focal lengths, and the upper edge is at 0.75
        (0.5, 1.5),
    ],
)
def test_absurd_distortion_is_refused(focal: float, k1: float) -> None:
    assert "distortion" in lens_fault(camera(focal, k1), PHOTO, enough_points=True)


def test_a_lens_that_folds_in_the_corners_is_named() -> None:
    """The lens shows nothing beyond 0.77 focal lengths from the middle. The upper edge is at 0.6, a corner at 1."""
    folding = camera(0.625, -0.25)
    assert lens_fault(folding, PHOTO, enough_points=True) == ""
    (sentence,) = warnings({"a.jpg": folding}, 0.5, 1)
    assert "corners of a.jpg" in sentence


def test_strong_pincushion_error_and_few_photos_are_told_worst_first() -> None:
    cameras = {f"{number}.jpg": camera(1.0, 0.3) for number in range(5)}
    few, error, lens = warnings(cameras, 1.5, 16)
    assert "Only 5 of 16" in few
    assert "3 times the usual" in error
    assert "lens of 0.jpg, 1.jpg and 3 more" in lens
    assert warnings({"a.jpg": camera(1.0)}, 0.5, 2) == []
