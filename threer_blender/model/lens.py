"""[S] Lens distortion by model name, on normalised image coordinates. Imports numpy only.

Normalised coordinates are pixels less the principal point, over the focal length. Ideal coordinates are those of a
pinhole camera: (u, v) = (x/z, y/z). `distort` maps them to where the lens shows the point, and `undistort` maps those
back. The formulas are in `lens_formulas`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import Array, FloatArray
from .lens_formulas import FORMULAS

# Model name -> names of its distortion parameters, in their order.
MODELS: dict[str, tuple[str, ...]] = {name: formula.params for name, formula in FORMULAS.items()}
PANORAMA = "EQUIRECTANGULAR"
DIFFERENCE = 1e-6  # in normalised coordinates and distortion terms: the step of numerical derivatives
# Models that bend straight lines even without parameters, or with all of them 0.
_BENDING = frozenset({"OPENCV_FISHEYE", PANORAMA})


@dataclass(frozen=True)
class Distortion:
    """The name of a lens model and its distortion parameters; focal length and principal point are the Camera's."""

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
        formula = FORMULAS[self.model]
        values = zip(formula.params, self.params, strict=True)
        return self.model not in _BENDING and all(
            value == formula.neutral.get(name, 0.0) for name, value in values if name not in formula.scales
        )

    @property
    def is_panorama(self) -> bool:
        """True where the picture shows the whole sphere around the camera, as longitude and latitude."""
        return self.model == PANORAMA


NO_DISTORTION = Distortion("PINHOLE")


@dataclass(frozen=True)
class KnownLens:
    """The facts known of a lens before it is solved, in pixels of the displayed photo; None for those unknown.

    `focal` is the focal length along x; that along y is `aspect` × `focal`. `centre` is the principal point (x, y).
    Where the lens is `held`, the known values stay fixed; else solving starts from them. `name` is how sentences for
    the artist call the lens.
    """

    focal: float | None = None
    centre: tuple[float, float] | None = None
    distortion: Distortion | None = None
    held: bool = False
    name: str = ""
    aspect: float = 1.0

    @property
    def holds_focal(self) -> bool:
        """Whether the focal length is known and stays fixed."""
        return self.held and self.focal is not None

    @property
    def holds_centre(self) -> bool:
        """Whether the principal point is known and stays fixed."""
        return self.held and self.centre is not None

    @property
    def holds_distortion(self) -> bool:
        """Whether the distortion is known and stays fixed."""
        return self.held and self.distortion is not None


UNKNOWN = KnownLens()


def distort(distortion: Distortion, normalised: Array) -> FloatArray:
    """Ideal normalised coordinates (..., 2) -> distorted ones (..., 2); NaN where the lens shows no such point."""
    ideal = np.asarray(normalised, np.float64)
    if distortion.is_identity:
        return ideal
    formula = FORMULAS[distortion.model]
    if distortion.model == "DIVISION":  # r = d / (1 + k d²), solved for d
        square = 4 * distortion.params[0] * (ideal**2).sum(axis=-1, keepdims=True)
        distorted: FloatArray = ideal * 2 / (1 + np.sqrt(np.where(square <= 1, 1 - square, np.nan)))
        return distorted
    if formula.undistorts:
        return _solved(lambda points: formula.evaluate(distortion.params, points), ideal, ideal)
    return formula.evaluate(distortion.params, ideal)


def valid_radius(distortion: Distortion) -> float:
    """The radius, in ideal coordinates, up to which the lens model is one-to-one; infinite where it is so everywhere.

    Beyond it the distorted radius falls again, so that two ideal points have one image. Only the radial part is
    examined: the tangential part is far too small to change this radius. Models whose formula undistorts count as
    one-to-one everywhere, except DIVISION.
    """
    formula = FORMULAS[distortion.model]
    if distortion.model == "DIVISION":
        return 0.5 / float(np.sqrt(distortion.params[0])) if distortion.params[0] > 0 else np.inf
    if formula.undistorts:
        return np.inf
    fisheye = distortion.model == "OPENCV_FISHEYE"
    radial = _without_tangential(distortion).params
    # The derivative of the radial part is 1 + 3 k1 s + 5 k2 s² …, where s is the squared radius (a fisheye's: angle).
    # Its roots are taken in 1/s: the leading coefficient is then 1, and never 0.
    roots = np.roots([1.0, *((2 * i + 3) * k for i, k in enumerate(radial))])
    positive = roots.real[(np.abs(roots.imag) < 1e-12) & (roots.real > 1e-12)]
    first = float(np.sqrt(1 / positive.max())) if len(positive) else np.inf
    if fisheye:
        return float(np.tan(first)) if first < np.pi / 2 else np.inf
    return first


