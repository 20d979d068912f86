"""Tracks of a synthetic world with exact truth: points in a box, each visible for a while to a known camera. [S]"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tests import oracle
from threer_blender.geometry.adjustment.tracks import Tracks
from threer_blender.geometry.shots.tracking import ShotTracks
from threer_blender.model.arrays import Array
from threer_blender.model.lens import NO_DISTORTION, Distortion
from threer_blender.model.reconstruction import Camera

WIDTH, HEIGHT, FOCAL = 640, 360, 600.0
look_at = oracle.look_at


@dataclass(frozen=True)
class SyntheticShot:
    """The tracks, and the true camera of each frame by its number."""

    tracks: ShotTracks
    cameras: dict[int, Camera]


def shot(
    poses: Any,
    focals: Any = None,
    numbers: Any = None,
    points: int = 700,
    noise: float = 0.04,
    longest: int = 18,
    distortion: Distortion = NO_DISTORTION,
    walking: float = 0.0,
    late: Callable[[int, float], Array] | None = None,
    seed: int = 0,
) -> SyntheticShot:
    """The shot of a camera with these `poses`, each a (4, 4) world_from_camera.

    `focals` is in pixels and `numbers` are the frames' numbers. Each point is seen in at most `longest` successive
    frames, and `noise` is in pixels. A share `walking` of the points walks to the right. A rolling shutter is given by
    `late(index, share)`: the pose of frame `index` at the row that lies at this share of the height, from -0.5 to 0.5.
    """
    random = np.random.default_rng(seed)
    focals = [FOCAL] * len(poses) if focals is None else focals
    numbers = np.arange(1, len(poses) + 1) if numbers is None else np.asarray(numbers)
    world = random.uniform([-6, -4, 2], [6, 4, 9], (points, 3))
    walks = random.random(points) < walking
    begins = random.integers(1 - longest, len(poses), points)
    cameras, observed = {}, []
    for index, (pose, focal) in enumerate(zip(poses, focals, strict=True)):
        number = int(numbers[index])
        camera = Camera("", WIDTH, HEIGHT, focal, focal, WIDTH / 2, HEIGHT / 2, pose, distortion)
        cameras[number] = camera
        walked = world + np.outer(walks, [0.05 * index, 0, 0])
        pixels = camera.project(walked)
        if late is not None:
            pixels = by_rows(camera, walked, partial(late, index))
        pixels = pixels + noise * random.standard_normal(pixels.shape)
        inside = np.all((pixels > 5) & (pixels < (WIDTH - 5, HEIGHT - 5)), axis=1)
        visible = np.flatnonzero(inside & (index >= begins) & (index < begins + longest))
        observed.append((visible, np.full(len(visible), index), pixels[visible]))
    point, frame, pixels = (np.concatenate(column) for column in zip(*observed, strict=True))
    order = np.lexsort((frame, point))
    tracks = Tracks(point[order], frame[order], pixels[order], np.full(len(point), np.nan))
    tracks = tracks.only(np.bincount(point)[tracks.point] >= 3)
    return SyntheticShot(ShotTracks(numbers, tracks, (WIDTH, HEIGHT)), cameras)


def by_rows(camera: Camera, points: Array, pose: Callable[[float], Array]) -> Array:
    """(N, 2) pixels of points (N, 3) of the world, each seen from the pose of the row on which it is shown."""
    pixels = camera.project(points)
    for _ in range(4):
        rows = np.nan_to_num(pixels[:, 1] / HEIGHT - 0.5).clip(-1, 1)
        pixels = np.array(
            [
                replace(camera, world_from_camera=pose(row)).project(point[None])[0]
                for row, point in zip(rows, points, strict=True)
            ]
        )
    return pixels


def turning(frames: int = 24, angle: float = 0.35) -> Any:
    """The poses (4, 4) of a camera that pans and tilts in place. A larger `angle` is a wider pan."""
    aims = np.linspace(-1, 1, frames)
    return [look_at((0.3, -0.2, -1.0), (4 * angle * a, 0.8 * np.sin(3 * a), 5.0)) for a in aims]


def moving(frames: int = 24) -> Any:
    """The poses (4, 4) of a camera that goes to the side on a curve and looks ahead."""
    aims = np.linspace(-1, 1, frames)
    return [look_at((1.2 * a, 0.2 * np.sin(4 * a), -1 + 0.4 * a * a), (0.3 * a, 0, 5.0)) for a in aims]


def rotation_errors(estimated: Any, true: Any) -> Array:
    """(N,) degrees by which each camera's rotation is wrong, after the one rotation of the world that fits all best."""
    here = np.array([camera.world_from_camera[:3, :3] for camera in estimated])
    there = np.array([camera.world_from_camera[:3, :3] for camera in true])
    left, _, right = np.linalg.svd(np.einsum("nij,nkj->ik", there, here))
    off = np.einsum("nji,njk->nik", left @ right @ here, there)
    return np.degrees(np.arccos(np.clip((np.trace(off, axis1=1, axis2=2) - 1) / 2, -1, 1)))
