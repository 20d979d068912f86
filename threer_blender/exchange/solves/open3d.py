"""[S] Open3D's camera trajectories: .json with lenses and poses, .log with poses alone. They name no photos.

Source: Open3D's documentation, "Camera trajectory". Axes are ours. The JSON's extrinsics take the world to the camera
and stand column by column; the log's matrices take the camera to the world.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ...files import bounded, checked
from .solve import SIDE, Lens, Solve, View, pose, pose_from_extrinsics

KIND = "PinholeCameraTrajectory"
# Every number ends at a space, so no file can be matched in many ways, which would take for ever.
LOG = re.compile(rb"\s*\d+\s+\d+\s+-?\d+[ \t\r]*\n\s*(?:[-+.\deE]+\s+){16}")
NAMELESS = "An Open3D trajectory names no photos: its cameras are numbered."
GUESSED_FOCAL = 1.0  # of the larger side, where the file has no lens
GUESSED_SIZE = (1920, 1080)  # pixels, where the file has none


def matches(parsed: Any) -> bool:
    """Whether a parsed JSON file is a trajectory."""
    return isinstance(parsed, dict) and parsed.get("class_name") == KIND


def solve(data: dict[str, Any]) -> Solve:
    """The cameras of a parsed trajectory. In the file, pixel (0, 0) is the centre of the first pixel."""
    views = []
    for number, entry in enumerate(data["parameters"]):
        matrix = np.array(entry["extrinsic"], np.float64).reshape(4, 4).T
        intrinsic = entry["intrinsic"]
        k = np.array(intrinsic["intrinsic_matrix"], np.float64).reshape(3, 3).T
        lens = Lens.from_matrix(k, checked.size(intrinsic["width"]), checked.size(intrinsic["height"]))
        views.append(View(f"camera {number:04d}", lens, pose_from_extrinsics(matrix[:3, :3], matrix[:3, 3])))
    return Solve("Open3D", views, notes=[NAMELESS])


def read_log(path: Path) -> Solve:
    """The poses of a .log. The lens is a guess, and a note says so."""
    # Each pose is three whole numbers and a matrix of 4 × 4.
    tokens = np.array(bounded.content(path).split(), np.float64)
    rows = tokens[: len(tokens) // 19 * 19].reshape(-1, 19)[:, 3:].reshape(-1, 4, 4)
    lens = Lens(GUESSED_FOCAL, GUESSED_FOCAL, unit=SIDE)
    views = [
        View(f"camera {number:04d}", lens, pose(matrix[:3, :3], matrix[:3, 3]), GUESSED_SIZE)
        for number, matrix in enumerate(rows)
    ]
    notes = [NAMELESS, "A .log holds no lens: the focal length is a guess of one picture's width."]
    return Solve("Open3D log", views, notes=notes)
