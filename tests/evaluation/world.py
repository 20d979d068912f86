"""A result and its truth: pictures of the oracle's room, solved in another world, with errors that are asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests import oracle
from tests.oracle import View
from threer_blender.geometry import rotations
from threer_blender.geometry.clouds import cleaning
from threer_blender.model.arrays import Array, FloatArray
from threer_blender.model.lens import NO_DISTORTION
from threer_blender.model.reconstruction import (
    Camera,
    Photo,
    PhotoFromMap,
    PointCloud,
    PointMap,
    Reconstruction,
    Unregistered,
)
from threer_blender.model.similarity import Similarity

SIZE = (96, 128)  # height and width of the pictures
UNIT = 0.0005  # metres per number of a depth map
NAMES = [f"img_{number:03d}.png" for number in range(6)]
VIEWS = oracle.orbit(len(NAMES), SIZE, degrees=150)
SOLVED_FROM_TRUE = Similarity(0.7, rotations.from_vectors(np.array([0.4, -1.1, 0.3])), np.array([3.0, -2.0, 1.0]))


def solved_pose(world_from_camera: Array) -> FloatArray:
    """A true pose in the solved world."""
    pose = np.eye(4)
    pose[:3, :3] = SOLVED_FROM_TRUE.rotation @ world_from_camera[:3, :3]
    pose[:3, 3] = SOLVED_FROM_TRUE.apply(world_from_camera[:3, 3])
    return pose


def camera(name: str, view: View) -> Camera:
    """The solved camera of a view, without any error."""
    height, width = view.depth.shape
    k = view.intrinsics
    return Camera(name, width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], solved_pose(view.world_from_camera))


def result(folder: Path, views: list[View] | None = None) -> Reconstruction:
    """The solve of VIEWS without any error; its photos are written into `folder`."""
    views = VIEWS if views is None else views
    photos, cameras, maps = [], [], []
    positions, normals, colors = [], [], []
    for name, view in zip(NAMES, views, strict=False):
        Image.fromarray(view.image).save(folder / name)
        height, width = view.depth.shape
        photos.append(Photo(name, str(folder / name), width, height, "0" * 64))
        cameras.append(camera(name, view))
        points = SOLVED_FROM_TRUE.apply(view.points)
        mask = np.ones(view.depth.shape, bool)
        confidence = np.ones(view.depth.shape, np.float32)
        maps.append(PointMap(name, points.astype(np.float32), confidence, mask, PhotoFromMap(1, 1, 0, 0)))
        positions.append(points.reshape(-1, 3))
        normals.append(cleaning.normals(points, cameras[-1].world_from_camera[:3, 3]).reshape(-1, 3))
        colors.append(view.image.reshape(-1, 3))
    count = sum(map(len, positions))
    cloud = PointCloud(
        np.concatenate(positions).astype(np.float32),
        np.concatenate(normals).astype(np.float32),
        np.concatenate(colors),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    return Reconstruction("colmap", "test", photos, cameras, maps, cloud)


def without_camera(solved: Reconstruction, name: str) -> Reconstruction:
    """The solve without the camera of a photo."""
    return replace(
        solved,
        cameras=[each for each in solved.cameras if each.photo != name],
        pointmaps=[each for each in solved.pointmaps if each.photo != name],
        unregistered=[Unregistered(name, "It has none.", "Nothing helps.")],
    )


def moved(solved: Reconstruction, name: str, change: Any) -> Reconstruction:
    """The solve with another camera of a photo: `change` takes the camera and returns the new one."""
    return replace(solved, cameras=[change(each) if each.photo == name else each for each in solved.cameras])


def write_truth(folder: Path, views: list[View] | None = None, names: list[str] | None = None) -> Path:
    """The truth of VIEWS as a truth.json with depth maps, in `folder`, which is returned."""
    views, names = VIEWS if views is None else views, NAMES if names is None else names
    (folder / "depth").mkdir(parents=True)
    entries = []
    for name, view in zip(names, views, strict=False):
        height, width = view.depth.shape
        file = f"depth/{Path(name).stem}.png"
        Image.fromarray(np.round(view.depth / UNIT).astype(np.uint16)).save(folder / file)
        k = view.intrinsics
        entries.append(
            {
                "photo": name,
                "width": width,
                "height": height,
                **dict(zip(("fx", "fy", "cx", "cy"), (k[0, 0], k[1, 1], k[0, 2], k[1, 2]), strict=True)),
                "distortion": {"model": NO_DISTORTION.model, "params": []},
                "world_from_camera": view.world_from_camera.tolist(),
                "depth": file,
            }
        )
    document = {"depth": {"metres_per_unit": UNIT}, "cameras": entries}
    (folder / "truth.json").write_text(json.dumps(document))
    return folder
