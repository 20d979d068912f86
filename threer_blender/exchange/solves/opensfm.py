"""[S] reconstruction.json, the file of OpenSfM and of OpenDroneMap.

Source: OpenSfM's documentation, "Reconstruction file format" and "Camera models". Axes are ours. Image coordinates
count from the picture's middle in units of its larger side; rotations are vectors that take the world to the camera.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...files import checked
from ...files.bounded import Damaged
from . import lens_models
from .solve import SIDE, Lens, Points, Solve, View, points, pose_from_extrinsics, rotation_from_vector

PERSPECTIVE, FISHEYE, OPENCV_FISHEYE = ("perspective", "simple_radial", "radial", "brown"), "fisheye", "fisheye_opencv"


def matches(parsed: Any) -> bool:
    """Whether a parsed JSON file is OpenSfM's: a list of models, each with cameras and shots."""
    first = parsed[0] if isinstance(parsed, list) and parsed else None
    return isinstance(first, dict) and isinstance(first.get("shots"), dict) and isinstance(first.get("cameras"), dict)


def solve(models: list[dict[str, Any]]) -> Solve:
    """The largest of the file's models. Photos of the other models are unregistered. Raises Damaged."""
    largest = max(models, key=lambda model: len(model["shots"]))
    lenses = {name: _lens(entry) for name, entry in largest["cameras"].items()}
    views = []
    for name, shot in largest["shots"].items():
        camera = checked.typed(shot["camera"], str)
        if camera not in lenses:
            raise Damaged(f"has a photo with the camera {camera[:60]}, which is not there; export it again")
        matrix = pose_from_extrinsics(rotation_from_vector(shot["rotation"]), np.array(shot["translation"], np.float64))
        views.append(View(name, lenses[camera], matrix))
    others = [name for model in models if model is not largest for name in model["shots"]]
    notes = [f"The file has {len(models)} separate models; the largest was read."] if len(models) > 1 else []
    return Solve("OpenSfM", views, _points(largest.get("points", {})), unregistered=others, notes=notes)


def _points(entries: dict[str, Any]) -> Points | None:
    if not entries:
        return None
    values = list(entries.values())
    positions = np.array([entry["coordinates"] for entry in values], np.float64)
    colors = np.array([entry.get("color", (128, 128, 128)) for entry in values], np.float64)
    return points(positions, colors)


def _lens(entry: dict[str, Any]) -> Lens:
    """A camera's lens. `focal_ratio` is fy over fx."""
    kind = checked.typed(entry.get("projection_type", "perspective"), str)
    value = {name: float(number) for name, number in entry.items() if isinstance(number, int | float)}
    focal = value.get("focal_x", value.get("focal", 0.0))
    lens = Lens(
        focal,
        value.get("focal_y", focal * value.get("focal_ratio", value.get("aspect_ratio", 1.0))),
        (value.get("c_x", 0.0), value.get("c_y", 0.0)),
        unit=SIDE,
        width=int(value["width"]),
        height=int(value["height"]),
    )
    radial = [value.get(name, 0.0) for name in ("k1", "k2", "k3", "k4")]
    if kind in PERSPECTIVE:
        distortion = lens_models.brown(radial, value.get("p1", 0.0), value.get("p2", 0.0))
        return replace(lens, distortion=distortion)
    if kind in (FISHEYE, OPENCV_FISHEYE):
        return replace(lens, distortion=lens_models.fisheye(*radial))
    raise Damaged(f"has a camera of the kind {kind[:40]}, which is not read here")
