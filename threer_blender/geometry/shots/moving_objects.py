"""[R] Things that move in a shot: tracks that no point of a rigid world explains, grouped into areas of the picture.

A track is explained where one point, at whatever depth, is shown near all its places by the solved cameras. Pixels go
with the tracks around them, each weighed by its distance; single wrong tracks make no area.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray
from ...model.reconstruction import Camera
from ..adjustment.tracks import Tracks
from .moving import crossings

EXPLAINED = 8e-4  # of the longer side: how far off its track a point may be shown, root mean square
QUARTILES = 6.0  # times the first quartile of that in the shot, where that is more
LASTING_FRAMES = 8  # frames of a track that proves something; shorter ones are often lost at an edge
GRID = 160  # cells along the longer side, each of which moves or not
REACH = 0.025  # of the longer side: the deviation of a track's weight
LEAST_TRACKS = 3  # that move within four times the reach of each other; fewer are wrong tracks


def explained(tracks: Tracks, cameras: Sequence[Camera | None]) -> tuple[FloatArray, FloatArray, IntArray]:
    """The points (P, 3) that explain the tracks best, how far off these are shown (P,), root mean square in pixels, and
    in how many frames (P,). `cameras` are by the frames' places, None where a frame has none."""
    known = [index for index, camera in enumerate(cameras) if camera is not None]
    point, count = tracks.point, len(tracks)
    rays, centres = np.full((len(point), 3), np.nan), np.zeros((len(point), 3))
    by_camera = [(cameras[index], np.flatnonzero(tracks.camera == index)) for index in known]
    for camera, mine in by_camera:
        assert camera is not None
        local = camera.rays(tracks.pixels[mine])
        pose = camera.world_from_camera
        rays[mine] = local / np.linalg.norm(local, axis=1, keepdims=True) @ pose[:3, :3].T
        centres[mine] = pose[:3, 3]
    usable = np.isfinite(rays).all(axis=1)
    points = crossings(point[usable], count, rays[usable], centres[usable])
    square = np.zeros(len(point))
    for camera, mine in by_camera:
        assert camera is not None
        off = ((camera.project(points[point[mine]]) - tracks.pixels[mine]) ** 2).sum(axis=1)
        square[mine] = np.nan_to_num(off, nan=float(camera.width**2))
    observations = np.bincount(point[usable], minlength=count)
    sums = np.bincount(point[usable], square[usable], count)
    return points, np.sqrt(sums / np.maximum(observations, 1)), observations


def unexplained(tracks: Tracks, cameras: Sequence[Camera | None]) -> BoolArray:
    """(P,) whether no point explains a track. `cameras` are as for `explained`."""
    _, error, observations = explained(tracks, cameras)
    longer = max((max(camera.width, camera.height) for camera in cameras if camera is not None), default=0)
    usual = float(np.quantile(error[observations >= 2], 0.25)) if (observations >= 2).any() else 0.0
    independent: BoolArray = (observations >= 2) & (error > max(EXPLAINED * longer, QUARTILES * usual))
    return independent


def lasting(tracks: Tracks) -> BoolArray:
    """(P,) whether a track is long enough to prove that something moves."""
    long: BoolArray = np.bincount(tracks.point, minlength=len(tracks)) >= LASTING_FRAMES
    return long


def area(places: FloatArray, independent: BoolArray, size: tuple[int, int]) -> BoolArray:
    """Cells (h, w) of a picture `size`, GRID along its longer side, that go with the tracks that move.

    `places` (N, 2) are the pixels of the picture's tracks, and `independent` (N,) whether each does.
    """
    longer = max(size)
    width, height = (max(1, round(GRID * side / longer)) for side in size)
    independent = independent & ~_alone(places, independent, 4 * REACH * longer)
    if not independent.any():
        return np.zeros((height, width), np.bool_)
    columns, rows = (
        np.exp(-0.5 * (((np.arange(cells) + 0.5)[:, None] * side / cells - places[:, axis]) / (REACH * longer)) ** 2)
        for axis, (cells, side) in enumerate(zip((width, height), size, strict=True))
    )
    all_tracks, moving = rows @ columns.T, (rows * independent) @ columns.T
    inside: BoolArray = (moving > 0.5 * all_tracks) & (moving > np.exp(-4.5))
    return inside


def _alone(places: FloatArray, independent: BoolArray, reach: float) -> BoolArray:
    """(N,) whether fewer than LEAST_TRACKS of the tracks within `reach` of one move, itself included."""
    mine = places[independent]
    near = (np.linalg.norm(places[:, None] - mine[None], axis=2) < reach).sum(axis=1)
    alone: BoolArray = near < LEAST_TRACKS
    return alone
