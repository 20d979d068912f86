"""Lenses: both ways through every model, and where a model stops making sense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threer_blender.model import lens
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion

REAL = [
    Distortion("PINHOLE"),
    Distortion("SIMPLE_RADIAL", (-0.12,)),
    Distortion("SIMPLE_RADIAL", (0.25,)),
    Distortion("RADIAL", (-0.28, 0.09)),
    Distortion("RADIAL", (0.05, -0.02)),
    Distortion("RADIAL", (0.375, -0.1875)),
    Distortion("OPENCV", (-0.31, 0.12, 1.5e-3, -8e-4)),
    Distortion("OPENCV", (0.08, -0.15, -2e-3, 3e-3)),
    Distortion("OPENCV_FISHEYE", (0.0, 0.0, 0.0, 0.0)),
    Distortion("OPENCV_FISHEYE", (-0.02, 0.004, -0.003, 0.0005)),
    Distortion("EQUIRECTANGULAR"),
    Distortion("BROWN", (-0.28, 0.09, -0.02, 0.003, 1e-3, -5e-4)),
    Distortion("DIVISION", (-0.2,)),
    Distortion("DIVISION", (0.1,)),
    Distortion("TDE_RADIAL_4", (0.7, 0.05, 1e-3, -2e-3, 0.02, 5e-4, 1e-3, 30.0, 0.01)),
    Distortion(
        "TDE_ANAMORPHIC_4",
        (0.6, 2.0, 0.03, -0.02, 0.01, 0.02, 3e-3, 2e-3, 1e-3, -2e-3, 1e-3, 2e-3, 0.5, 1.01, 0.99),
    ),
]
COLMAP = [d for d in REAL if d.model not in ("BROWN", "TDE_RADIAL_4", "TDE_ANAMORPHIC_4")]


def disc(radius: float) -> Array:
    """(21, 64, 2) points from the centre to `radius`."""
    r, a = np.meshgrid(np.linspace(0, radius, 21), np.linspace(0, 2 * np.pi, 64), indexing="ij")
    return np.stack([r * np.cos(a), r * np.sin(a)], axis=-1)


@pytest.mark.parametrize("distortion", REAL, ids=str)
def test_both_ways_agree_within_the_valid_radius(distortion: Distortion) -> None:
    ideal = disc(min(0.9 * lens.valid_radius(distortion), 1.5 if distortion in COLMAP else 0.8))
    distorted = lens.distort(distortion, ideal)
    assert np.abs(lens.undistort(distortion, distorted) - ideal).max() < 1e-9
    assert np.abs(lens.distort(distortion, lens.undistort(distortion, distorted)) - distorted).max() < 1e-11


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE"]), st.data())
def test_both_ways_agree_for_any_plausible_lens(model: str, data: st.DataObject) -> None:
    largest = {"k1": 0.4, "k2": 0.2, "k3": 0.05, "k4": 0.02, "p1": 0.005, "p2": 0.005}
    params = [data.draw(st.floats(-largest[name], largest[name])) for name in lens.MODELS[model]]
    distortion = Distortion(model, tuple(params))
    ideal = disc(min(0.85 * lens.valid_radius(distortion), 1.2))
    assert np.abs(lens.undistort(distortion, lens.distort(distortion, ideal)) - ideal).max() < 1e-9


def test_known_values() -> None:
    """The values are worked out by hand from the formulas, at (u, v) = (0.6, -0.8), where r = 1."""
    point = np.array([0.6, -0.8])
    assert lens.distort(Distortion("SIMPLE_RADIAL", (-0.1,)), point) == pytest.approx([0.54, -0.72])
    assert lens.distort(Distortion("RADIAL", (-0.1, 0.05)), point) == pytest.approx([0.57, -0.76])
    tangential = lens.distort(Distortion("OPENCV", (0.0, 0.0, 0.01, 0.02)), point)
    expected = [
        0.6 + 2 * 0.01 * 0.6 * -0.8 + 0.02 * (1 + 2 * 0.36),
        -0.8 + 2 * 0.02 * 0.6 * -0.8 + 0.01 * (1 + 2 * 0.64),
    ]
    assert tangential == pytest.approx(expected)
    equidistant = lens.distort(Distortion("OPENCV_FISHEYE", (0.0, 0.0, 0.0, 0.0)), point)
    assert np.hypot(*equidistant) == pytest.approx(math.pi / 4)


def test_known_values_of_models_that_undistort() -> None:
    """The values are worked out by hand from the formulas. Distorted (0.6, -0.8) has r = 1; 3DE's y goes up."""
    point = np.array([0.6, -0.8])
    assert lens.undistort(Distortion("DIVISION", (-0.2,)), point) == pytest.approx([0.75, -1.0])
    radial = Distortion("TDE_RADIAL_4", (1.0, 0.1, 0.01, 0.02, 0.05, 0.0, 0.0, 0.0, 0.0))
    expected = [
        0.6 * 1.15 + 0.01 * (1 + 2 * 0.36) + 2 * 0.02 * 0.6 * 0.8,
        -(0.8 * 1.15 + 0.02 * (1 + 2 * 0.64) + 2 * 0.01 * 0.6 * 0.8),
    ]
    assert lens.undistort(radial, point) == pytest.approx(expected)
    # At 90 degrees, 0.21 stretches by √(1 + 0.21) = 1.1 along y, and shrinks as much along x.
    stretched = Distortion("TDE_RADIAL_4", (1.0, *(0.0,) * 6, 90.0, 0.21))
    assert lens.undistort(stretched, point) == pytest.approx([0.6 / 1.1, -0.8 * 1.1])
    # r² cos 2φ = 0.36 - 0.64 and r⁴ cos 4φ = 2 · 0.28² - 1. The lens halves x, as pixels are squeezed by 2.
    terms = (0.1, 0.2, 0.3, 0.4, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06)
    anamorphic = Distortion("TDE_ANAMORPHIC_4", (1.0, 2.0, *terms, 0.0, 1.0, 1.0))
    factors = [
        1 + a + b * -0.28 + c + d * -0.28 + e * (2 * 0.28**2 - 1) for a, b, c, d, e in (terms[0::2], terms[1::2])
    ]
    assert lens.undistort(anamorphic, np.array([1.2, -0.8])) == pytest.approx([1.2 * factors[0], -0.8 * factors[1]])


