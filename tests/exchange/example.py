"""A result to export: photos of two shapes with principal points off the middle, and a shot that begins at 1001."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from threer_blender.geometry import rotations
from threer_blender.model.arrays import FloatArray
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction, Shot

PATTERN = "straße von 3.####.exr"
STILLS = ("quer “1”.jpg", "hoch.jpg")
FIRST = 1001


def pose(number: int) -> FloatArray:
    """(4, 4) world_from_camera at a place on an arc: each looks at the points, and rolls a little."""
    angle = 0.25 * number - 0.4
    matrix = np.eye(4)
    turned = rotations.from_vectors(np.array([0.1, -angle, 0])) @ rotations.from_vectors(
        np.array([0, 0, 0.07 * number])
    )
    matrix[:3, :3] = turned
    matrix[:3, 3] = 4 * np.sin(angle), -0.4 + 0.1 * number, 4 - 4 * np.cos(angle)
    return matrix


def result(folder: Path) -> Reconstruction:
    """The result. Its pictures are in no file, so it serves formats without pictures."""
    lens = Distortion("RADIAL", (-0.1, 0.02))
    cameras = [
        Camera(STILLS[0], 640, 480, 612.5, 600.0, 331.25, 228.5, pose(0), lens),
        Camera(STILLS[1], 480, 640, 555.0, 555.0, 228.0, 330.5, pose(1), lens),
    ]
    photos = [
        Photo(each.photo, str(folder / each.photo), each.width, each.height, str(n)) for n, each in enumerate(cameras)
    ]
    path = str(folder / PATTERN)
    frames = {
        FIRST + n: Camera(
            f"{PATTERN} {FIRST + n}", 960, 540, 900.0 + 10 * n, 900.0 + 10 * n, 470.5, 281.0, pose(n), lens
        )
        for n in range(4)
    }
    shot = Shot(PATTERN, path, Fraction(25), 4, frames, first_frame=FIRST)
    photos.append(Photo(f"{PATTERN} {FIRST}", path, 960, 540, "9", frame=FIRST))
    random = np.random.default_rng(0)
    count = 50
    cloud = PointCloud(
        (random.normal(size=(count, 3)) * 0.5 + (0, 0, 4)).astype(np.float32),
        np.tile(np.array([0, 0, -1], np.float32), (count, 1)),
        random.integers(0, 256, (count, 3)).astype(np.uint8),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    return Reconstruction("test", "GPL", photos, [*cameras, frames[FIRST]], cloud=cloud, shots=[shot])


def ideal(camera: Camera) -> Camera:
    """The camera without distortion, as it is exported."""
    return replace(camera, distortion=Distortion("PINHOLE"))


def about(axis: str, degrees: float) -> FloatArray:
    """(3, 3) the rotation by an angle about an axis."""
    return rotations.from_vectors(np.radians(degrees) * np.eye(3)["xyz".index(axis)])


def assert_same_camera(
    camera: Camera,
    position: FloatArray,
    rotation: FloatArray,
    focal: float,
    window: tuple[float, float],
    unit: float = 1.0,
) -> None:
    """Asserts that a camera, given in OpenGL's axes in a world with y up, is our `camera`.

    Its position, its rotation and its pixels are compared. `position` (3,) and `rotation` (3, 3) are those of the given
    camera in that world, in which one of our units of length is `unit`. `focal` is in widths of the film. `window` is a
    shift of the picture in x and y (up), in widths of the film.
    """
    flip = np.diag([1.0, -1, -1])
    distance = 4  # from the cameras to the points, about
    assert np.abs(position / unit - flip @ camera.world_from_camera[:3, 3]).max() < 1e-5 * distance
    expected = flip @ camera.world_from_camera[:3, :3] @ flip
    relative = expected.T @ rotation
    # The norm over √8 is the sine of the angle between the rotations. The trace excludes an angle near 180 degrees.
    assert np.degrees(np.linalg.norm(relative - relative.T) / np.sqrt(8)) < 1e-3
    assert np.trace(relative) > 2.9
    assert abs(focal * camera.width / camera.fx - 1) < 1e-5
    points = np.random.default_rng(1).normal(size=(20, 3)) * 0.5 + (0, 0, 4)
    local = (points @ flip * unit - position) @ rotation
    x = (focal * local[:, 0] / -local[:, 2] + window[0] + 0.5) * camera.width
    aspect = camera.fy / camera.fx
    y = camera.height / 2 - (focal * local[:, 1] / -local[:, 2] + window[1]) * camera.width * aspect
    assert np.abs(np.stack([x, y], axis=1) - ideal(camera).project(points)).max() < 0.01
