"""The lens from computed, rendered and real corners of boards, against the truth and OpenCV's published calibration."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import real_data
from threer_blender.geometry.grids import boards, calibration
from threer_blender.model import lens
from threer_blender.model.lens import Distortion

from .rendered import BARREL, CENTRE, FOCAL, HEIGHT, POSES, WIDTH, photo, pose, project

SIZE = (WIDTH, HEIGHT)
PLANE = np.stack(np.meshgrid(np.arange(-5.0, 6), np.arange(-4.0, 5)), axis=-1).reshape(-1, 2)


def computed(distortion: Distortion, noise: float = 0.05, poses: Any = POSES) -> list[boards.Board]:
    """Boards in these poses, as a lens shows them, with `noise` in px."""
    random, views = np.random.default_rng(1), []
    for rotation_vector, translation in poses:
        pixels = project(pose(rotation_vector, translation), PLANE, distortion)
        inside = np.isfinite(pixels).all(axis=1) & ((pixels > 0) & (pixels < SIZE)).all(axis=1)
        cells = PLANE[inside].astype(np.int64) + 3
        views.append(boards.Board(cells, pixels[inside] + noise * random.standard_normal((int(inside.sum()), 2))))
    return views


def lens_error(actual: calibration.Calibration, distortion: Distortion) -> float:
    """The largest distance in px between two lenses' pixels of one ray, in the inner nine tenths of the picture."""
    grid = np.stack(np.meshgrid(np.linspace(-0.45, 0.45, 9) * WIDTH, np.linspace(-0.45, 0.45, 9) * HEIGHT), axis=-1)
    rays = lens.undistort(distortion, grid.reshape(-1, 2) / FOCAL)
    true = lens.distort(distortion, rays) * FOCAL + CENTRE
    other = lens.distort(actual.distortion, rays) * actual.focal + actual.centre
    return float(np.linalg.norm(true - other, axis=1).max())


@pytest.mark.parametrize(
    "distortion",
    [
        Distortion("SIMPLE_RADIAL", (-0.1,)),
        BARREL,
        Distortion("OPENCV", (-0.2, 0.05, 4e-3, -3e-3)),
        Distortion("OPENCV_FISHEYE", (-0.02, 0.01, 0.0, 0.0)),
    ],
)
def test_the_lens_is_the_true_one(distortion: Distortion) -> None:
    actual = calibration.calibrate(computed(distortion), SIZE)
    assert actual.focal == pytest.approx(FOCAL, rel=3e-3)
    assert actual.centre == pytest.approx(CENTRE, abs=1.0)
    assert lens_error(actual, distortion) < 1.2
    assert abs(np.log(actual.focal / FOCAL)) < 4 * actual.focal_deviation
    assert actual.rms == pytest.approx(0.05 * np.sqrt(2), rel=0.15)


def test_rendered_photos_tell_their_lens() -> None:
    pictures = [photo(pose(*view)) for view in POSES[1:]]
    actual = calibration.calibrate([board for picture in pictures for board in boards.find(picture)], SIZE)
    assert actual.focal == pytest.approx(FOCAL, rel=2e-3)
    assert lens_error(actual, BARREL) < 1.0
    assert actual.rms < 0.1


def test_a_known_focal_length_helps_where_all_boards_face_the_camera() -> None:
    facing = (((0.0, 0.0, 0.0), (0.0, 0.0, 9.0)), ((0.0, 0.0, 0.2), (0.3, 0.2, 9.5)))
    alone = calibration.calibrate(computed(BARREL, poses=facing), SIZE)
    assert alone.focal_deviation > 0.02
    known = calibration.calibrate(computed(BARREL, poses=facing), SIZE, known_focal=1.01 * FOCAL)
    assert known.focal == pytest.approx(FOCAL, rel=0.05)
    assert known.focal_deviation < alone.focal_deviation


def test_corners_and_boards_that_do_not_fit_are_left_out() -> None:
    views = computed(BARREL)
    views[0].pixels[5] += 4
    views[3] = boards.Board(views[3].cells[:, ::-1] * (1, 2), views[3].pixels)
    actual = calibration.calibrate(views, SIZE, model="RADIAL")
    assert np.isnan(actual.errors[3])
    assert actual.corners <= actual.all_corners - len(views[3].cells) - 1
    assert actual.focal == pytest.approx(FOCAL, rel=0.01)


@pytest.mark.real_data
def test_real_photos_agree_with_the_published_calibration() -> None:
    """OpenCV's own, of the same photos: 535.9 px, (342.3, 235.6) counted from a pixel's centre, k1 = -0.27."""
    names = sorted((Path(real_data.FOLDER) / "opencv_stereo_chessboard" / "images").glob("left*.jpg"))[::2]
    views = [board for name in names for board in boards.find(np.asarray(Image.open(name).convert("RGB")))]
    assert {len(view.cells) for view in views} <= {54, 55, 56}  # 9 × 6, and up to two that look like corners
    actual = calibration.calibrate(views, (640, 480))
    assert actual.focal == pytest.approx(535.9, rel=0.01)
    assert actual.centre == pytest.approx((342.8, 236.1), abs=4)
    assert actual.distortion.params[0] == pytest.approx(-0.27, abs=0.04)
    assert actual.rms < 0.25  # OpenCV's own file says 0.39
