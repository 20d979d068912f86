"""[R] Stage 1 of solving a shot: points followed through all of its frames.

A point is followed from frame to frame, forwards and back again. Then its place is refined by the patch around it in
the first frame that showed it, so that it does not drift. Its track ends where the patch no longer fits. New points are
taken where the picture has none. Where most points vanish at once, by a black frame or a flash, the last good frame is
kept for a while and compared with the frames that follow. So tracks end at a cut, but not at a flash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, FloatArray
from ..adjustment.tracks import Tracks
from ..features import patches

LONG_SIDE = 960  # pixels of the pictures in which points are followed
CELLS = 24  # along the longer side of a picture; each should have a point
WEAKEST = 0.01  # of the strength of the strongest corner in a sample of pixels: weaker ones are not taken
FAINTEST = 0.3  # grey levels² per pixel²: weaker corners are noise
LEAST_CORRELATION = 0.85  # of a patch that is recognised
RETURN_ERROR = 0.7  # px: how far from its start a point may return that is followed forwards and back
LARGEST_CORRECTION = 2.0  # px along each axis: how far the patch may move the place of a followed point
LARGEST_STRETCH = 2.5  # a patch whose side grew or shrank by a larger factor is lost
LEAST_FOLLOWED = 0.25  # share of the points; where fewer are followed, the last good frame is held
HELD_FRAMES = 12  # for which it is held at most
LEAST_FRAMES = 3  # of a track


class Frame(NamedTuple):
    """A frame's `number`; its picture `grey` (H, W) float32, grey levels from 0 to 255, the longer side at most
    LONG_SIDE; and the `mask` (H, W) bool of pixels where points may lie, or None for everywhere."""

    number: int
    grey: Array
    mask: Array | None = None


@dataclass(frozen=True)
class ShotTracks:
    """The points tracked through a shot of F frames: the frames' `numbers` (F,) int64, ascending; the `tracks`, whose
    `camera` is an index into the numbers, in pixels of the frames as filmed; and the frames' `size` (width, height)."""

    numbers: Array
    tracks: Tracks
    size: tuple[int, int]


