"""[S] The lens models of other programs as ours: renamed where the formulas agree, else fitted, with the residual.

Sources: COLMAP's `sensor/models.h` (names of models, and the order of their parameters in files), Devernay and Faugeras
2001 (FOV), Khomutenko et al. 2016 (EUCM). Points (N, 2) are normalised image coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...files.bounded import Damaged
from ...model.arrays import FloatArray
from ...model.lens import NO_DISTORTION, Distortion
from ...model.lens_formulas import FORMULAS
from .solve import PIXEL, Lens

Formula = Callable[[FloatArray], FloatArray]
GRID = 33  # points along each side of the picture, where a lens is fitted
ASSUMED_SIDE = 1.2  # the picture's side in focal lengths, where the file does not say its size
ASSUMED_PIXELS = 1000  # the picture's larger side, where the file does not say it
EXACT = 1e-4  # pixels: a smaller residual is not worth a sentence
WIDEST = 1.45  # radians from the axis, where a fisheye is fitted


def brown(radial: Sequence[float], p1: float = 0.0, p2: float = 0.0) -> Distortion:
    """Up to four radial coefficients and two tangential ones (OpenCV's order), as the simplest model that has them."""
    k1, k2, k3, k4 = (*map(float, radial), 0.0, 0.0, 0.0, 0.0)[:4]
    if k3 or k4:
        return Distortion("BROWN", (k1, k2, k3, k4, float(p1), float(p2)))
    if p1 or p2:
        return Distortion("OPENCV", (k1, k2, float(p1), float(p2)))
    if k2:
        return Distortion("RADIAL", (k1, k2))
    return Distortion("SIMPLE_RADIAL", (k1,)) if k1 else NO_DISTORTION


def fisheye(*radial: float) -> Distortion:
    """An equidistant fisheye with up to four coefficients (OpenCV's)."""
    return Distortion("OPENCV_FISHEYE", (*map(float, radial), 0.0, 0.0, 0.0, 0.0)[:4])


def fitted(lens: Lens, name: str, formula: Formula, model: str = "BROWN", undistorts: bool = False) -> Lens:
    """`lens` with `model` (BROWN or OPENCV_FISHEYE) fitted by least squares to the `formula` of the model `name`.

    The formula takes ideal points (N, 2) to distorted ones, or distorted ones to ideal ones where it `undistorts`. The
    lens gets a note about a residual above EXACT. Raises Damaged where no lens has such numbers.
    """
    frame = _frame(lens)
    if undistorts:
        distorted = frame
        ideal = formula(frame)
    else:
        ideal = _ideal_grid(frame, model)
        distorted = formula(ideal)
    with np.errstate(invalid="ignore"):
        lowest, highest = frame.min(axis=0), frame.max(axis=0)
        usable = np.isfinite(distorted).all(axis=1) & np.isfinite(ideal).all(axis=1)
        usable &= ((distorted >= lowest - 1e-9) & (distorted <= highest + 1e-9)).all(axis=1)
    if usable.sum() < GRID:
        raise Damaged(f"has a lens ({name}) whose numbers no lens has; export it again")
    params = _least_squares(model, ideal[usable], distorted[usable])
    side = max(lens.width, lens.height) or ASSUMED_PIXELS
    focal = lens.focal_x if lens.unit == PIXEL else lens.focal_x * side  # in pixels
    error = FORMULAS[model].evaluate(params, ideal[usable]) - distorted[usable]
    distance = np.linalg.norm(error, axis=1) * focal
    note = ""
    if distance.max() > EXACT:
        rms = float(np.sqrt((distance**2).mean()))
        note = f"the lens model {name} was fitted as {model}: RMS {rms:.3f} px, {distance.max():.3f} px at worst"
    return replace(lens, distortion=Distortion(model, tuple(map(float, params))), note=note)


def _frame(lens: Lens) -> FloatArray:
    """(GRID², 2) normalised coordinates over the picture."""
    if lens.width:
        fx, fy, cx, cy = lens.intrinsics(lens.width, lens.height)
        x, y = (np.linspace(0, lens.width, GRID) - cx) / fx, (np.linspace(0, lens.height, GRID) - cy) / fy
    else:
        side = ASSUMED_SIDE if lens.unit == PIXEL else 1 / lens.focal_x
        x = y = np.linspace(-side / 2, side / 2, GRID)
    grid: FloatArray = np.stack(np.meshgrid(x, y), axis=-1)
    return grid.reshape(-1, 2)


def _ideal_grid(frame: FloatArray, model: str) -> FloatArray:
    """Ideal points (N, 2) whose distorted ones cover the whole picture.

    They reach beyond it by half or more, since a lens may draw points inwards.
    """
    reach = float(np.linalg.norm(frame, axis=1).max())
    if model == "OPENCV_FISHEYE":
        radius = np.tan(np.linspace(1e-3, min(1.5 * reach, WIDEST), 2 * GRID))
    else:
        radius = np.linspace(1e-3, 1.8 * reach, 2 * GRID)
    angle = np.linspace(0, 2 * np.pi, GRID, endpoint=False)
    grid: FloatArray = np.stack([np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))], axis=-1)
    return grid.reshape(-1, 2)


