"""[R] Moving objects in a shot: tracks that no point of a rigid world explains, grouped into areas of the picture.

A track is explained if the solved cameras project one point, at any depth, near all of its places. A pixel moves if
most of the tracks around it do, weighted by their distance. Single wrong tracks make no area.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray
from ...model.reconstruction import Camera
from ..adjustment.tracks import Tracks
from .moving import crossings

EXPLAINED = 8e-4  # of the longer side: the largest root mean square error of an explained track
EXPLAINED_QUARTILES = 6.0  # the same limit in lower quartiles of all tracks' errors; the larger of both counts
LASTING_FRAMES = 8  # of a track that proves that something moves; shorter ones are often lost at an edge
PROVEN = 3e-3  # of the longer side: the least error of such a track; those that slip along an outline have less
GRID = 160  # cells along the picture's longer side, each of which moves or not
REACH = 0.025  # of the longer side: the standard deviation of a track's weight around its place
LEAST_WEIGHT = np.exp(-4.5)  # of all moving tracks around a pixel: that of one, three standard deviations away
LEAST_TRACKS = 3  # that must move within four times the reach of each other; fewer are wrong tracks


def best_points(tracks: Tracks, cameras: Sequence[Camera | None]) -> tuple[FloatArray, FloatArray, IntArray]:
    """The points (P, 3) that explain the tracks best, their root mean square reprojection errors (P,) in pixels, and
    the numbers of frames (P,) in which these were measured. `cameras` has one entry per frame, None where it has
    none."""
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
        square[mine] = np.nan_to_num(off, nan=float(camera.width**2))  # behind the camera
    observations = np.bincount(point[usable], minlength=count)
    sums = np.bincount(point[usable], square[usable], count)
    return points, np.sqrt(sums / np.maximum(observations, 1)), observations


def unexplained(tracks: Tracks, cameras: Sequence[Camera | None]) -> BoolArray:
    """(P,) bool: the tracks that no point explains. `cameras` are as for `best_points`."""
    return moving_tracks(tracks, cameras)[0]


def moving_tracks(tracks: Tracks, cameras: Sequence[Camera | None]) -> tuple[BoolArray, BoolArray]:
    """(P,) bool each: the tracks that no point explains, and those of them that prove that something moves, as they are
    long and have a large error. `cameras` are as for `best_points`."""
    _, error, observations = best_points(tracks, cameras)
    longer = max((max(camera.width, camera.height) for camera in cameras if camera is not None), default=0)
    usual = float(np.quantile(error[observations >= 2], 0.25)) if (observations >= 2).any() else 0.0
    independent: BoolArray = (observations >= 2) & (error > max(EXPLAINED * longer, EXPLAINED_QUARTILES * usual))
    long = np.bincount(tracks.point, minlength=len(tracks)) >= LASTING_FRAMES
    proven: BoolArray = independent & long & (error > PROVEN * longer)
    return independent, proven


def area(places: FloatArray, independent: BoolArray, size: tuple[int, int]) -> BoolArray:
    """(h, w) bool: the cells of a picture that move, GRID along its longer side. `size` is its width and height in
    pixels.

    `places` (N, 2) are the pixels of the tracks in the picture, and `independent` (N,) bool says which of them move.
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
    inside: BoolArray = (moving > 0.5 * all_tracks) & (moving > LEAST_WEIGHT)
    return inside


def _alone(places: FloatArray, independent: BoolArray, reach: float) -> BoolArray:
    """(N,) bool: the tracks with fewer than LEAST_TRACKS moving tracks, itself included, within `reach` pixels."""
    mine = places[independent]
    near = (np.linalg.norm(places[:, None] - mine[None], axis=2) < reach).sum(axis=1)
    alone: BoolArray = near < LEAST_TRACKS
    return alone
