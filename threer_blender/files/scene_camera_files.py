"""[S] Cameras of a Blender scene as a small JSON file: the known cameras of photos, for solving others against them.

    {"cameras": [{"photo": "/shot/IMG_2041.jpg", "lens": 35.0, "sensor_fit": "AUTO", "sensor_width": 36.0,
                  "sensor_height": 24.0, "shift_x": 0.0, "shift_y": 0.0, "matrix_world": [[…4], […4], […4], […4]]}]}

Values are those of Blender's cameras: lengths in millimetres, and shifts in units of the fitted side. `matrix_world`
(4, 4) is the pose of a camera that looks along its -z axis with y up, in a world whose z is up.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..model.arrays import FloatArray
from ..model.directions import OPENCV_FROM_OPENGL
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera
from . import bounded, checked, whole_file

FITS = ("AUTO", "HORIZONTAL", "VERTICAL")


@dataclass(frozen=True)
class SceneCamera:
    """The Blender camera that took `photo`, which is a path or a file name. `matrix_world` is (4, 4)."""

    photo: str
    lens: float
    sensor_fit: str
    sensor_width: float
    sensor_height: float
    shift_x: float
    shift_y: float
    matrix_world: list[list[float]]

    def camera(self, name: str, width: int, height: int) -> Camera:
        """The Camera of the photo `name` of this size in pixels, with square pixels and without distortion."""
        horizontal = self.sensor_fit == "HORIZONTAL" or (self.sensor_fit == "AUTO" and width >= height)
        fitted = width if horizontal else height
        sensor = self.sensor_height if self.sensor_fit == "VERTICAL" else self.sensor_width
        focal = self.lens * fitted / sensor
        centre = width / 2 - self.shift_x * fitted, height / 2 + self.shift_y * fitted
        return Camera(name, width, height, focal, focal, *centre, _world_from_camera(np.array(self.matrix_world)))


def _world_from_camera(matrix_world: FloatArray) -> FloatArray:
    """(4, 4) the pose of a camera with OpenCV's axes, from Blender's matrix (4, 4) without its scale."""
    world_from_blender = matrix_world.astype(np.float64)
    left, _, right = np.linalg.svd(world_from_blender[:3, :3])
    world_from_blender[:3, :3] = left @ right  # the nearest rotation
    world_from_camera: FloatArray = world_from_blender @ OPENCV_FROM_OPENGL  # its own inverse
    return world_from_camera


def write(path: Path, cameras: Sequence[SceneCamera]) -> None:
    """Writes the file of `cameras`, whole or not at all. Raises OSError."""
    whole_file.write_text(path, json.dumps({"cameras": [asdict(camera) for camera in cameras]}, indent=1))


def read(path: Path) -> list[SceneCamera]:
    """The cameras in a file. Raises UserError where it cannot be read as one."""
    try:
        entries = checked.typed(bounded.parsed(bounded.content(path, bounded.LONGEST_JSON))["cameras"], list)
        return [_camera(checked.typed(entry, dict)) for entry in entries]
    except (OSError, *bounded.FAULTS) as error:
        raise UserError(
            f"{quoted(path.name)} is no file of cameras that can be read: write it anew with Use Scene Cameras."
        ) from error


def _camera(entry: dict[str, Any]) -> SceneCamera:
    matrix = np.array([[checked.number(value) for value in row] for row in checked.typed(entry["matrix_world"], list)])
    if matrix.shape != (4, 4) or np.linalg.det(matrix[:3, :3]) <= 0 or (matrix[3] != (0, 0, 0, 1)).any():
        raise ValueError("a camera's matrix")
    if entry["sensor_fit"] not in FITS:
        raise ValueError("a sensor's fit")
    return SceneCamera(
        checked.typed(entry["photo"], str),
        checked.positive(entry["lens"]),
        entry["sensor_fit"],
        checked.positive(entry["sensor_width"]),
        checked.positive(entry["sensor_height"]),
        checked.number(entry["shift_x"]),
        checked.number(entry["shift_y"]),
        matrix.tolist(),
    )
