"""[S] Lens distortion by COLMAP model name, on normalised image coordinates. Imports numpy only.

Formulas: COLMAP, src/colmap/sensor/models.h (conventions), Brown 1971 (radial and tangential), Kannala & Brandt 2006
(fisheye). `distort` takes ideal pinhole coordinates (u, v) = (x/z, y/z) to those that the lens really makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# COLMAP model name -> names of its distortion parameters, in COLMAP's order.
MODELS: dict[str, tuple[str, ...]] = {
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV": ("k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
}


@dataclass(frozen=True)
class Distortion:
    """A COLMAP camera model's name and its distortion parameters (focal and centre are the Camera's)."""

    model: str
    params: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"unknown lens model {self.model!r}; known are {', '.join(MODELS)}")
        if len(self.params) != len(MODELS[self.model]):
            raise ValueError(
                f"lens model {self.model} has {len(MODELS[self.model])} parameters, not {len(self.params)}"
            )

    @property
    def is_identity(self) -> bool:
        """True where an ideal pinhole camera shows the same picture."""
        return self.model != "OPENCV_FISHEYE" and not any(self.params)


NO_DISTORTION = Distortion("PINHOLE")


def distort(distortion: Distortion, normalised: npt.NDArray[Any]) -> FloatArray:
    """Ideal normalised coordinates (..., 2) -> where the lens puts them (..., 2)."""
    ideal = np.asarray(normalised, np.float64)
    if distortion.is_identity:
        return ideal
    u, v = ideal[..., 0], ideal[..., 1]
    if distortion.model == "OPENCV_FISHEYE":
        k1, k2, k3, k4 = distortion.params
        radius = np.hypot(u, v)
        angle = np.arctan(radius)
        bent = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
        ratio = np.where(radius > 1e-12, bent / np.maximum(radius, 1e-12), 1.0)
        bent_plane: FloatArray = ideal * ratio[..., None]
        return bent_plane
    k1, k2, p1, p2 = (*distortion.params, 0.0, 0.0, 0.0)[:4]
    square = u * u + v * v
    radial = 1 + k1 * square + k2 * square * square
    return np.stack(
        [
            u * radial + 2 * p1 * u * v + p2 * (square + 2 * u * u),
            v * radial + 2 * p2 * u * v + p1 * (square + 2 * v * v),
        ],
        axis=-1,
    )


def valid_radius(distortion: Distortion) -> float:
    """The ideal radius up to which the lens model is one-to-one; infinite where it is so everywhere.

    Beyond it the polynomial falls again and the model would show what lies outside the picture a second time, inside.
    Where the radial part alone turns; the tangential part is far too small to move that place.
    """
    fisheye = distortion.model == "OPENCV_FISHEYE"
    radial = distortion.params if fisheye else distortion.params[:2]
    # The derivative 1 + 3 k1 s + 5 k2 s² … in s, the squared radius (or angle), as a polynomial in 1/s: never singular.
    inverse = np.roots([1.0, *((2 * i + 3) * k for i, k in enumerate(radial))])
    turning = inverse.real[(np.abs(inverse.imag) < 1e-12) & (inverse.real > 1e-12)]
    first = float(np.sqrt(1 / turning.max())) if len(turning) else np.inf
    if fisheye:
        return float(np.tan(first)) if first < np.pi / 2 else np.inf
    return first


def undistort(distortion: Distortion, normalised: npt.NDArray[Any]) -> FloatArray:
    """Coordinates as the lens made them (..., 2) -> ideal ones (..., 2), by Newton's method with a numeric Jacobian.

    Where the lens model folds over (beyond its valid radius) no ideal point exists; the result is then NaN.
    """
    target = np.asarray(normalised, np.float64)
    if distortion.is_identity:
        return target
    ideal = _radially_undistorted(distortion, target)
    step = 1e-6
    for _ in range(20):
        residual = distort(distortion, ideal) - target
        if not (np.abs(residual) > 1e-12).any():
            break
        du = (distort(distortion, ideal + (step, 0)) - distort(distortion, ideal - (step, 0))) / (2 * step)
        dv = (distort(distortion, ideal + (0, step)) - distort(distortion, ideal - (0, step))) / (2 * step)
        determinant = du[..., 0] * dv[..., 1] - du[..., 1] * dv[..., 0]
        determinant = np.where(np.abs(determinant) < 1e-9, np.nan, determinant)
        ideal = ideal - np.stack(
            [
                (dv[..., 1] * residual[..., 0] - dv[..., 0] * residual[..., 1]) / determinant,
                (du[..., 0] * residual[..., 1] - du[..., 1] * residual[..., 0]) / determinant,
            ],
            axis=-1,
        )
    found = np.abs(distort(distortion, ideal) - target).max(axis=-1, keepdims=True) < 1e-8
    found &= np.linalg.norm(ideal, axis=-1, keepdims=True) < valid_radius(distortion)
    return np.where(found, ideal, np.nan)


def _radially_undistorted(distortion: Distortion, target: FloatArray) -> FloatArray:
    """(..., 2) near the answer and on its side of the fold, from a table of the radial part: Newton's start."""
    radial = Distortion("RADIAL", distortion.params[:2]) if distortion.model == "OPENCV" else distortion
    angles = np.linspace(0, min(np.arctan(valid_radius(distortion)), np.radians(89.9)), 1024)
    radii = np.tan(angles)
    bent = distort(radial, np.stack([radii, np.zeros_like(radii)], axis=-1))[:, 0]
    wanted = np.linalg.norm(target, axis=-1)
    ratio = np.tan(np.interp(wanted, bent, angles)) / np.maximum(wanted, 1e-12)
    start: FloatArray = target * np.where(wanted > 1e-12, ratio, 1.0)[..., None]
    return start
