"""[S] RealityCapture's and RealityScan's CSV, "Internal/External camera parameters".

The columns are: name, x, y, alt (metres, z up), heading, pitch, roll (degrees), f (mm for a film whose larger side is
36 mm), px and py (the principal point from the picture's middle, divided by its larger side), k1 to k4 and t1, t2
(Brown's terms). The camera has OpenGL's axes, and its rotation is Rz(-heading) Rx(pitch) Ry(roll), as in Nerfstudio's
and Brush's readers. The file does not say how large the photos are.
"""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np

from ...files.bounded import Damaged
from ...model.arrays import FloatArray
from . import lens_models
from .solve import SIDE, Lens, Solve, View, pose_from_opengl

NEEDED = ("name", "x", "y", "alt", "heading", "pitch", "roll")
FILM = 36.0  # mm along the larger side
BOM = b"\xef\xbb\xbf"


def columns(head: bytes) -> list[str]:
    """The names of the columns, lower case: the first line that is neither empty nor the count of cameras (#cameras).

    A # at the start of a name is left out.
    """
    text = head.removeprefix(BOM).decode("utf-8", "replace").splitlines()
    first = next((line for line in text if line.strip() and not line.lower().startswith("#cameras")), "")
    return [name.strip().lstrip("#").strip().lower() for name in first.split(",")]


def matches(head: bytes) -> bool:
    """Whether a file begins with these columns."""
    return set(NEEDED) <= set(columns(head))


def solve(data: bytes) -> Solve:
    """The cameras of a CSV, which holds no points. Raises Damaged."""
    names = columns(data)
    if "f" not in names:
        raise Damaged('lacks the focal length; export "Internal/External camera parameters" in RealityCapture')
    lines = data.removeprefix(BOM).decode("utf-8", "replace").splitlines()
    views = []
    for fields in csv.reader(lines):
        if not fields or fields[0].startswith("#") or not "".join(fields).strip():
            continue
        if len(fields) < len(names):
            raise Damaged("is cut off: a row has fewer columns than the first line; export it again")
        row = dict(zip(names, (field.strip() for field in fields), strict=False))
        if row["name"].lower() == "name":
            continue
        views.append(_view(row))
    return Solve("RealityCapture", views, metric=True)


def _view(row: dict[str, str]) -> View:
    """The view in a row of the CSV, by column."""
    value = {name: float(text) for name, text in row.items() if name != "name" and text}
    lens = Lens(value["f"] / FILM, value["f"] / FILM, (value.get("px", 0.0), value.get("py", 0.0)), unit=SIDE)
    radial = [value.get(f"k{i}", 0.0) for i in range(1, 5)]
    lens = replace(lens, distortion=lens_models.brown(radial, value.get("t1", 0.0), value.get("t2", 0.0)))
    matrix = np.eye(4)
    matrix[:3, :3] = _about("z", -value["heading"]) @ _about("x", value["pitch"]) @ _about("y", value["roll"])
    matrix[:3, 3] = value["x"], value["y"], value["alt"]
    return View(row["name"].replace("\\", "/"), lens, pose_from_opengl(matrix))


def _about(axis: str, degrees: float) -> FloatArray:
    """(3, 3) the rotation by an angle about an axis, "x", "y" or "z"."""
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix
