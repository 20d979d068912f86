"""[S] A COLMAP model: cameras.bin, images.bin, points3D.bin, by COLMAP's documentation, "Output format".

Cameras are ideal (PINHOLE), and pictures are without distortion. COLMAP's axes and pixels are ours. Points have no
tracks, since dense points are not matched features.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..model.arrays import Array
from ..model.quaternions import wxyz_from_matrix
from ..model.reconstruction import PointCloud
from .content import Content

MODEL = Path("sparse") / "0"
PINHOLE = 1  # COLMAP's number of the model with fx, fy, cx, cy
NO_ERROR = -1  # COLMAP's value for a point whose error was not measured
POINT = np.dtype(
    [("number", "<u8"), ("position", "<f8", 3), ("color", "u1", 3), ("error", "<f8"), ("track_length", "<u8")]
)


def write(content: Content, folder: Path) -> list[str]:
    """Writes the model into `folder`/MODEL. Returns no notes for the user."""
    model = folder / MODEL
    model.mkdir(parents=True)
    count = struct.pack("<Q", len(content.views))
    cameras, images = [count], [count]
    for number, view in enumerate(content.views, start=1):
        camera = view.camera
        cameras.append(struct.pack("<IiQQ", number, PINHOLE, camera.width, camera.height))
        cameras.append(struct.pack("<4d", camera.fx, camera.fy, camera.cx, camera.cy))
        camera_from_world = camera.camera_from_world
        rotation, translation = wxyz_from_matrix(camera_from_world[:3, :3]), camera_from_world[:3, 3]
        images.append(struct.pack("<I7dI", number, *rotation, *translation, number))
        images.append(view.name.encode("utf-8") + b"\0" + struct.pack("<Q", 0))  # no measured points
    (model / "cameras.bin").write_bytes(b"".join(cameras))
    (model / "images.bin").write_bytes(b"".join(images))
    with (model / "points3D.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(content.cloud or ())))
        if content.cloud is not None:
            file.write(_points(content.cloud).data)
    return []


def _points(cloud: PointCloud) -> Array:
    """(N,) POINT rows of a cloud, numbered from 1."""
    rows = np.zeros(len(cloud), POINT)
    rows["number"] = np.arange(1, len(cloud) + 1)
    rows["position"], rows["color"], rows["error"] = cloud.positions, cloud.colors, NO_ERROR
    return rows
