"""[R] Points of a lattice in a picture, by their columns and rows: neighbours, spacing, evenness. numpy only.

The points are the corners of a checkerboard, or the centres of dots. A point's cell is its column and row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray

UNEVEN = 0.15  # of the distance to the neighbours: how far a point may be off the middle between its neighbours

PointAt = dict[tuple[int, int], int]
"""Cell (column, row) -> the index of the point there."""


def predicted(pixels: FloatArray, point_at: PointAt, cell: tuple[int, int]) -> tuple[FloatArray, float] | None:
    """The place (2,) where the point of a `cell` should be, and its distance from its neighbours, in pixels; None where
    `point_at` has too few points near it. `pixels` (N, 2) are the places of all points."""
    guesses, lengths = [], []
    column, row = cell
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        near, far = (column - across, row - down), (column - 2 * across, row - 2 * down)
        if near not in point_at:
            continue
        here = pixels[point_at[near]]
        if far in point_at:
            there = pixels[point_at[far]]
            guesses.append(2 * here - there)
            lengths.append(float(np.linalg.norm(here - there)))
            continue
        for side in ((down, across), (-down, -across)):  # the step from `near` to `cell`, in the line on either side
            begin, end = (near[0] + side[0], near[1] + side[1]), (cell[0] + side[0], cell[1] + side[1])
            if begin in point_at and end in point_at:
                step = pixels[point_at[end]] - pixels[point_at[begin]]
                guesses.append(here + step)
                lengths.append(float(np.linalg.norm(step)))
    if not guesses:
        return None
    return np.mean(guesses, axis=0), float(np.mean(lengths))


def nearest(pixels: FloatArray, place: FloatArray, radius: float, used: set[int]) -> int | None:
    """The index of the point of `pixels` (N, 2) that is nearest to `place` (2,), if it is within `radius` pixels and
    not `used`."""
    distance = np.linalg.norm(pixels - place, axis=1)
    candidate = int(distance.argmin())
    return candidate if distance[candidate] < radius and candidate not in used else None


def _neighbours(cells: IntArray) -> Callable[[int, int], IntArray]:
    """A function of a number of columns and rows: (N,) the index of each point's neighbour that far away, -1 where
    there is none. `cells` (N, 2) are those of the points."""
    numbers = {(int(column), int(row)): number for number, (column, row) in enumerate(cells)}

    def at(across: int, down: int) -> IntArray:
        return np.array([numbers.get((int(column) + across, int(row) + down), -1) for column, row in cells])

    return at


def spacing(cells: IntArray, pixels: FloatArray) -> FloatArray:
    """(N,) the distance in pixels of each point from its nearest neighbour on the lattice; 0 without one. `cells`
    (N, 2) and `pixels` (N, 2) are those of the points."""
    at, least = _neighbours(cells), np.full(len(cells), np.inf)
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        other = at(across, down)
        distance = np.linalg.norm(pixels[other] - pixels, axis=1)
        least = np.where(other >= 0, np.minimum(least, distance), least)
    return np.where(np.isfinite(least), least, 0.0)


def even(cells: IntArray, pixels: FloatArray) -> BoolArray:
    """(N,) whether each point lies about half-way between its two neighbours in its column and in its row, where it has
    both. `cells` (N, 2) and `pixels` (N, 2) are those of the points."""
    at, distance, fits = _neighbours(cells), spacing(cells, pixels), np.ones(len(cells), np.bool_)
    for across, down in ((1, 0), (0, 1)):
        before, after = at(-across, -down), at(across, down)
        both = (before >= 0) & (after >= 0)
        off = np.linalg.norm((pixels[before] + pixels[after]) / 2 - pixels, axis=1)
        fits &= ~both | (off < UNEVEN * distance)
    return fits