def _least_squares(model: str, ideal: FloatArray, distorted: FloatArray) -> FloatArray:
    """The parameters with which `model` takes points `ideal` (N, 2) to `distorted` (N, 2). It is linear in them."""
    formula = FORMULAS[model]
    count = len(formula.params)
    neutral = formula.evaluate(np.zeros(count), ideal)
    columns = [(formula.evaluate(row, ideal) - neutral).ravel() for row in np.eye(count)]
    slope = np.stack(columns, axis=1)
    size = np.maximum(np.linalg.norm(slope, axis=0), 1e-300)
    params: FloatArray = np.linalg.lstsq(slope / size, (distorted - neutral).ravel(), rcond=1e-12)[0] / size
    return params


# ------------------------------------------------------------------ COLMAP's models

# Name -> how many focal lengths, and the names of its other parameters after the principal point.
COLMAP_MODELS: dict[str, tuple[int, tuple[str, ...]]] = {
    "SIMPLE_PINHOLE": (1, ()),
    "PINHOLE": (2, ()),
    "SIMPLE_RADIAL": (1, ("k1",)),
    "RADIAL": (1, ("k1", "k2")),
    "OPENCV": (2, ("k1", "k2", "p1", "p2")),
    "OPENCV_FISHEYE": (2, ("k1", "k2", "k3", "k4")),
    "FULL_OPENCV": (2, ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")),
    "FOV": (2, ("omega",)),
    "SIMPLE_RADIAL_FISHEYE": (1, ("k1",)),
    "RADIAL_FISHEYE": (1, ("k1", "k2")),
    "THIN_PRISM_FISHEYE": (2, ("k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1")),
    "RAD_TAN_THIN_PRISM_FISHEYE": (2, ("k0", "k1", "k2", "k3", "k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3")),
    "SIMPLE_DIVISION": (1, ("k",)),
    "DIVISION": (2, ("k",)),
    "SIMPLE_FISHEYE": (1, ()),
    "FISHEYE": (2, ()),
    "EUCM": (2, ("alpha", "beta")),
}
# The model's number in COLMAP's binary files -> its name.
COLMAP_NUMBERS = dict(enumerate(COLMAP_MODELS))


def colmap_lens(model: str, width: int, height: int, params: Sequence[float]) -> Lens:
    """The lens of a COLMAP camera. Raises Damaged where the model is not known or has another number of parameters."""
    if model not in COLMAP_MODELS:
        raise Damaged(f"has a camera of the model {model[:40]}, which no camera with one lens has")
    focals, names = COLMAP_MODELS[model]
    if len(params) != focals + 2 + len(names):
        raise Damaged(f"has a camera {model} with {len(params)} parameters; {focals + 2 + len(names)} belong there")
    values = [float(value) for value in params]
    centre = (values[focals], values[focals + 1])
    lens = Lens(values[0], values[focals - 1], centre, centred=False, width=width, height=height)
    return with_model(lens, model, dict(zip(names, values[focals + 2 :], strict=True)))


def with_model(lens: Lens, model: str, k: dict[str, float]) -> Lens:
    """`lens` with the distortion of one of COLMAP's models, whose parameters `k` are by name (see COLMAP_MODELS).

    Raises Damaged where no lens has such numbers.
    """
    if not all(np.isfinite(list(k.values()))):
        raise Damaged("has a lens whose numbers no lens has; export it again")
    exact: dict[str, Callable[[], Distortion]] = {
        "SIMPLE_PINHOLE": lambda: NO_DISTORTION,
        "PINHOLE": lambda: NO_DISTORTION,
        "SIMPLE_RADIAL": lambda: brown((k["k1"],)),
        "RADIAL": lambda: brown((k["k1"], k["k2"])),
        "OPENCV": lambda: brown((k["k1"], k["k2"]), k["p1"], k["p2"]),
        "OPENCV_FISHEYE": lambda: fisheye(k["k1"], k["k2"], k["k3"], k["k4"]),
        "SIMPLE_RADIAL_FISHEYE": lambda: fisheye(k["k1"]),
        "RADIAL_FISHEYE": lambda: fisheye(k["k1"], k["k2"]),
        "SIMPLE_FISHEYE": fisheye,
        "FISHEYE": fisheye,
        "SIMPLE_DIVISION": lambda: Distortion("DIVISION", (k["k"],)),
        "DIVISION": lambda: Distortion("DIVISION", (k["k"],)),
    }
    if model in exact:
        return replace(lens, distortion=exact[model]())
    if model == "FULL_OPENCV" and not (k["k4"] or k["k5"] or k["k6"]):
        return replace(lens, distortion=brown((k["k1"], k["k2"], k["k3"]), k["p1"], k["p2"]))
    formula, ours = FITTED[model]
    if model == "FOV":  # its formula magnifies at the centre, and ours do not
        scale = 2 * np.tan(k["omega"] / 2) / k["omega"] if k["omega"] else 0.0  # `fitted` refuses an omega of 0
        lens = replace(lens, focal_x=lens.focal_x * scale, focal_y=lens.focal_y * scale)
    return fitted(lens, model, lambda points: formula(k, points), ours)


def _rational(k: dict[str, float], points: FloatArray) -> FloatArray:
    """FULL_OPENCV: points (N, 2) distorted by a ratio of polynomials, and tangentially."""
    square = (points**2).sum(axis=1, keepdims=True)
    numerator = 1 + square * (k["k1"] + square * (k["k2"] + square * k["k3"]))
    denominator = 1 + square * (k["k4"] + square * (k["k5"] + square * k["k6"]))
    radial: FloatArray = points * numerator / denominator
    return radial + _tangential(k["p2"], k["p1"], points)


def _tangential(across: float, down: float, points: FloatArray) -> FloatArray:
    """r² t + 2 (t · x) x, with t = (across, down)."""
    direction = np.array([across, down])
    square = (points**2).sum(axis=1, keepdims=True)
    shift: FloatArray = square * direction + 2 * (points @ direction)[:, None] * points
    return shift


def _fov(k: dict[str, float], points: FloatArray) -> FloatArray:
    """FOV: points (N, 2) distorted by an angle of view `omega` in radians (Devernay and Faugeras 2001)."""
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    steepness = 2 * np.tan(k["omega"] / 2)
    distorted: FloatArray = points / radius * np.arctan(radius * steepness) / steepness
    return distorted


def _equidistant(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points (N, 2) where an ideal fisheye puts points (N, 2), and their angles (N, 1) from the axis in radians."""
    radius = np.linalg.norm(points, axis=1, keepdims=True)
    angle = np.arctan(radius)
    return points / radius * angle, angle


def _thin_prism(k: dict[str, float], points: FloatArray) -> FloatArray:
    """THIN_PRISM_FISHEYE: points (N, 2) distorted as by a fisheye with tilted and decentred elements."""
    flat, _ = _equidistant(points)
    square = (flat**2).sum(axis=1, keepdims=True)
    radial = square * (k["k1"] + square * (k["k2"] + square * (k["k3"] + square * k["k4"])))
    prism = square * np.array([k["sx1"], k["sy1"]])
    distorted: FloatArray = flat * (1 + radial) + _tangential(k["p2"], k["p1"], flat) + prism
    return distorted


def _aria(k: dict[str, float], points: FloatArray) -> FloatArray:
    """COLMAP's RAD_TAN_THIN_PRISM_FISHEYE, the model of Project Aria's glasses."""
    flat, angle = _equidistant(points)
    series = sum(k[f"k{i}"] * angle ** (2 * i + 2) for i in range(6))
    flat = flat * (1 + series)
    square = (flat**2).sum(axis=1, keepdims=True)
    prism = square * np.array([k["s0"], k["s2"]]) + square**2 * np.array([k["s1"], k["s3"]])
    distorted: FloatArray = flat + _tangential(k["p0"], k["p1"], flat) + prism
    return distorted


def _eucm(k: dict[str, float], points: FloatArray) -> FloatArray:
    """EUCM: points (N, 2) distorted by the extended unified camera model (Khomutenko et al. 2016)."""
    depth = np.sqrt(k["beta"] * (points**2).sum(axis=1, keepdims=True) + 1)
    distorted: FloatArray = points / (k["alpha"] * depth + 1 - k["alpha"])
    return distorted


# COLMAP's models that have no equal among ours -> their formula, and our model that is fitted to it.
FITTED: dict[str, tuple[Callable[[dict[str, float], FloatArray], FloatArray], str]] = {
    "FULL_OPENCV": (_rational, "BROWN"),
    "FOV": (_fov, "OPENCV_FISHEYE"),
    "THIN_PRISM_FISHEYE": (_thin_prism, "OPENCV_FISHEYE"),
    "RAD_TAN_THIN_PRISM_FISHEYE": (_aria, "OPENCV_FISHEYE"),
    "EUCM": (_eucm, "OPENCV_FISHEYE"),
}