def undistort(distortion: Distortion, normalised: Array) -> FloatArray:
    """Distorted normalised coordinates (..., 2) -> ideal ones (..., 2).

    The result is NaN where no ideal point exists: beyond the valid radius, and behind the camera of a panorama.
    """
    target = np.asarray(normalised, np.float64)
    formula = FORMULAS[distortion.model]
    if distortion.is_identity:
        return target
    if distortion.model == "DIVISION":
        ideal = formula.evaluate(distortion.params, target)
        square = np.abs(distortion.params[0]) * (target**2).sum(axis=-1, keepdims=True)
        return np.where(square < 1, ideal, np.nan)
    if formula.undistorts:
        return formula.evaluate(distortion.params, target)
    if distortion.is_panorama:
        directions = panorama_directions(target)
        ahead = directions[..., 2:]
        plane: FloatArray = directions[..., :2] / np.where(ahead > 0, ahead, np.nan)
        return plane
    start = _radially_undistorted(distortion, target)
    ideal = _solved(lambda points: formula.evaluate(distortion.params, points), target, start)
    inside = np.linalg.norm(ideal, axis=-1, keepdims=True) < valid_radius(distortion)
    return np.where(inside, ideal, np.nan)


def panorama_directions(angles: Array) -> FloatArray:
    """Longitudes and latitudes (..., 2) in radians -> unit rays (..., 3), with x right, y down, z forward.

    Longitude grows to the right and latitude downwards; both are 0 straight ahead.
    """
    longitude, latitude = angles[..., 0], angles[..., 1]
    level = np.cos(latitude)
    return np.stack([level * np.sin(longitude), np.sin(latitude), level * np.cos(longitude)], axis=-1)


def panorama_angles(rays: Array) -> FloatArray:
    """The inverse of `panorama_directions`: rays (..., 3) of any length -> longitudes and latitudes (..., 2)."""
    x, y, z = rays[..., 0], rays[..., 1], rays[..., 2]
    return np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], axis=-1)


def jacobian(function: Callable[[FloatArray], FloatArray], points: FloatArray) -> FloatArray:
    """The derivative (..., 2, 2) of a map of the plane, at points (..., 2), by central differences.

    Rows are the components of the result, and columns those of the point.
    """
    offsets = DIFFERENCE * np.eye(2)
    slopes = [(function(points + offset) - function(points - offset)) / (2 * DIFFERENCE) for offset in offsets]
    return np.stack(slopes, axis=-1)


def jacobian_by_terms(distortion: Distortion, normalised: FloatArray) -> FloatArray:
    """The derivative (N, 2, T) of the distorted points by the T terms of `distortion`, at ideal points (N, 2), by
    central differences."""
    slopes = np.zeros((len(normalised), 2, len(distortion.params)))
    terms = np.array(distortion.params)
    for term, offset in enumerate(DIFFERENCE * np.eye(len(terms))):
        changed = (Distortion(distortion.model, tuple(terms + change)) for change in (offset, -offset))
        more, less = (distort(each, normalised) for each in changed)
        slopes[:, :, term] = (more - less) / (2 * DIFFERENCE)
    return slopes


def _solved(function: Callable[[FloatArray], FloatArray], target: FloatArray, start: FloatArray) -> FloatArray:
    """The points (..., 2) that `function` maps to `target` (..., 2); NaN where Newton's method from `start` fails."""
    points = start
    for _ in range(20):
        residual = function(points) - target
        if not (np.abs(residual) > 1e-12).any():
            break
        (a, b), (c, d) = np.moveaxis(jacobian(function, points), (-2, -1), (0, 1))
        determinant = a * d - b * c
        determinant = np.where(np.abs(determinant) < 1e-9, np.nan, determinant)
        x, y = residual[..., 0], residual[..., 1]
        points = points - np.stack([(d * x - b * y) / determinant, (a * y - c * x) / determinant], axis=-1)
    solved = np.abs(function(points) - target).max(axis=-1, keepdims=True) < 1e-8
    return np.where(solved, points, np.nan)


def _without_tangential(distortion: Distortion) -> Distortion:
    """The lens without its tangential part, for a lens whose formula takes ideal points to distorted ones."""
    names = MODELS[distortion.model]
    radial = tuple(v for name, v in zip(names, distortion.params, strict=True) if name.startswith("k"))
    if distortion.model == "OPENCV":
        return Distortion("RADIAL", radial)
    return Distortion(distortion.model, radial + (0.0,) * (len(names) - len(radial)))


def _radially_undistorted(distortion: Distortion, target: FloatArray) -> FloatArray:
    """Distorted points `target` (..., 2) -> roughly ideal ones (..., 2), from which Newton's method starts.

    They come from a table of the radial part within the valid radius, so they lie on the right side of the fold.
    """
    radial = _without_tangential(distortion)
    angles = np.linspace(0, min(np.arctan(valid_radius(distortion)), np.radians(89.9)), 1024)
    radii = np.tan(angles)
    distorted = distort(radial, np.stack([radii, np.zeros_like(radii)], axis=-1))[:, 0]
    wanted = np.linalg.norm(target, axis=-1)
    ratio = np.tan(np.interp(wanted, distorted, angles)) / np.maximum(wanted, 1e-12)
    start: FloatArray = target * np.where(wanted > 1e-12, ratio, 1.0)[..., None]
    return start
