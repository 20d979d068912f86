"""Every lens model of COLMAP, held against pycolmap's own projection."""

import numpy as np
import pytest

from threer_blender.exchange.solves import lens_models
from threer_blender.files.bounded import Damaged
from threer_blender.model import lens

# Model -> its parameters, and the largest distance in pixels of ours from COLMAP's: 0 where the formula is the same.
MODELS: dict[str, tuple[list[float], float]] = {
    "SIMPLE_PINHOLE": ([500, 318, 244], 0),
    "PINHOLE": ([500, 510, 318, 244], 0),
    "SIMPLE_RADIAL": ([500, 320, 240, -0.1], 0),
    "RADIAL": ([500, 320, 240, -0.1, 0.02], 0),
    "OPENCV": ([500, 510, 320, 250, -0.1, 0.02, 0.001, -0.002], 0),
    "OPENCV_FISHEYE": ([300, 310, 320, 240, 0.01, 0.002, -0.001, 0.0002], 0),
    "FULL_OPENCV": ([500, 510, 320, 240, 0.1, 0.02, 0.001, -0.002, 0.01, 0.2, 0.03, 0.01], 1e-4),
    "FOV": ([300, 300, 320, 240, 0.9], 1e-4),
    "SIMPLE_RADIAL_FISHEYE": ([300, 320, 240, 0.05], 0),
    "RADIAL_FISHEYE": ([300, 320, 240, 0.05, 0.01], 0),
    "THIN_PRISM_FISHEYE": ([300, 300, 320, 240, 0.01, 0.002, 5e-4, -3e-4, 0.001, 2e-4, 4e-4, -3e-4], 0.2),
    "RAD_TAN_THIN_PRISM_FISHEYE": (
        [300, 300, 320, 240, 0.05, 0.01, -0.002, 0.001, 2e-4, 1e-4, 5e-4, -3e-4, 4e-4, -3e-4, 1e-4, 2e-4],
        0.3,
    ),
    "SIMPLE_DIVISION": ([500, 320, 240, -0.1], 0),
    "DIVISION": ([500, 510, 320, 240, 0.1], 0),
    "SIMPLE_FISHEYE": ([300, 320, 240], 0),
    "FISHEYE": ([300, 310, 320, 240], 0),
    "EUCM": ([300, 300, 320, 240, 0.6, 1.1], 1e-3),
}


def test_every_model_is_tried() -> None:
    assert set(MODELS) == set(lens_models.COLMAP_MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_colmap_sees_the_same(model: str) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    params, error = MODELS[model]
    points = np.random.default_rng(0).uniform(-0.55, 0.55, (100, 2)) * (1, 0.75)
    theirs = pycolmap.Camera(model=model, width=640, height=480, params=params)
    expected = np.array([theirs.img_from_cam(np.array([*point, 1.0])) for point in points])
    ours = lens_models.colmap_lens(model, 640, 480, params)
    fx, fy, cx, cy = ours.intrinsics(640, 480)
    pixels = lens.distort(ours.distortion, points) * (fx, fy) + (cx, cy)
    assert np.abs(pixels - expected).max() <= max(error, 1e-9)
    assert bool(ours.note) == (error >= 1e-3)


def test_numbers_are_colmaps() -> None:
    pycolmap = pytest.importorskip("pycolmap")
    for number, name in lens_models.COLMAP_NUMBERS.items():
        assert int(getattr(pycolmap.CameraModelId, name)) == number


def test_what_is_no_lens_is_refused() -> None:
    with pytest.raises(Damaged, match="EQUIRECTANGULAR"):
        lens_models.colmap_lens("EQUIRECTANGULAR", 640, 320, [640, 320])
    with pytest.raises(Damaged, match="3 parameters"):
        lens_models.colmap_lens("PINHOLE", 640, 320, [500, 320, 240])
    with pytest.raises(Damaged, match="no lens has"):
        lens_models.colmap_lens("FOV", 640, 320, [500, 500, 320, 240, float("nan")])
