"""[S] transforms.json, Nerfstudio's file that many splat trainers read, and its points as PLY.

The file's cameras have OpenGL's axes (x right, y up, z backwards), and its world has z up. Source: Nerfstudio's
documentation, "Data conventions".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..model.directions import OPENCV_FROM_OPENGL
from . import point_writers
from .content import Content
from .pictures import FOLDER, View

INDEX = "transforms.json"


def write(content: Content, folder: Path) -> list[str]:
    """Writes INDEX, and the points if there are any, into `folder`. Returns no notes for the user."""
    index: dict[str, Any] = {"camera_model": "PINHOLE", "applied_transform": content.file_from_ours[:3].tolist()}
    if content.cloud is not None:
        index["ply_file_path"] = point_writers.PLY
        point_writers.write_ply(content.cloud, folder / point_writers.PLY)
    index["frames"] = [_frame(view) for view in content.views]
    (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False), "utf-8")
    return []


def _frame(view: View) -> dict[str, Any]:
    """The entry of a view in the file."""
    camera = view.camera
    pose = camera.world_from_camera @ OPENCV_FROM_OPENGL
    return {
        "file_path": f"{FOLDER}/{view.name}",
        "w": camera.width,
        "h": camera.height,
        "fl_x": camera.fx,
        "fl_y": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "transform_matrix": pose.tolist(),
    }