def test_the_division_model_is_colmaps() -> None:
    pycolmap = pytest.importorskip("pycolmap")
    camera = pycolmap.Camera(model="DIVISION", width=640, height=480, params=[500, 500, 320, 240, -0.2])
    pixel = camera.img_from_cam(np.array([[0.5, 0.3, 1.0]]))[0]
    ours = lens.distort(Distortion("DIVISION", (-0.2,)), np.array([0.5, 0.3])) * 500 + (320, 240)
    assert ours == pytest.approx(pixel)


def test_derivatives_by_terms() -> None:
    ideal = np.random.default_rng(0).uniform(-0.6, 0.6, (20, 2))
    squared = (ideal**2).sum(axis=1)[:, None]
    by_terms = lens.jacobian_by_terms(Distortion("RADIAL", (-0.2, 0.1)), ideal)
    np.testing.assert_allclose(by_terms, np.stack([ideal * squared, ideal * squared**2], axis=-1), atol=1e-8)

    k = -0.2  # of DIVISION: r (1 + k d²) = d, so that the derivative of d by k is r d² / (1 - 2 k r d)
    distorted = lens.distort(Distortion("DIVISION", (k,)), ideal)
    r, d = (np.linalg.norm(points, axis=1)[:, None] for points in (ideal, distorted))
    expected = ideal * d**2 / (1 - 2 * k * r * d)
    np.testing.assert_allclose(
        lens.jacobian_by_terms(Distortion("DIVISION", (k,)), ideal)[:, :, 0], expected, atol=1e-8
    )


