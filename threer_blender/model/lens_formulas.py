"""[S] The formulas of lens distortion, each on normalised image coordinates, with the names of its parameters.

Sources: Brown 1971 and OpenCV (radial and tangential terms), Kannala & Brandt 2006 (fisheye), Fitzgibbon 2001
(division), and the documentation of the Lens Distortion Plugin Kit of Science-D-Visions (3DE4's two models).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .arrays import FloatArray

Params = Sequence[float] | FloatArray


@dataclass(frozen=True)
class Formula:
    """A lens model: `evaluate(params, points)` maps points (..., 2) to points (..., 2).

    It maps ideal points to distorted ones, or, where it `undistorts`, distorted points to ideal ones. `params` are the
    names of its parameters, in their order. A parameter has no effect at 0, or at its value in `neutral` if it is
    there. The parameters in `scales` only give units and directions to the others; alone they have no effect.
    """

    params: tuple[str, ...]
    evaluate: Callable[[Params, FloatArray], FloatArray]
    undistorts: bool = False
    neutral: Mapping[str, float] = field(default_factory=dict)
    scales: frozenset[str] = frozenset()


def _brown(params: Params, points: FloatArray) -> FloatArray:
    """`params`: k1, k2, k3, k4, p1, p2."""
    k1, k2, k3, k4, p1, p2 = params
    u, v = points[..., 0], points[..., 1]
    square = u * u + v * v
    radial = 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))
    return np.stack(
        [
            u * radial + 2 * p1 * u * v + p2 * (square + 2 * u * u),
            v * radial + 2 * p2 * u * v + p1 * (square + 2 * v * v),
        ],
        axis=-1,
    )


def _radial(params: Params, points: FloatArray) -> FloatArray:
    """`params`: k1, or k1 and k2."""
    return _brown((*params, 0.0, 0.0, 0.0, 0.0, 0.0)[:4] + (0.0, 0.0), points)


def _opencv(params: Params, points: FloatArray) -> FloatArray:
    """`params`: k1, k2, p1, p2."""
    k1, k2, p1, p2 = params
    return _brown((k1, k2, 0.0, 0.0, p1, p2), points)


def _fisheye(params: Params, points: FloatArray) -> FloatArray:
    """The distorted radius is a polynomial of the angle between the ray and the optical axis."""
    k1, k2, k3, k4 = params
    radius = np.hypot(points[..., 0], points[..., 1])
    angle = np.arctan(radius)
    distorted = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
    ratio = np.where(radius > 1e-12, distorted / np.maximum(radius, 1e-12), 1.0)
    plane: FloatArray = points * ratio[..., None]
    return plane


def _equirectangular(_params: Params, points: FloatArray) -> FloatArray:
    """Longitude and latitude (downwards) in radians. Ideal points exist only for what is in front of the camera."""
    u, v = points[..., 0], points[..., 1]
    return np.stack([np.arctan(u), np.arctan2(v, np.hypot(1.0, u))], axis=-1)


def _division(params: Params, points: FloatArray) -> FloatArray:
    """Distorted points over 1 + k r², r being their radius."""
    (k,) = params
    ideal: FloatArray = points / (1 + k * (points**2).sum(axis=-1, keepdims=True))
    return ideal


def _tde_radial(params: Params, points: FloatArray) -> FloatArray:
    """3DE4 Radial - Standard, Degree 4. Its unit is half the film back's diagonal, and its y points up."""
    diagonal, c2, u2, v2, c4, u4, v4, phi, bending = params
    x, y = points[..., 0] / diagonal, -points[..., 1] / diagonal
    square = x * x + y * y
    radial = 1 + square * (c2 + square * c4)
    across, up = u2 + u4 * square, v2 + v4 * square
    x, y = (
        x * radial + (square + 2 * x * x) * across + 2 * x * y * up,
        y * radial + (square + 2 * y * y) * up + 2 * x * y * across,
    )
    stretch, (cosine, sine) = np.sqrt(1 + bending), _cosine_and_sine(phi)
    along, beside = (cosine * x + sine * y) * stretch, (cosine * y - sine * x) / stretch
    ideal: FloatArray = np.stack([cosine * along - sine * beside, -(sine * along + cosine * beside)], axis=-1)
    return ideal * diagonal


def _tde_anamorphic(params: Params, points: FloatArray) -> FloatArray:
    """3DE4 Anamorphic - Standard, Degree 4. Its unit is half the unsqueezed film back's diagonal; its y points up."""
    diagonal, pixel_aspect, *terms, rotation, squeeze_x, squeeze_y = map(float, params)
    cosine, sine = _cosine_and_sine(rotation)
    x, y = points[..., 0] / (diagonal * pixel_aspect), -points[..., 1] / diagonal
    x, y = cosine * x + sine * y, cosine * y - sine * x
    xx, yy = x**2, y**2
    square, double = xx + yy, xx - yy  # r² and r² cos 2φ
    fourfold = xx * xx - 6 * xx * yy + yy * yy  # r⁴ cos 4φ
    basis = (square, double, square * square, square * double, fourfold)
    factor_x = 1 + sum(c * term for c, term in zip(terms[0::2], basis, strict=True))
    factor_y = 1 + sum(c * term for c, term in zip(terms[1::2], basis, strict=True))
    x, y = x * factor_x * pixel_aspect * squeeze_x, y * factor_y * squeeze_y
    ideal: FloatArray = np.stack([cosine * x - sine * y, -(sine * x + cosine * y)], axis=-1)
    return ideal * diagonal


def _cosine_and_sine(degrees: float) -> tuple[float, float]:
    """The cosine and the sine of an angle."""
    return float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))


# Name -> formula. The first five, and DIVISION, have COLMAP's names and parameters. EQUIRECTANGULAR shows the whole
# sphere around the camera; its focal length is the number of pixels per radian. BROWN is Blender's. In 3DE4's models
# `diagonal` is half the film back's diagonal in focal lengths, and `pixel_aspect` the width of a pixel over its height.
FORMULAS: dict[str, Formula] = {
    "PINHOLE": Formula((), lambda _params, points: points),
    "SIMPLE_RADIAL": Formula(("k1",), _radial),
    "RADIAL": Formula(("k1", "k2"), _radial),
    "OPENCV": Formula(("k1", "k2", "p1", "p2"), _opencv),
    "OPENCV_FISHEYE": Formula(("k1", "k2", "k3", "k4"), _fisheye),
    "EQUIRECTANGULAR": Formula((), _equirectangular),
    "DIVISION": Formula(("k",), _division, undistorts=True),
    "BROWN": Formula(("k1", "k2", "k3", "k4", "p1", "p2"), _brown),
    "TDE_RADIAL_4": Formula(
        ("diagonal", "c2", "u2", "v2", "c4", "u4", "v4", "phi", "b"),
        _tde_radial,
        undistorts=True,
        neutral={"diagonal": 1.0},
        scales=frozenset({"diagonal", "phi"}),
    ),
    "TDE_ANAMORPHIC_4": Formula(
        (
            *("diagonal", "pixel_aspect", "cx02", "cy02", "cx22", "cy22", "cx04", "cy04"),
            *("cx24", "cy24", "cx44", "cy44", "rotation", "squeeze_x", "squeeze_y"),
        ),
        _tde_anamorphic,
        undistorts=True,
        neutral={"diagonal": 1.0, "pixel_aspect": 1.0, "squeeze_x": 1.0, "squeeze_y": 1.0},
        scales=frozenset({"diagonal", "pixel_aspect"}),
    ),
}
