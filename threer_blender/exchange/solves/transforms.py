"""[S] transforms.json, the file of Nerfstudio and instant-ngp, and the points that it names.

The file's cameras have OpenGL's axes (x right, y up, z backwards): Nerfstudio's documentation, "Data conventions". Its
points are in the world of these cameras. instant-ngp writes one lens for all frames. The original NeRF writes the
horizontal angle of view (radians) in place of a focal length, and names photos without their endings.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ...files import bounded, checked
from ...files.bounded import Damaged
from . import lens_models, ply
from .solve import WIDTH, Lens, Solve, View, pose_from_opengl

NAMES = ("transforms.json", "transforms_train.json")
PINHOLE, POLYNOMIAL, FISHEYE = range(3)
# The file's names of lens models -> how their parameters are read. Nerfstudio's OPENCV has four radial terms.
MODELS = {
    "PINHOLE": PINHOLE,
    "SIMPLE_PINHOLE": PINHOLE,
    "OPENCV": POLYNOMIAL,
    "SIMPLE_RADIAL": POLYNOMIAL,
    "RADIAL": POLYNOMIAL,
    "OPENCV_FISHEYE": FISHEYE,
}
RADIAL = ("k1", "k2", "k3", "k4")
MODEL = "camera_model"
# The values of a lens, which stand in each frame or once for all.
LENS = (MODEL, "w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", *RADIAL, "p1", "p2")


def matches(index: Any) -> bool:
    """Whether a parsed JSON file is a transforms.json."""
    frames = index.get("frames") if isinstance(index, dict) else None
    return isinstance(frames, list) and any(isinstance(frame, dict) and "transform_matrix" in frame for frame in frames)


def solve(index: dict[str, Any], folder: Path) -> Solve:
    """The solve of a parsed file that lies in `folder`. Raises Damaged."""
    lenses: dict[tuple[Any, ...], Lens] = {}
    views = []
    for frame in index["frames"]:
        values = {name: frame.get(name, index.get(name)) for name in LENS}
        key = tuple(values.values())
        if key not in lenses:
            lenses[key] = _lens(values)
        matrix = np.array(frame["transform_matrix"], np.float64)
        name = checked.typed(frame.get("file_path"), str).removeprefix("./")
        views.append(View(name, lenses[key], pose_from_opengl(matrix)))
    cloud, notes = None, []
    if isinstance(index.get("ply_file_path"), str):
        path = bounded.inside(folder, index["ply_file_path"].removeprefix("./"))
        if path.is_file():
            cloud = ply.read(path)
        else:
            notes = [f"The file of points that it names, {path.name}, is not there."]
    return Solve("transforms.json", views, cloud, notes=notes)


def _lens(values: dict[str, Any]) -> Lens:
    """The lens of a frame. Where the file gives no size, the lens is for pictures of any size."""
    numbers = {name: checked.number(value) for name, value in values.items() if value is not None and name != MODEL}
    width, height = round(numbers.get("w", 0)), round(numbers.get("h", 0))
    if "fl_x" in numbers:
        lens = Lens(numbers["fl_x"], numbers.get("fl_y", numbers["fl_x"]), width=width, height=height)
    elif "camera_angle_x" in numbers:
        widths = 0.5 / np.tan(0.5 * numbers["camera_angle_x"])  # the focal length in widths of the picture
        if width:
            focal_x = focal_y = widths * width
            if "camera_angle_y" in numbers:
                focal_y = 0.5 * height / np.tan(0.5 * numbers["camera_angle_y"]) or focal_x
            lens = Lens(focal_x, focal_y, width=width, height=height)
        else:
            lens = Lens(widths, widths, unit=WIDTH)
    else:
        raise Damaged("gives its cameras neither a focal length nor an angle; export it again")
    if "cx" in numbers and "cy" in numbers and lens.unit != WIDTH:
        lens = replace(lens, centre=(numbers["cx"], numbers["cy"]), centred=False)
    model = MODELS.get(str(values[MODEL] or "OPENCV").upper())
    if model is None:
        raise Damaged(f"has cameras of the model {values[MODEL]!s:.40}, which no camera with one lens has")
    radial = [numbers.get(name, 0.0) for name in RADIAL]
    if model == FISHEYE:
        return replace(lens, distortion=lens_models.fisheye(*radial))
    if model == POLYNOMIAL:
        return replace(lens, distortion=lens_models.brown(radial, numbers.get("p1", 0.0), numbers.get("p2", 0.0)))
    return lens