def test_valid_radius() -> None:
    assert lens.valid_radius(Distortion("PINHOLE")) == math.inf
    assert lens.valid_radius(Distortion("SIMPLE_RADIAL", (0.2,))) == math.inf
    assert lens.valid_radius(Distortion("SIMPLE_RADIAL", (-1 / 3,))) == pytest.approx(1)
    assert lens.valid_radius(Distortion("OPENCV_FISHEYE", (0.0,) * 4)) == math.inf
    assert lens.valid_radius(Distortion("OPENCV_FISHEYE", (-1 / 3, 0, 0, 0))) == pytest.approx(math.tan(1))
    # k2 > 0 makes the radius rise again behind the fold. The valid radius ends at the first turning point.
    turning_point = lens.valid_radius(Distortion("RADIAL", (-1.0, 0.4)))
    assert 1 - 3 * turning_point**2 + 2 * turning_point**4 == pytest.approx(0)
    assert turning_point < 1


@pytest.mark.parametrize(
    "distortion", [d for d in COLMAP if lens.valid_radius(d) < 3 and d.model != "DIVISION"], ids=str
)
def test_the_radius_grows_up_to_the_valid_radius_and_falls_behind_it(distortion: Distortion) -> None:
    fold = lens.valid_radius(distortion)
    radii = fold * np.array([0.0, 0.3, 0.6, 0.9, 0.99, 1.01, 1.05])
    radial = Distortion("RADIAL", (*distortion.params, 0.0)[:2]) if distortion.model == "OPENCV" else distortion
    distorted = lens.distort(radial, np.stack([radii, 0 * radii], axis=-1))[:, 0]
    assert (np.diff(distorted[:5]) > 0).all()
    assert (np.diff(distorted[5:]) < 0).all()


def test_beyond_the_fold_there_is_no_ideal_point() -> None:
    """A radius that the lens never reaches is NaN, and a ghost from behind the fold is never the answer."""
    distortion = Distortion("SIMPLE_RADIAL", (-0.3,))
    fold = lens.valid_radius(distortion)
    most = fold * (1 - 0.3 * fold**2)
    out = lens.undistort(distortion, np.array([[1.05 * most, 0.0], [0.0, 3.0], [0.5, 0.2]]))
    assert np.isnan(out[:2]).all()
    assert np.isfinite(out[2]).all()
    actual = lens.undistort(distortion, disc(0.98 * most))
    assert (np.linalg.norm(actual, axis=-1) < fold).all()


def test_fisheye_sees_almost_to_the_side() -> None:
    distortion = Distortion("OPENCV_FISHEYE", (0.0, 0.0, 0.0, 0.0))
    angle = np.radians([0.0, 30, 60, 80, 88])
    actual = lens.undistort(distortion, np.stack([angle, 0 * angle], axis=-1))
    assert actual[:, 0] == pytest.approx(np.tan(angle), rel=1e-9)
    assert np.isnan(lens.undistort(distortion, np.array([1.7, 0.0]))).all()


def test_shapes_and_centre() -> None:
    for distortion in REAL:
        assert lens.distort(distortion, np.zeros((2, 3, 2))).shape == (2, 3, 2)
        assert lens.undistort(distortion, np.zeros(2)) == pytest.approx([0, 0])
        assert lens.undistort(distortion, np.zeros((0, 2))).shape == (0, 2)


def test_identity_is_known() -> None:
    assert Distortion("OPENCV", (0.0, 0.0, 0.0, 0.0)).is_identity
    assert not Distortion("OPENCV", (0.0, 0.0, 0.0, 1e-9)).is_identity
    assert not Distortion("OPENCV_FISHEYE", (0.0, 0.0, 0.0, 0.0)).is_identity
    assert Distortion("TDE_RADIAL_4", (0.7, *(0.0,) * 8)).is_identity
    assert not Distortion("TDE_RADIAL_4", (0.7, *(0.0,) * 7, 0.01)).is_identity
    assert Distortion("TDE_ANAMORPHIC_4", (0.7, 2.0, *(0.0,) * 11, 1.0, 1.0)).is_identity


@pytest.mark.parametrize(("model", "params"), [("FOV", (0.9,)), ("RADIAL", (0.1,)), ("PINHOLE", (0.1,))])
def test_a_model_that_is_none_is_refused(model: str, params: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=model):
        Distortion(model, params)
