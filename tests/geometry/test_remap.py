"""Undistorted pictures are, to a fraction of a pixel, those of an ideal pinhole camera."""

from __future__ import annotations

import zlib  # noqa: F401  (pycolmap brings a zlib of its own; Python's must be loaded first)

import numpy as np
import pycolmap
import pytest

from tests.lensed import DISTORTIONS, HEIGHT, WIDTH, camera, centres, covered, pattern, taken
from threer_blender.geometry import remap
from threer_blender.model import lens
from threer_blender.model.lens import NO_DISTORTION, Distortion
from threer_blender.model.reconstruction import Camera


@pytest.mark.parametrize("distortion", DISTORTIONS, ids=str)
def test_undistorting_gives_the_ideal_picture(distortion: Distortion) -> None:
    lensed = camera(distortion)
    picture = remap.undistorted(
        taken(lensed), lensed.fx, lensed.fy, lensed.cx, lensed.cy, distortion, lensed.intrinsics, (WIDTH, HEIGHT)
    )
    ideal = centres(WIDTH, HEIGHT)
    error = (picture - pattern(ideal))[covered(lensed, ideal, 2)]
    assert len(error) > 0.6 * WIDTH * HEIGHT
    assert np.abs(error).max() < 4
    assert np.abs(error).mean() < 0.6  # two roundings to 8 bits alone make 0.35
    assert np.abs(error.mean(axis=0)).max() < 0.05


@pytest.mark.parametrize("factor", [0.5, 0.31])
def test_shrinking_while_undistorting_keeps_geometry(factor: float) -> None:
    lensed = camera(DISTORTIONS[1])
    smaller = lensed.intrinsics * factor
    smaller[2, 2] = 1
    size = (round(WIDTH * factor) - 7, round(HEIGHT * factor) + 5)
    picture = remap.undistorted(
        taken(lensed), lensed.fx, lensed.fy, lensed.cx, lensed.cy, lensed.distortion, smaller, size
    )
    assert picture.shape == (size[1], size[0], 3)
    ideal = centres(*size) / factor
    visible = covered(lensed, ideal, 12)
    # Shrinking dampens waves of 20 to 40 pixels but may not shift them.
    for channel in range(3):
        actual, expected = picture[visible][:, channel] - 128.0, pattern(ideal)[visible][:, channel] - 128
        assert np.corrcoef(actual, expected)[0, 1] > 0.998
        for half_step in 0.5 * np.eye(2):
            slope = (pattern(ideal + half_step) - pattern(ideal - half_step))[visible][:, channel]
            gain = (actual @ expected) / (expected @ expected)
            shift = (actual - gain * expected) @ slope / (slope @ slope)
            assert abs(shift) < 0.02  # pixels of the photo


def test_shrinking_does_not_alias() -> None:
    """Stripes too fine for the small picture become their mean instead of wider stripes."""
    stripes = np.zeros((400, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    small = np.array([[125.0, 0, 75], [0, 125, 50], [0, 0, 1]])
    picture = remap.undistorted(stripes, 500.0, 500.0, 300.0, 200.0, DISTORTIONS[0], small, (150, 100))
    assert np.abs(picture[20:-20, 20:-20].astype(float) - 127.5).max() < 6


def test_a_smaller_copy_of_a_photo_gives_the_same_ideal_picture() -> None:
    """The edge between a black and a white part stays at the same place, whichever copy of the photo is undistorted."""
    photo = np.zeros((200, 300, 3), np.uint8)
    photo[:, 160:] = 255
    taken_by = Camera("", 300, 200, 250.0, 250.0, 150.0, 100.0, np.eye(4), Distortion("SIMPLE_RADIAL", (-0.1,)))
    intrinsics = np.array([[100.0, 0, 60], [0, 100, 40], [0, 0, 1]])
    whole, half = (
        remap.ideal_picture_of(photo[::step, ::step], taken_by, intrinsics, (120, 80)).astype(float) for step in (1, 2)
    )
    assert np.abs(whole.mean(axis=(1, 2)) - half.mean(axis=(1, 2))).max() < 2


def test_nothing_changes_without_a_lens() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    intrinsics = np.array([[90.0, 0, 33.3], [0, 95, 21.1], [0, 0, 1]])
    same = remap.undistorted(picture, 90.0, 95.0, 33.3, 21.1, NO_DISTORTION, intrinsics, (70, 50))
    assert (same == picture).all()
    intrinsics[:2, 2] += (3, -2)
    moved = remap.undistorted(picture, 90.0, 95.0, 33.3, 21.1, NO_DISTORTION, intrinsics, (70, 50))
    assert (moved[:-2, 3:] == picture[2:, :-3]).all()
    assert (moved[:, :3] == 0).all()


def test_beyond_the_fold_of_the_lens_it_is_black() -> None:
    """A wide pinhole view through a lens model that folds over shows the photo once, without a ring of ghosts."""
    distortion = Distortion("RADIAL", (-0.3, 0.0))
    white = np.full((200, 200, 3), 255, np.uint8)
    wide = np.array([[30.0, 0, 150], [0, 30, 150], [0, 0, 1]])
    picture = remap.undistorted(white, 150.0, 150.0, 100.0, 100.0, distortion, wide, (300, 300))
    radius = np.linalg.norm(centres(300, 300) - 150, axis=-1) / 30
    assert (picture[radius > lens.valid_radius(distortion)] == 0).all()
    assert (picture[radius < 0.7] == 255).all()


COLMAPS = [each for each in (*DISTORTIONS, NO_DISTORTION) if hasattr(pycolmap.CameraModelId, each.model)]


@pytest.mark.parametrize("distortion", COLMAPS, ids=str)
def test_lens_formulas_are_those_of_colmap(distortion: Distortion) -> None:
    focals = {"SIMPLE_RADIAL": 1, "RADIAL": 1}.get(distortion.model, 2)
    params = [700.0, 700.0][:focals] + [330.0, 210.0, *distortion.params]
    theirs = pycolmap.Camera(model=distortion.model, width=WIDTH, height=HEIGHT, params=params)
    points = np.random.default_rng(2).uniform(-0.55, 0.55, (500, 2))
    ours = Camera("", WIDTH, HEIGHT, 700.0, 700.0, 330.0, 210.0, np.eye(4), distortion)
    homogeneous = np.concatenate([points, np.ones((500, 1))], axis=1)
    pixels = np.array([theirs.img_from_cam(point) for point in homogeneous])
    assert np.abs(ours.project(homogeneous) - pixels).max() < 1e-9
    back = np.array([theirs.cam_from_img(pixel) for pixel in pixels])
    assert np.abs(ours.rays(pixels)[:, :2] - back[:, :2]).max() < 1e-7
