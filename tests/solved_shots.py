"""Results with a shot that was solved from synthetic tracks: an image sequence of blank pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.geometry.shots import synthetic_shots
from threer_blender.geometry.shots import solver
from threer_blender.model.lens import UNKNOWN
from threer_blender.model.reconstruction import Photo, PointCloud, Reconstruction
from threer_blender.worker import shots
from threer_blender.worker.tracked_videos import TrackedVideo

FIRST, FRAMES = 1001, 24  # number of the first frame, and of frames
EVERY = 5  # every fifth frame is a photo of the result


def silent(_done: int, _total: int) -> None:
    """A progress callback that does nothing."""


def write_plate(folder: Path) -> Path:
    """Writes an image sequence of blank pictures, the frames FIRST to FIRST + FRAMES - 1. Returns its pattern."""
    folder.mkdir()
    for number in range(FIRST, FIRST + FRAMES):
        Image.new("RGB", (synthetic_shots.WIDTH, synthetic_shots.HEIGHT), (number % 200, 90, 30)).save(
            folder / f"plate.{number}.png"
        )
    return folder / "plate.####.png"


def result_of(shot: synthetic_shots.SyntheticShot, path: Path, alone: bool = False) -> Reconstruction:
    """A result with the shot, which is solved in the world of an engine's cameras. Those are a little off.

    Where `alone`, the result's photos have the cameras of the solved shot instead of the engine's.
    """
    random = np.random.default_rng(1)
    photos = [
        Photo(
            f"plate {number}", str(path), synthetic_shots.WIDTH, synthetic_shots.HEIGHT, f"{number:064}", frame=number
        )
        for number in list(shot.cameras)[::EVERY]
    ]
    cameras = []
    for photo in photos:
        pose = shot.cameras[photo.frame or 0].world_from_camera.copy()
        pose[:3, 3] += 0.002 * random.standard_normal(3)
        cameras.append(replace(shot.cameras[photo.frame or 0], photo=photo.name, world_from_camera=pose))
    points, ones = np.ones((4, 3), np.float32), np.ones(4, np.float32)
    cloud = PointCloud(points, points, np.zeros((4, 3), np.uint8), ones, np.zeros(4, np.int32))
    empty = Reconstruction("colmap", "", photos, cameras, cloud=cloud, notes=["A note."])
    tracked = TrackedVideo(photos, UNKNOWN, shot.tracks, solver.kind_of(shot.tracks, UNKNOWN), "")
    (solved,) = shots.solve(empty, {str(path): tracked}, {}, pytest.fail, silent)
    if alone:
        cameras = [replace(solved.cameras[photo.frame or 0], photo=photo.name) for photo in photos]
    return replace(empty, cameras=cameras, shots=[solved])
