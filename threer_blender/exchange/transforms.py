"""[S] transforms.json, the file of Nerfstudio that many trainers of splats read, and its points as PLY.

The file's cameras have OpenGL's axes (x right, y up, z backwards), and its world has z up: Nerfstudio's documentation,
"Data conventions".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..model.reconstruction import PointCloud
from .pictures import FOLDER, View

INDEX, POINTS = "transforms.json", "points.ply"
FILE_FROM_WORLD = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # ours has y down
CAMERA_FROM_FILE_CAMERA = np.diag([1.0, -1.0, -1.0, 1.0])
VERTEX = np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("color", "u1", 3)])


def write(views: list[View], cloud: PointCloud | None, folder: Path) -> None:
    """Writes INDEX and, where there are points, POINTS into `folder`."""
    index: dict[str, Any] = {"camera_model": "PINHOLE", "applied_transform": FILE_FROM_WORLD[:3].tolist()}
    if cloud is not None:
        index["ply_file_path"] = POINTS
        _write_points(cloud, folder / POINTS)
    index["frames"] = [_frame(view) for view in views]
    (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False), "utf-8")


def _frame(view: View) -> dict[str, Any]:
    camera = view.camera
    return {
        "file_path": f"{FOLDER}/{view.name}",
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "transform_matrix": (FILE_FROM_WORLD @ camera.world_from_camera @ CAMERA_FROM_FILE_CAMERA).tolist(),
    }


def _write_points(cloud: PointCloud, path: Path) -> None:
    """Binary PLY with positions, normals and colours, in the file's world."""
    rows = np.empty(len(cloud), VERTEX)
    rotation = FILE_FROM_WORLD[:3, :3].T
    rows["position"], rows["normal"], rows["color"] = cloud.positions @ rotation, cloud.normals @ rotation, cloud.colors
    names = [("float", name) for name in ("x", "y", "z", "nx", "ny", "nz")]
    names += [("uchar", name) for name in ("red", "green", "blue")]
    properties = "".join(f"property {kind} {name}\n" for kind, name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    path.write_bytes(header.encode("ascii") + rows.tobytes())
