"""[R] Shots: the camera of each frame of the chosen videos, from the frames that an engine solved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ..files.sequence_files import missing
from ..geometry.sfm import camera_tracking
from ..model.arrays import Array
from ..model.reconstruction import Camera, Photo, Reconstruction, Shot
from ..pictures import video

MOST_POINTS = 300_000  # of the cloud; a few hundred are looked for in a frame
GREY = np.array([0.299, 0.587, 0.114], np.float32)


def follow(reconstruction: Reconstruction, report: Callable[[int, int], None]) -> list[Shot]:
    """A Shot of each video of which two or more frames were solved; needs a cloud. Raises what `report` raises."""
    keys: dict[str, dict[int, Camera]] = defaultdict(dict)
    first: dict[str, Photo] = {}
    for photo in reconstruction.photos:
        camera = reconstruction.camera(photo.name)
        if photo.frame is not None and camera is not None:
            keys[photo.path][photo.frame] = camera
            first.setdefault(photo.path, photo)
    if reconstruction.cloud is None:
        return []
    every = max(1, len(reconstruction.cloud) // MOST_POINTS)
    positions = reconstruction.cloud.positions[::every]
    videos = {path: solved for path, solved in keys.items() if len(solved) >= 2}
    return [_shot(first[path], solved, positions, report) for path, solved in videos.items()]


def _shot(photo: Photo, keys: Mapping[int, Camera], positions: Array, report: Callable[[int, int], None]) -> Shot:
    film = video.film(photo.path)
    name = photo.name.rpartition(" ")[0]
    first, last = film.numbers[0], film.numbers[-1]
    progress, grey = partial(_progress, report, last), partial(_grey, photo.path)
    cameras = {
        number: replace(camera, photo=video.frame_name(name, number))
        for number, camera in camera_tracking.follow(keys, positions, grey, film.numbers, progress)
    }
    return Shot(
        name,
        photo.path,
        film.frame_rate or video.USUAL_RATE,
        last - first + 1,
        cameras,
        first_frame=first,
        missing=tuple(missing(film.numbers)),
        plate_size=None if film.plate_size == film.size else film.plate_size,
    )


def _progress(report: Callable[[int, int], None], count: int, done: int) -> None:
    report(done, count)


def _grey(path: str, number: int) -> Array:
    """(H, W) float32 of a frame."""
    return np.asarray(video.pixels(path, number, camera_tracking.LONG_SIDE) @ GREY, np.float32)
