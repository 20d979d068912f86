"""A fresh Blender file for each test, and a small world whose photos, depths and cameras are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from threer_blender.cli.inspection import write_png
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Photo, PhotoFromMap, PointCloud, PointMap, Reconstruction

pytest.importorskip("bpy", reason="bpy is not installed: pip install bpy")


@pytest.fixture(autouse=True)
def fresh_file() -> None:
    """Blender's startup file, untouched."""
    import bpy  # here, for a module that holds bpy and that conftests import makes Python hang at its end

    bpy.ops.wm.read_factory_settings()


# The world, y down: a chequered floor at y = 0 and a striped ball on it.
BALL_CENTRE, BALL_RADIUS = np.array((0.0, -0.7, 0.0)), 0.7


def floor_color(points: Array) -> Any:
    chequer = (np.floor(points[..., 0] * 2) + np.floor(points[..., 2] * 2)) % 2
    shade = 0.35 + 0.4 * chequer
    return np.stack([shade, shade * (0.6 + 0.1 * np.sin(points[..., 0])), shade * 0.5], -1)


def ball_color(points: Array) -> Any:
    bands = np.floor((points[..., 1] + 2) * 8) % 2
    return np.stack([0.2 + 0.1 * bands, 0.25 + 0.5 * bands, 0.8 - 0.3 * bands], -1)


def trace(camera: Camera, pixels: Array) -> Any:
    """Depth (...), colour (..., 3) in [0, 1] and world point (..., 3) of the surface at pixels (..., 2) of `camera`.

    In the sky, depth and point are NaN.
    """
    rays = camera.rays(pixels) @ camera.world_from_camera[:3, :3].T
    origin = camera.world_from_camera[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = -origin[1] / rays[..., 1]
        floor[(floor <= 0) | (floor > 12)] = np.nan
        # The ray meets the ball where a t² + 2 b t + c = 0.
        a = (rays**2).sum(-1)
        b = rays @ (origin - BALL_CENTRE)
        c = ((origin - BALL_CENTRE) ** 2).sum() - BALL_RADIUS**2
        ball = (-b - np.sqrt(b * b - a * c)) / a
    depth = np.fmin(ball, floor)
    points = origin + depth[..., None] * rays
    color = np.where((ball <= depth)[..., None], ball_color(points), floor_color(points))
    return depth, np.where(np.isnan(depth)[..., None], 0.0, color), points


def looking_at(eye: Any, target: tuple[float, float, float] = (0.0, -0.5, 0.0), roll: float = 0.0) -> Any:
    """world_from_camera of an upright OpenCV camera at `eye`, rolled about its view by `roll` degrees."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross((0.0, 1.0, 0.0), forward)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    pose = np.eye(4)
    pose[:3, :3] = np.stack([c * right + s * down, -s * right + c * down, forward], -1)
    pose[:3, 3] = eye
    return pose


def camera(
    name: str, width: int, height: int, fx: Any, fy: Any = None, cx: Any = None, cy: Any = None, pose: Any = None
) -> Camera:
    """A camera without distortion, upright in front of the ball unless a `pose` is given."""
    return Camera(
        photo=name,
        width=width,
        height=height,
        fx=fx,
        fy=fx if fy is None else fy,
        cx=width / 2 if cx is None else cx,
        cy=height / 2 if cy is None else cy,
        world_from_camera=looking_at((0.5, -1.5, -4.0)) if pose is None else pose,
    )


# One of each kind: landscape, portrait, off-centre, fx ≠ fy both ways, square, another size.
CAMERAS = [
    camera("landscape.png", 320, 240, 300),
    camera("portrait.png", 240, 320, 310, pose=looking_at((-2.0, -1.2, -3.5), roll=4)),
    camera("off centre.png", 320, 240, 300, cx=131.5, cy=150.25, pose=looking_at((2.0, -1.8, -3.0))),
    camera("wide pixels.png", 320, 240, 260, fy=310, cx=170, pose=looking_at((3.5, -1.0, 1.0), roll=-5)),
    camera("tall pixels.png", 240, 320, 330, fy=290, cy=170, pose=looking_at((-3.5, -2.0, 0.5))),
    camera("square.png", 256, 256, 280, pose=looking_at((0.0, -2.5, 3.5))),
    camera("larger.png", 480, 320, 500, cx=222, cy=171, pose=looking_at((-1.0, -1.0, 4.0))),
]


def pixel_centres(width: int, height: int) -> Any:
    """(height, width, 2) x and y of the pixels' centres."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The world's photos, written to a folder `shot`, for reading only."""
    return write_photos(tmp_path_factory.mktemp("world") / "shot", CAMERAS)


def write_photos(folder: Path, cameras: Sequence[Camera]) -> Any:
    """Writes the picture of each camera into `folder`, and returns the Photos."""
    folder.mkdir()
    photos = []
    for index, cam in enumerate(cameras):
        _, color, _ = trace(cam, pixel_centres(cam.width, cam.height))
        path = folder / cam.photo
        write_png(path, np.rint(color * 255).astype(np.uint8))
        photos.append(Photo(cam.photo, str(path), cam.width, cam.height, sha256=f"{index:064x}"))
    return photos


def reconstruct(photos: list[Photo], cameras: Sequence[Camera], step: int = 1, **more: Any) -> Reconstruction:
    """A Reconstruction of the world without any error: every `step`-th pixel of every photo becomes a point."""
    index = {photo.name: number for number, photo in enumerate(photos)}
    maps, points, normals, colors, owner = [], [], [], [], []
    for cam in cameras:
        pixels = pixel_centres(cam.width // step, cam.height // step) * step
        depth, color, position = trace(cam, pixels)
        mask = ~np.isnan(depth)
        maps.append(
            PointMap(
                cam.photo,
                position.astype(np.float32),
                mask.astype(np.float32),
                mask,
                PhotoFromMap(step, step, 0.0, 0.0),
            )
        )
        points.append(position[mask])
        colors.append(np.rint(color[mask] * 255).astype(np.uint8))
        on_floor = position[mask][:, 1:2] > -1e-6
        normals.append(np.where(on_floor, (0.0, -1.0, 0.0), (position[mask] - BALL_CENTRE) / BALL_RADIUS))
        owner.append(np.full(mask.sum(), index[cam.photo], np.int32))
    positions = np.concatenate(points).astype(np.float32)
    cloud = PointCloud(
        positions,
        np.concatenate(normals).astype(np.float32),
        np.concatenate(colors),
        (2 + np.arange(len(positions)) % 7).astype(np.float32),
        np.concatenate(owner),
    )
    values = {"engine": "test", "licence": "GPL-3.0-or-later", "trusted_confidence": 2.0, **more}
    return Reconstruction(photos=photos, cameras=list(cameras), pointmaps=maps, cloud=cloud, **values)


@pytest.fixture(scope="session")
def reconstruction(photos: list[Photo]) -> Any:
    return reconstruct(photos, CAMERAS, step=4)