@dataclass
class _Points:
    """N points that are followed: their numbers `ids`, `places` (N, 2) in the last frame, `speed` (N, 2) in pixels
    per frame, their last motion, `warps` (N, 2, 2) from the first frame's patch to the last frame's, and their
    templates, see `patches.templates`."""

    ids: Array
    places: FloatArray
    speed: FloatArray
    warps: FloatArray
    patch: Array
    slopes: Array
    inverses: FloatArray

    def only(self, chosen: Array) -> _Points:
        """The `chosen` points, by a mask or indices."""
        return _Points(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def joined(self, other: _Points) -> _Points:
        """The points of both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return _Points(*(np.concatenate(pair) for pair in pairs))


@dataclass
class _Tracker:
    """The state between two frames.

    `cell` is the side of a cell in pixels. `held` is set while most points are lost: the index of the frame in which
    they vanished, and the pyramid and points of the last good frame before it. `records` has an entry for each frame:
    the numbers of its points, its index, and the places of the points.
    """

    cell: int
    next_id: int = 0  # the next point's number
    levels: list[Array] = field(default_factory=list)
    points: _Points | None = None
    held: tuple[int, list[Array], _Points] | None = None
    records: list[tuple[Array, int, FloatArray]] = field(default_factory=list)


def track(frames: Iterable[Frame], size: tuple[int, int]) -> ShotTracks:
    """The tracks of a shot whose frames have the `size` (width, height) in pixels as filmed. `frames` are their smaller
    grey pictures in the order of their numbers, all of one shape."""
    numbers: list[int] = []
    tracker: _Tracker | None = None
    scale = 1.0
    for index, frame in enumerate(frames):
        if tracker is None:
            tracker = _Tracker(max(4, round(max(frame.grey.shape) / CELLS)))
            scale = size[0] / frame.grey.shape[1]
        numbers.append(frame.number)
        _advance(tracker, index, frame)
    records = [] if tracker is None else tracker.records
    return ShotTracks(np.array(numbers, np.int64), _tracks(records, scale), size)


def _advance(tracker: _Tracker, index: int, frame: Frame) -> None:
    """Follows the points into the next frame, the one with this `index`, and takes new ones there."""
    levels = patches.pyramid(frame.grey)
    before, levels_before = tracker.points, tracker.levels
    now = None if before is None else _followed(levels_before, levels, before, frame.mask)
    if before is not None and now is not None and tracker.held is None and _most_vanished(before, now):
        tracker.held = (index, levels_before, before)
    if now is not None and tracker.held is not None:
        since, good_levels, good_points = tracker.held
        again = _followed(good_levels, levels, good_points, frame.mask, index - since + 1)
        if not _most_vanished(good_points, again):
            now = now.joined(again.only(~np.isin(again.ids, now.ids)))
            tracker.held = None
        elif index - since >= HELD_FRAMES:
            tracker.held = None
    added = _new_points(tracker, levels[0], now, frame.mask)
    now = added if now is None else now.joined(added)
    tracker.records.append((now.ids, index, now.places.copy()))
    tracker.levels, tracker.points = levels, now


def _most_vanished(before: _Points, after: _Points) -> bool:
    """Whether a smaller share than LEAST_FOLLOWED of the points is left."""
    return len(after.ids) < LEAST_FOLLOWED * len(before.ids)


def _followed(first: list[Array], second: list[Array], points: _Points, mask: Array | None, steps: int = 1) -> _Points:
    """The points that are followed from the pyramid `first` into `second`, `steps` frames later, and recognised there,
    at their places there."""
    if not len(points.ids):
        return points
    places, good = _there_and_back(first, second, points.places, points.places + steps * points.speed)
    if good.any() and not good.all():  # lost points are tried again with the median motion of the others
        motion = np.median(places[good] - points.places[good], axis=0)
        lost = np.flatnonzero(~good)
        places[lost], good[lost] = _there_and_back(first, second, points.places[lost], points.places[lost] + motion)
    chosen = np.flatnonzero(good)
    moved, rough = points.only(chosen), places[chosen]
    moved.places, moved.warps = rough.copy(), moved.warps.copy()
    correlations = np.zeros(len(chosen))
    patches.recognise(second[0], moved.patch, moved.slopes, moved.inverses, moved.places, moved.warps, correlations)
    area = moved.warps[:, 0, 0] * moved.warps[:, 1, 1] - moved.warps[:, 0, 1] * moved.warps[:, 1, 0]
    correction = np.abs(moved.places - rough).max(axis=1, initial=0)
    recognised = (correlations > LEAST_CORRELATION) & (correction < LARGEST_CORRECTION)
    recognised &= (area > LARGEST_STRETCH**-2) & (area < LARGEST_STRETCH**2)
    if mask is not None:
        column, row = (np.clip(moved.places[:, axis].astype(int), 0, mask.shape[1 - axis] - 1) for axis in (0, 1))
        recognised &= mask[row, column]
    moved.speed = (moved.places - points.places[chosen]) / steps
    return moved.only(recognised)


def _there_and_back(
    first: list[Array], second: list[Array], places: FloatArray, guesses: FloatArray
) -> tuple[FloatArray, Array]:
    """The places (N, 2) in `second` of the patches at `places` of `first`, searched from `guesses`; and (N,) bool
    whether each, followed back, returns to its place."""
    there, inside = patches.follow(first, second, places, guesses)
    back, inside_again = patches.follow(second, first, there, there - (guesses - places))
    good = inside & inside_again & (np.linalg.norm(back - places, axis=1) < RETURN_ERROR)
    return there, good


def _new_points(tracker: _Tracker, picture: Array, points: _Points | None, mask: Array | None) -> _Points:
    """New points in the cells of the picture that have none of `points`."""
    height, width = picture.shape
    margin = 2 * patches.HALF
    strength = patches.corners(picture)
    blocked = np.ones((height, width), np.bool_)
    blocked[margin:-margin, margin:-margin] = False
    if mask is not None:
        blocked |= ~mask
    # The strongest corner of a sample: two pixels of each cell.
    strongest = max(strength[y :: tracker.cell, x :: tracker.cell].max(initial=0) for y, x in ((0, 0), (3, 3)))
    least = max(FAINTEST, WEAKEST * float(strongest))
    if points is not None:
        reach = max(2, round(0.7 * tracker.cell))
        for x, y in points.places.astype(int):
            blocked[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    places = patches.best_corners(strength, blocked, tracker.cell, least) + 0.5
    patch, slopes, inverses = patches.templates(picture, places)
    count = len(places)
    ids = tracker.next_id + np.arange(count)
    tracker.next_id += count
    speed = np.zeros((count, 2))
    if points is not None and len(points.ids) and count:
        speed += np.median(points.speed, axis=0)
    return _Points(ids, places, speed, np.tile(np.eye(2), (count, 1, 1)), patch, slopes, inverses)


def _tracks(records: Iterable[tuple[Array, int, FloatArray]], scale: float) -> Tracks:
    """The records as Tracks in pixels of the frames as filmed, which are `scale` times as large as the followed
    pictures; without points in fewer than LEAST_FRAMES. Their depths are unknown (NaN)."""

    def columns() -> Iterator[tuple[Array, Array, FloatArray]]:
        yield np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 2))
        for ids, index, places in records:
            yield ids, np.full(len(ids), index), places * scale

    ids, frames, pixels = (np.concatenate(column) for column in zip(*columns(), strict=True))
    order = np.lexsort((frames, ids))
    ids, frames, pixels = ids[order], frames[order], pixels[order]
    enough = np.bincount(ids)[ids] >= LEAST_FRAMES if len(ids) else np.zeros(0, np.bool_)
    point = np.unique(ids[enough], return_inverse=True)[1].reshape(-1)
    return Tracks(point, frames[enough], pixels[enough], np.full(len(point), np.nan))
