"""[R] Lensfun's data base: the sensor of a camera and the distortion of a lens, by their names.

The data are Lensfun's (CC BY-SA 3.0), read through the package lensfunpy. They cover photo cameras, not cinema cameras.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..model import lens
from ..model.errors import UserError, quoted
from ..model.lens import Distortion

FILM_DIAGONAL = math.hypot(36.0, 24.0)  # mm, of a sensor with a crop factor of 1
SAME_CAMERA, SAME_LENS = 80, 45  # of 100: the least scores by which Lensfun's names count as the names asked for
FOUR_THIRDS_CROP = 1.9  # above this crop factor, cameras with fixed lenses, and of the 4/3 systems, have 4:3 pictures
CALIBRATED_ASPECT = 1.5  # aspect ratio of the pictures by which Lensfun's lenses were measured
SAMPLES = 64  # radii at which a distortion is fitted


@dataclass(frozen=True)
class CameraSensor:
    """The sensor of the camera `name`: its `width` and `height` in mm, and its `crop` factor."""

    name: str
    width: float
    height: float
    crop: float


@dataclass(frozen=True)
class LensProfile:
    """The lens `name` at one focal length.

    `scale` is the enlargement at its centre, relative to the nominal focal length. `distortion` is fitted to Lensfun's
    model, and `residual` is the largest error of that fit, in pixels of a picture of the size asked for.
    """

    name: str
    scale: float
    distortion: Distortion
    residual: float


@lru_cache(maxsize=1)
def _database() -> Any:
    import lensfunpy

    return lensfunpy.Database()


def sensor(camera: str) -> CameraSensor:
    """The sensor of the camera of this name. Raises UserError where the data base has no similar name.

    Its aspect ratio is inferred from its crop factor and mount, since the data base does not hold it.
    """
    matches = _cameras(camera)
    if not matches or matches[0].score < SAME_CAMERA:
        near = ", ".join(quoted(f"{each.maker} {each.model}") for each in matches[:3])
        known = f"; near are {near}" if near else ""
        raise UserError(
            f"Lensfun's data base knows no camera {quoted(camera)}{known}. It holds photo cameras only: enter the "
            "sensor's width for others."
        )
    best = matches[0]
    diagonal = FILM_DIAGONAL / best.crop_factor
    fixed_lens = best.mount[:1].islower()  # Lensfun's mark: the mount then is named for the camera, as canonG7X
    four_thirds = best.crop_factor > FOUR_THIRDS_CROP and (fixed_lens or "4/3" in best.mount)
    aspect = 4 / 3 if four_thirds else 3 / 2
    height = diagonal / math.hypot(1, aspect)
    return CameraSensor(best.model, aspect * height, height, best.crop_factor)


def _cameras(name: str) -> list[Any]:
    """Lensfun's cameras with similar names, the most similar first."""
    text = name.strip()[:100]
    matches = _database().find_cameras(None, text, True) if text else []
    return sorted(matches, key=lambda each: -each.score)


def profile(camera: str, name: str, millimetres: float, size: tuple[int, int]) -> LensProfile:
    """The lens `name` on the camera `camera`, at a focal length in mm, for pictures of `size` (width, height).

    Raises UserError where the data base has no similar names, or not the lens's distortion at that focal length.
    """
    camera_sensor = sensor(camera)
    lenses = _database().find_lenses(_cameras(camera)[0], None, name.strip()[:100], True)
    if not lenses or lenses[0].score < SAME_LENS:
        near = ", ".join(quoted(each.model) for each in lenses[:3])
        known = f"; near are {near}" if near else ""
        raise UserError(f"Lensfun's data base knows no lens {quoted(name)} for {camera_sensor.name}{known}.")
    best = lenses[0]
    measured = best.interpolate_distortion(millimetres) if millimetres else None
    if measured is None or measured.model.name == "NONE":
        asked = f"at {millimetres:g} mm" if millimetres else "without a focal length: enter it"
        raise UserError(f"Lensfun's data base does not tell the distortion of {quoted(best.model)} {asked}.")
    # Lensfun's unit of radius is half the shorter side of the pictures by which the lens was measured.
    unit = FILM_DIAGONAL / best.crop_factor / math.hypot(1, CALIBRATED_ASPECT) / 2 / millimetres  # in focal lengths
    scale, coefficients = _polynomial(measured.model.name, tuple(measured.terms))
    # The radius of a picture's corner, in focal lengths.
    corner = math.hypot(camera_sensor.width, camera_sensor.width * min(size) / max(size)) / 2 / millimetres
    distortion, residual = _fitted([c / scale / unit**power for power, c in enumerate(coefficients)], corner)
    return LensProfile(best.model, scale, distortion, residual * millimetres / camera_sensor.width * max(size))


def _polynomial(model: str, terms: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
    """Lensfun's `model` as distorted radius = r · (scale + c1 r + c2 r² + …). Returns scale and (0, c1, c2, …)."""
    if model == "POLY3":
        return 1 - terms[0], (0.0, 0.0, terms[0])
    if model == "POLY5":
        return 1.0, (0.0, 0.0, terms[0], 0.0, terms[1])
    a, b, c = terms[:3]  # PTLENS
    return 1 - a - b - c, (0.0, c, b, a)


def _fitted(coefficients: list[float], corner: float) -> tuple[Distortion, float]:
    """The model RADIAL, fitted to distorted = r · (1 + c1 r + c2 r² + …), and the largest residual.

    `coefficients` are 0, c1, c2 …. Radii, up to that of the `corner`, and the residual are in focal lengths. The radii
    of the samples divide the picture into rings of equal area.
    """
    radius = corner * np.sqrt(np.linspace(0, 1, SAMPLES))
    shift = sum(c * radius ** (power + 1) for power, c in enumerate(coefficients))  # distorted radius less radius
    basis = np.stack([radius**3, radius**5], axis=1)
    terms = np.linalg.lstsq(basis, shift, rcond=None)[0]
    distortion = Distortion("RADIAL", (float(terms[0]), float(terms[1])))
    ideal = np.stack([radius, np.zeros_like(radius)], axis=1)
    residuals = lens.distort(distortion, ideal)[:, 0] - radius - shift
    return distortion, float(np.abs(residuals).max())
