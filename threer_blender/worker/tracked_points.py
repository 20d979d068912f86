"""[R] The points that were tracked through a shot: from the tracker to a result, and from there to a second solve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..geometry.adjustment.tracks import Tracks
from ..geometry.shots import moving_objects
from ..geometry.shots.tracking import ShotTracks
from ..model.arrays import Array
from ..model.reconstruction import MEDIAN_DEPTH, Camera, Shot, TrackedPoints


def all_of(shot_tracks: ShotTracks, cameras: Mapping[int, Camera]) -> TrackedPoints:
    """All tracked points, each with weight 1, measured against the `cameras` (by frame number)."""
    tracks, count = shot_tracks.tracks, len(shot_tracks.tracks)
    tracked = TrackedPoints(
        point=tracks.point.astype(np.int32),
        frame=shot_tracks.numbers[tracks.camera].astype(np.int32),
        pixels=tracks.pixels.astype(np.float32),
        positions=np.full((count, 3), np.nan, np.float32),
        errors=np.full(count, np.nan, np.float32),
        weights=np.ones(count, np.float32),
    )
    return measured(tracked, cameras)


def measured(tracked: TrackedPoints, cameras: Mapping[int, Camera]) -> TrackedPoints:
    """The points with new positions and errors, from the `cameras` (by frame number).

    Positions (P, 3) are in the cameras' world. Errors (P,) are the root mean square reprojection errors in pixels. Both
    are NaN for a point that fewer than two frames with cameras show.
    """
    numbers = np.unique(tracked.frame)
    points, errors, frames = moving_objects.best_points(
        _tracks(tracked, numbers), [cameras.get(int(number)) for number in numbers]
    )
    centres = np.array([camera.world_from_camera[:3, 3] for camera in cameras.values()])
    if len(centres) and (centres == centres[0]).all():  # a nodal camera tells directions alone: points lie on a dome
        directions = points - centres[0]
        lengths = np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        points = centres[0] + MEDIAN_DEPTH * directions / lengths
    determined = frames >= 2
    return replace(
        tracked,
        positions=np.where(determined[:, None], points, np.nan).astype(np.float32),
        errors=np.where(determined, errors, np.nan).astype(np.float32),
    )


def _tracks(tracked: TrackedPoints, numbers: Array) -> Tracks:
    """The points as Tracks whose cameras are the frames with these `numbers`, in ascending order.

    An observation in any other frame gets a wrong camera, so the caller leaves it out.
    """
    return Tracks(
        tracked.point.astype(np.int64),
        np.searchsorted(numbers, tracked.frame),
        tracked.pixels.astype(np.float64),
        np.full(len(tracked.point), np.nan),
    )


def usable(shot: Shot) -> ShotTracks:
    """The tracks of a shot without the points and frames that the artist left out, with the artist's weights.

    The shot must have tracks.
    """
    tracked = shot.tracks
    assert tracked is not None
    every = np.arange(shot.first_frame, shot.last_frame + 1)
    numbers = every[~(np.isin(every, shot.missing) | is_bad(shot, every))]
    chosen = (tracked.weights[tracked.point] > 0) & np.isin(tracked.frame, numbers)
    weights = tracked.weights[tracked.point].astype(np.float64)
    tracks = _tracks(tracked, numbers)
    if not (weights[chosen] == 1).all():
        tracks = replace(tracks, weight=weights)
    some = next(iter(shot.cameras.values()))
    return ShotTracks(numbers, tracks.only(chosen), (some.width, some.height))


def is_bad(shot: Shot, numbers: Array) -> Array:
    """(N,) whether the artist left out the frames with these numbers (N,)."""
    bad = np.zeros(len(numbers), np.bool_)
    for first, last in shot.bad:
        bad |= (numbers >= first) & (numbers <= last)
    return bad
