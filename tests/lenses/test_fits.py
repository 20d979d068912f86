"""One lens model fitted to another: exact where it can be, and its residual is the one it reports."""

import numpy as np
import pytest

from threer_blender.lenses import fits
from threer_blender.model import lens
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

LENSES = {
    "OPENCV": (-0.25, 0.05, 1e-3, -5e-4),
    "OPENCV_FISHEYE": (-0.02, 0.004, -0.003, 0.0005),
    "DIVISION": (-0.15,),
    "TDE_RADIAL_4": (0.75, 0.12, 1e-3, -1e-3, 0.05, 0.0, 0.0, 0.0, 0.0),
}


def filmed(model: str, params: tuple[float, ...], fx: float = 500) -> Camera:
    return Camera("plate", 640, 360, fx, 500, 322, 178, np.eye(4), Distortion(model, params))


@pytest.mark.parametrize("model", LENSES)
def test_a_richer_model_is_an_exact_copy(model: str) -> None:
    """Each model, fitted to itself, gives the parameters back; Brown's, which holds OpenCV's, gives the same lens."""
    camera = filmed(model, LENSES[model])
    assert fits.fit(camera, model).distortion == camera.distortion
    if model == "OPENCV":
        copy = fits.fit(camera, "BROWN")
        assert copy.rms < 1e-6
        assert copy.distortion.params == pytest.approx((-0.25, 0.05, 0, 0, 1e-3, -5e-4), abs=1e-6)


@pytest.mark.parametrize("target", ["BROWN", "OPENCV_FISHEYE", "DIVISION", "TDE_RADIAL_4", "TDE_ANAMORPHIC_4"])
@pytest.mark.parametrize("source", LENSES)
def test_the_residual_is_the_distance_in_the_plate(source: str, target: str) -> None:
    """Measured again on other points than the fit's, from ideal rays: no worse than it says, and no better by luck."""
    camera = filmed(source, LENSES[source])
    fit = fits.fit(camera, target)
    rng = np.random.default_rng(3)
    pixels = rng.uniform((0, 0), (640, 360), (4000, 2))
    rays = camera.rays(pixels)[:, :2]
    again = lens.distort(fit.distortion, rays) * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    distance = np.linalg.norm(again - pixels, axis=1)
    assert fit.covered == 1
    assert distance.max() <= fit.worst * 1.05 + 1e-9
    assert np.sqrt((distance**2).mean()) <= fit.rms * 1.1 + 1e-9  # the grid has the corners, which are worst
    assert np.sqrt((distance**2).mean()) >= fit.rms * 0.5
    assert fit.rms < 1.0


def test_no_parameters_nearby_fit_better() -> None:
    camera = filmed("OPENCV", LENSES["OPENCV"])
    fit = fits.fit(camera, "TDE_RADIAL_4")
    for i in range(1, 7):
        for step in (-1e-3, 1e-3):
            params = list(fit.distortion.params)
            params[i] += step
            assert fits.measured(camera, Distortion("TDE_RADIAL_4", tuple(params))).rms > fit.rms


def test_a_squeezed_plate_keeps_its_pixel_aspect() -> None:
    camera = Camera("plate", 914, 778, 500, 1000, 457, 389, np.eye(4), Distortion("RADIAL", (-0.1, 0.02)))
    fit = fits.fit(camera, "TDE_ANAMORPHIC_4")
    names = dict(zip(lens.MODELS["TDE_ANAMORPHIC_4"], fit.distortion.params, strict=True))
    assert names["pixel_aspect"] == 2
    assert names["diagonal"] == pytest.approx(np.hypot(914 / 500, 778 / 1000) / 2)
    assert fit.rms < 0.1


def test_where_the_lens_shows_nothing_the_cover_says_so() -> None:
    folded = Camera("plate", 640, 360, 400, 400, 320, 180, np.eye(4), Distortion("SIMPLE_RADIAL", (-0.25,)))
    fit = fits.fit(folded, "TDE_RADIAL_4")
    assert 0.5 < fit.covered < 1
