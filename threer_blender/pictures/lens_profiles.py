"""[R] Lensfun's data base: the sensor of a camera and the distortion of a lens, by their names or by EXIF.

The data are Lensfun's (CC BY-SA 3.0), read through the package lensfunpy. It knows photo cameras, not cinema cameras.
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

FILM_DIAGONAL = math.hypot(36.0, 24.0)  # mm, of a crop factor of 1
SAME_CAMERA, SAME_LENS = 80, 45  # of 100: how alike names must be
FOUR_THIRDS_CROP = 1.9  # cameras with fixed lenses, and of the 4/3 systems, that crop more have pictures of 4 to 3
CALIBRATED_ASPECT = 1.5  # of the pictures by which lenses were measured, unless they say otherwise
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
    """A lens by its `name`: the factor by which its centre enlarges, and its `distortion`, at a focal length.

    `residual` is the largest distance in px of a picture with so many pixels on its longer side as were asked for.
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
    """The sensor of a camera. Raises UserError where no name in the data base is like it."""
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
    fixed_lens = best.mount[:1].islower()
    four_thirds = best.crop_factor > FOUR_THIRDS_CROP and (fixed_lens or "4/3" in best.mount)
    aspect = 4 / 3 if four_thirds else 3 / 2
    height = diagonal / math.hypot(1, aspect)
    return CameraSensor(best.model, aspect * height, height, best.crop_factor)


def _cameras(name: str) -> list[Any]:
    """Lensfun's cameras whose names are like this, the likest first."""
    text = name.strip()[:100]
    matches = _database().find_cameras(None, text, True) if text else []
    return sorted(matches, key=lambda each: -each.score)


def profile(camera: str, name: str, millimetres: float, size: tuple[int, int]) -> LensProfile:
    """The distortion of the lens of this name on a camera, at a focal length, for pictures of a `size`.

    Raises UserError where no lens is like it, or none was measured.
    """
    back = sensor(camera)
    lenses = _database().find_lenses(_cameras(camera)[0], None, name.strip()[:100], True)
    if not lenses or lenses[0].score < SAME_LENS:
        near = ", ".join(quoted(each.model) for each in lenses[:3])
        known = f"; near are {near}" if near else ""
        raise UserError(f"Lensfun's data base knows no lens {quoted(name)} for {back.name}{known}.")
    best = lenses[0]
    measured = best.interpolate_distortion(millimetres) if millimetres else None
    if measured is None or measured.model.name == "NONE":
        asked = f"at {millimetres:g} mm" if millimetres else "without a focal length: enter it"
        raise UserError(f"Lensfun's data base does not tell the distortion of {quoted(best.model)} {asked}.")
    unit = FILM_DIAGONAL / best.crop_factor / math.hypot(1, CALIBRATED_ASPECT) / 2 / millimetres  # in focal lengths
    scale, coefficients = _polynomial(measured.model.name, tuple(measured.terms))
    corner = math.hypot(back.width, back.width * min(size) / max(size)) / 2 / millimetres
    distortion, residual = _fitted([c / scale / unit**power for power, c in enumerate(coefficients)], corner)
    return LensProfile(best.model, scale, distortion, residual * millimetres / back.width * max(size))


def _polynomial(model: str, terms: tuple[float, ...]) -> tuple[float, tuple[float, ...]]:
    """Lensfun's model as distorted radius = radius · (scale + c1 r + c2 r² + …): the scale, and 0, c1, c2, …"""
    if model == "POLY3":
        return 1 - terms[0], (0.0, 0.0, terms[0])
    if model == "POLY5":
        return 1.0, (0.0, 0.0, terms[0], 0.0, terms[1])
    a, b, c = terms[:3]  # PTLENS
    return 1 - a - b - c, (0.0, c, b, a)


def _fitted(coefficients: list[float], corner: float) -> tuple[Distortion, float]:
    """RADIAL, fitted to distorted = r · (1 + c1 r + c2 r² + …) up to the `corner`, and the largest residual, both in
    focal lengths. Weighed as the picture's area."""
    radius = corner * np.sqrt(np.linspace(0, 1, SAMPLES))
    wanted = sum(c * radius ** (power + 1) for power, c in enumerate(coefficients))
    basis = np.stack([radius**3, radius**5], axis=1)
    terms = np.linalg.lstsq(basis, wanted, rcond=None)[0]
    distortion = Distortion("RADIAL", (float(terms[0]), float(terms[1])))
    ideal = np.stack([radius, np.zeros_like(radius)], axis=1)
    off = lens.distort(distortion, ideal)[:, 0] - radius - wanted
    return distortion, float(np.abs(off).max())
