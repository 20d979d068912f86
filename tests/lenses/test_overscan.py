"""Overscan loses no pixel and is no larger than it must be."""

import numpy as np
import pytest

from threer_blender.lenses.overscan import MARGIN, Overscan, ideal_pixels, overscan, plate_pixels, without_distortion
from threer_blender.model.errors import UserError
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

BARREL = Distortion("OPENCV", (-0.2, 0.03, 1e-3, -5e-4))


def filmed(distortion: Distortion, focal: float = 500, cx: float = 340) -> Camera:
    return Camera("plate", 640, 361, focal, focal, cx, 170, np.eye(4), distortion)


@pytest.mark.parametrize(
    "distortion", [BARREL, Distortion("DIVISION", (-0.2,)), Distortion("OPENCV_FISHEYE", (0.0,) * 4)]
)
def test_every_pixel_of_the_plate_is_inside(distortion: Distortion) -> None:
    camera = filmed(distortion)
    added = overscan([camera])
    ideal = without_distortion(camera, added)
    corners = np.stack(np.meshgrid(np.linspace(0, 640, 161), np.linspace(0, 361, 91)), axis=-1)
    pixels = camera.rays(corners)[..., :2] * (ideal.fx, ideal.fy) + (ideal.cx, ideal.cy)
    assert pixels.min() >= MARGIN
    assert (np.array([ideal.width, ideal.height]) - pixels >= MARGIN).all()
    nearest = np.minimum(pixels.min(axis=(0, 1)), (ideal.width, ideal.height) - pixels.max(axis=(0, 1)))
    assert (nearest < MARGIN + 1).all()
    assert (ideal.width - 640) % 2 == (ideal.height - 361) % 2 == 0
    assert ideal.distortion.is_identity


def test_the_same_ray_meets_the_same_place() -> None:
    """The ideal camera sees a point of the world at the place to which the plate's pixel moves."""
    camera = filmed(BARREL)
    added = overscan([camera])
    ideal = without_distortion(camera, added)
    points = np.random.default_rng(1).uniform((-0.5, -0.3, 1), (0.5, 0.3, 1.2), (50, 3))
    moved = ideal_pixels(camera, camera.project(points)) + (added.across, added.down)
    assert ideal.project(points) == pytest.approx(moved, abs=1e-6)
    assert plate_pixels(camera, ideal_pixels(camera, camera.project(points))) == pytest.approx(camera.project(points))


def test_a_cushion_needs_none() -> None:
    assert overscan([filmed(Distortion("SIMPLE_RADIAL", (0.1,)))]) == Overscan()


def test_a_zoom_needs_the_most_of_its_frames() -> None:
    wide, long = filmed(BARREL, 450), filmed(BARREL, 900, cx=300)
    added = overscan([wide, long])
    alone = [overscan([camera]) for camera in (wide, long)]
    assert added == Overscan(max(each.across for each in alone), max(each.down for each in alone))


def test_a_lens_that_is_too_wide_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="too wide"):
        overscan([filmed(Distortion("OPENCV_FISHEYE", (0.0,) * 4), focal=200)])
