"""[S] Fits one lens model to another, by least squares on a grid over the plate; residuals are in its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model import lens
from ..model.arrays import FloatArray
from ..model.lens import Distortion
from ..model.lens_formulas import FORMULAS
from ..model.reconstruction import Camera

GRID = 33  # points along each side of the plate
STEPS = 8  # of Gauss-Newton; all models but DIVISION are linear in their parameters and need one
# Parameters that are not solved for: they set a model's units, or rotate and stretch the picture as a whole.
HELD = frozenset({"diagonal", "pixel_aspect", "phi", "b", "rotation", "squeeze_x", "squeeze_y"})


@dataclass(frozen=True)
class Fit:
    """A lens, described by another model with the `distortion`. Focal length and principal point stay the camera's.

    `rms` and `worst` are over the grid: distances in pixels of the plate between the places where the two models show
    the same ray. `covered` is the share of the grid that both models can show.
    """

    distortion: Distortion
    rms: float
    worst: float
    covered: float


def fit(camera: Camera, model: str) -> Fit:
    """The best description of the lens of `camera` by `model`; the lens itself where it has that model."""
    if camera.distortion.model == model:
        return Fit(camera.distortion, 0.0, 0.0, 1.0)
    distorted = _grid(camera)
    ideal = lens.undistort(camera.distortion, distorted)
    finite = np.isfinite(ideal).all(axis=-1)
    params = start(camera, model)
    if finite.any() and model != "PINHOLE":
        params = _solved(camera, model, params, distorted[finite], ideal[finite])
    fitted = Distortion(model, tuple(map(float, params)))
    return measured(camera, fitted)


def measured(camera: Camera, distortion: Distortion) -> Fit:
    """How well `distortion` describes the lens of `camera`."""
    distorted = _grid(camera)
    ideal = lens.undistort(camera.distortion, distorted)
    offset = (lens.distort(distortion, ideal) - distorted) * (camera.fx, camera.fy)
    distance = np.linalg.norm(offset, axis=-1)
    known = np.isfinite(distance)
    if not known.any():
        return Fit(distortion, np.inf, np.inf, 0.0)
    rms, worst = float(np.sqrt((distance[known] ** 2).mean())), float(distance[known].max())
    return Fit(distortion, rms, worst, float(known.mean()))


def start(camera: Camera, model: str) -> FloatArray:
    """The parameters with which `model` does not distort, in the units of `camera`."""
    formula = FORMULAS[model]
    neutral = {
        **formula.neutral,
        "diagonal": np.hypot(camera.width / camera.fx, camera.height / camera.fy) / 2,
        "pixel_aspect": camera.fy / camera.fx,
    }
    return np.array([neutral.get(name, 0.0) for name in formula.params])


def _grid(camera: Camera) -> FloatArray:
    """(GRID², 2) normalised coordinates of a grid over the whole plate, edges and corners included."""
    x, y = np.linspace(0, camera.width, GRID), np.linspace(0, camera.height, GRID)
    pixels = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    normalised: FloatArray = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return normalised


def _solved(camera: Camera, model: str, params: FloatArray, distorted: FloatArray, ideal: FloatArray) -> FloatArray:
    """The parameters, from the start `params`, that minimise the residuals in pixels of the plate, by Gauss-Newton.

    `distorted` and `ideal` (N, 2) are the normalised coordinates that `model` should map to each other.
    """
    formula = FORMULAS[model]
    free = [i for i, name in enumerate(formula.params) if name not in HELD]
    to_pixels = np.diag([camera.fx, camera.fy])
    source, target = ideal, distorted
    if formula.undistorts:  # its residuals are between ideal points; the lens's own derivative takes them to the plate
        source, target = distorted, ideal
        to_pixels = to_pixels @ lens.jacobian(lambda points: lens.distort(camera.distortion, points), ideal)
    usable = np.isfinite(to_pixels).all(axis=(-2, -1)) if to_pixels.ndim == 3 else np.ones(len(source), bool)
    source, target = source[usable], target[usable]
    weight = np.broadcast_to(to_pixels, (len(usable), 2, 2))[usable]
    for _ in range(STEPS):
        values = formula.evaluate(params, source)
        columns = []
        for i in free:
            moved = params.copy()
            moved[i] += 1e-6
            columns.append((formula.evaluate(moved, source) - values) / 1e-6)
        slope = np.einsum("nij,knj->nik", weight, np.array(columns)).reshape(-1, len(free))
        residual = np.einsum("nij,nj->ni", weight, target - values).ravel()
        lengths = np.linalg.norm(slope, axis=0)  # of the columns, which are scaled to 1
        step = np.linalg.lstsq(slope / lengths, residual, rcond=1e-12)[0] / lengths
        params = params.copy()
        params[free] += step
        if np.abs(step).max() < 1e-10:
            break
    return params
