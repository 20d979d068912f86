"""[S] Meshroom's and AliceVision's .sfm (JSON, versions 1.0 to 1.2), and their .baf.

Source: AliceVision's `sfmDataIO`. Axes are ours. A pose's rotation takes the world to the camera and is written column
by column; its centre is in the world. All numbers are written as texts. The focal length is in millimetres beside the
sensor's width, in older files in pixels. The principal point counts from the picture's middle, in older files from its
corner.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from . import lens_models
from .solve import Lens, Points, Solve, View, points, pose

ROW_SIZE = 32  # bytes of a point in memory, three float64 and one int64; a lens or a pose takes no less
CENTRED_SINCE = (1, 2, 0)
# AliceVision's names for its distortion models, lower case.
RADIAL, BROWN, FISHEYE = ("radial", "radialk1", "radialk3", "radial1", "radial3"), "brown", "fisheye4"


def matches(parsed: Any) -> bool:
    """Whether a parsed JSON file is AliceVision's."""
    return isinstance(parsed, dict) and all(isinstance(parsed.get(name), list) for name in ("version", "views"))


def solve(data: dict[str, Any]) -> Solve:
    """The solve of a parsed .sfm file. Views without a pose are unregistered. Raises Damaged."""
    version = tuple(int(part) for part in data["version"])
    lenses = {str(entry["intrinsicId"]): _lens(entry, version) for entry in data.get("intrinsics", [])}
    poses = {}
    for entry in data.get("poses", []):
        transform = entry["pose"]["transform"]
        rotation = np.array(transform["rotation"], np.float64).reshape(3, 3)  # columns read as rows: the inverse
        poses[str(entry["poseId"])] = pose(rotation, np.array(transform["center"], np.float64))
    views: list[View] = []
    unregistered, index_of = [], {}
    for view in data["views"]:
        name, number = str(view["path"]).replace("\\", "/"), str(view["poseId"])
        if number not in poses or str(view["intrinsicId"]) not in lenses:
            unregistered.append(name)
            continue
        index_of[str(view["viewId"])] = len(views)
        views.append(View(name, lenses[str(view["intrinsicId"])], poses[number]))
    return Solve("Meshroom", views, _points(data.get("structure", []), index_of), unregistered=unregistered)


def _points(structure: list[dict[str, Any]], index_of: dict[str, int]) -> Points | None:
    """The points, each with the first of its observers that has a camera; None without any."""
    if not structure:
        return None
    observers = [[str(each["observationId"]) for each in entry.get("observations", [])] for entry in structure]
    owners = [next((index_of[key] for key in keys if key in index_of), -1) for keys in observers]
    positions = np.array([entry["X"] for entry in structure], np.float64)
    colors = np.array([entry.get("color", ("128",) * 3) for entry in structure], np.float64)
    return points(positions, colors, np.array(owners), np.array([len(keys) for keys in observers]))


def _lens(entry: dict[str, Any], version: tuple[int, ...]) -> Lens:
    """A view's lens. `version` is the file's, of three numbers. Raises Damaged."""
    width, height = int(entry["width"]), int(entry["height"])
    focal_x, focal_y = _focal(entry, width)
    centre = tuple(float(value) for value in entry.get("principalPoint", (0, 0)))
    lens = Lens(focal_x, focal_y, (centre[0], centre[1]), centred=version >= CENTRED_SINCE, width=width, height=height)
    params = [float(value) for value in entry.get("distortionParams", [])]
    kind = str(entry.get("distortionType", entry.get("type", ""))).lower()
    if not any(params) and kind != FISHEYE:
        return lens
    if kind in RADIAL:
        return replace(lens, distortion=lens_models.brown(params))
    if kind == BROWN:
        *radial, p1, p2 = params
        return replace(lens, distortion=lens_models.brown(radial, p1, p2))
    if kind == FISHEYE:
        return replace(lens, distortion=lens_models.fisheye(*params))
    raise Damaged(f"has a lens of the model {kind[:40]}, which is not read here")


def _focal(entry: dict[str, Any], width: int) -> tuple[float, float]:
    """Focal lengths in pixels. `pixelRatio` is the width of a pixel over its height."""
    if "focalLength" in entry and "sensorWidth" in entry:
        focal = float(entry["focalLength"]) / float(entry["sensorWidth"]) * width
        return focal, focal * float(entry.get("pixelRatio", 1))
    value = entry["pxFocalLength"]
    if isinstance(value, list):
        return float(value[0]), float(value[-1])
    return float(value), float(value)


# ------------------------------------------------------------------ .baf


def is_baf(head: bytes) -> bool:
    """Whether a file begins as a .baf: three counts, then a lens.

    The lens is a focal length, a principal point and up to nine more numbers.
    """
    lines = head.decode("ascii", "replace").splitlines()[:4]
    return len(lines) == 4 and all(line.strip().isdecimal() for line in lines[:3]) and 3 <= len(lines[3].split()) <= 12


def read_baf(path: Path) -> Solve:
    """A Bundle Adjustment File. It names no photos, so its cameras are numbered. Raises Damaged.

    It holds three counts, lenses (focal length, principal point, radial terms), poses as in a .sfm, then points with
    their tracks.
    """
    data = bounded.content(path)
    tokens = iter(data.decode("ascii", "replace").splitlines())
    lens_count, pose_count, point_count = (int(next(tokens)) for _ in range(3))
    for count in (lens_count, pose_count, point_count):
        bounded.check(ROW_SIZE * count, len(data))
    if lens_count != 1 and lens_count != pose_count:
        raise Damaged("has several lenses and does not say which photo has which; export it as .sfm")
    lenses = []
    for _ in range(lens_count):
        focal, x, y, *radial = (float(value) for value in next(tokens).split())
        lenses.append(Lens(focal, focal, (x, y), centred=False, distortion=lens_models.brown(radial[:3])))
    views = []
    for number in range(pose_count):
        values = np.array(next(tokens).split(), np.float64)
        lens = lenses[number % lens_count]
        # A .baf does not say the picture's size: the principal point is taken for the middle.
        extent = (round(2 * lens.centre[0]), round(2 * lens.centre[1]))
        matrix = pose(values[:9].reshape(3, 3), values[9:12])
        views.append(View(f"camera {number:04d}", lens, matrix, extent))
    positions, lengths = np.empty((point_count, 3)), np.empty(point_count, np.int64)
    for row in range(point_count):
        fields = next(tokens).split()
        positions[row], lengths[row] = [float(value) for value in fields[:3]], int(fields[3])
    notes = ["A .baf names no photos: its cameras are numbered."]
    return Solve("BAF", views, points(positions, None, None, lengths), notes=notes)
