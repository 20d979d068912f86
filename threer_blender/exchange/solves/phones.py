"""[S] Captures of phones that know their own poses: the folders of Polycam's raw data and Record3D's EXR + RGB export.

Both hold ARKit's cameras: OpenGL's axes (x right, y up, z backwards), y up in the world, metres. The meaning of the
fields is from Nerfstudio's readers, `polycam_utils` and `record3d_utils`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...files import bounded, checked
from ...files.bounded import Damaged
from ...model.quaternions import matrices_from_wxyz
from .solve import Lens, Solve, View, pose_from_opengl, unit_quaternion

KEYFRAMES = "keyframes"
POLYCAM = (("corrected_cameras", "corrected_images"), ("cameras", "images"))  # poses that Polycam adjusted come first
RECORD3D = "metadata.json"


def polycam_folder(path: Path) -> tuple[Path, str] | None:
    """The folder of Polycam's cameras in or around `path`, and the name of its photos' folder; None without any."""
    base = path if path.is_dir() else path.parent
    for keyframes in (base / KEYFRAMES, base):
        for cameras, images in POLYCAM:
            if next((keyframes / cameras).glob("*.json"), None) is not None:
                return keyframes / cameras, images
    return None


def read_polycam(path: Path) -> Solve:
    """The keyframes of a Polycam export in or around `path`. There must be one (`polycam_folder`)."""
    chosen = polycam_folder(path)
    assert chosen is not None
    folder, images = chosen
    views = []
    for file in sorted(folder.glob("*.json")):
        data = checked.typed(bounded.parsed(bounded.content(file)), dict)
        matrix = np.eye(4)
        matrix[:3] = [[checked.number(data[f"t_{row}{column}"]) for column in range(4)] for row in range(3)]
        lens = Lens(
            checked.number(data["fx"]),
            checked.number(data["fy"]),
            (checked.number(data["cx"]), checked.number(data["cy"])),
            centred=False,
            width=checked.size(data["width"]),
            height=checked.size(data["height"]),
        )
        views.append(View(f"{images}/{file.stem}.jpg", lens, pose_from_opengl(matrix)))
    return Solve("Polycam", views, metric=True)


def is_record3d(parsed: Any) -> bool:
    """Whether a parsed JSON file is the metadata of a Record3D export."""
    return isinstance(parsed, dict) and all(isinstance(parsed.get(name), list) for name in ("K", "poses"))


def record3d(data: dict[str, Any]) -> Solve:
    """The frames of a Record3D export, whose K stands column by column. A pose is a quaternion xyzw and a position."""
    k = np.array(data["K"], np.float64).reshape(3, 3).T
    lens = Lens(
        float(k[0, 0]),
        float(k[1, 1]),
        (float(k[0, 2]), float(k[1, 2])),
        centred=False,
        width=checked.size(data["w"]),
        height=checked.size(data["h"]),
    )
    views = []
    for number, values in enumerate(data["poses"]):
        if len(values) != 7:
            raise Damaged("has a pose that is not seven numbers; export it again")
        x, y, z, w = unit_quaternion(values[:4])
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = matrices_from_wxyz(np.array([w, x, y, z])), values[4:]
        views.append(View(f"rgb/{number}.jpg", lens, pose_from_opengl(matrix)))
    return Solve("Record3D", views, metric=True)
