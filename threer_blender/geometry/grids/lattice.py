"""[R] Lattices in pictures: the places of the neighbours of points whose columns and rows are known. numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...model.arrays import BoolArray, FloatArray, IntArray

UNEVEN = 0.15  # of the distance to the neighbours: how far a point may be off the middle between its neighbours

PointAt = dict[tuple[int, int], int]
"""(column, row) -> the index of the point there."""


def predicted(pixels: FloatArray, point_at: PointAt, cell: tuple[int, int]) -> tuple[FloatArray, float] | None:
    """The place (2,) where the corner of a cell should be, and its distance from its neighbours, by the corners that
    `point_at` has; None where too few are near."""
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
        for side in ((down, across), (-down, -across)):  # the same step in the line next to it
            other, other_far = (near[0] + side[0], near[1] + side[1]), (cell[0] + side[0], cell[1] + side[1])
            if other in point_at and other_far in point_at:
                step = pixels[point_at[other_far]] - pixels[point_at[other]]
                guesses.append(here + step)
                lengths.append(float(np.linalg.norm(step)))
    if not guesses:
        return None
    return np.mean(guesses, axis=0), float(np.mean(lengths))


def nearest(pixels: FloatArray, place: FloatArray, radius: float, used: set[int]) -> int | None:
    """The corner nearest to `place` (2,), if it is within `radius` pixels and not `used`."""
    distance = np.linalg.norm(pixels - place, axis=1)
    candidate = int(distance.argmin())
    return candidate if distance[candidate] < radius and candidate not in used else None


def _neighbours(cells: IntArray) -> Callable[[int, int], IntArray]:
    """A function of a number of columns and rows: (N,) the index of each cell's neighbour that far away, -1 where there
    is none."""
    numbers = {(int(column), int(row)): number for number, (column, row) in enumerate(cells)}

    def at(across: int, down: int) -> IntArray:
        return np.array([numbers.get((int(column) + across, int(row) + down), -1) for column, row in cells])

    return at


def spacing(cells: IntArray, pixels: FloatArray) -> FloatArray:
    """(N,) the distance in pixels to the nearest neighbour on the board; 0 without one."""
    at, nearest_of = _neighbours(cells), np.full(len(cells), np.inf)
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        other = at(across, down)
        distance = np.linalg.norm(pixels[other] - pixels, axis=1)
        nearest_of = np.where(other >= 0, np.minimum(nearest_of, distance), nearest_of)
    return np.where(np.isfinite(nearest_of), nearest_of, 0.0)


def even(cells: IntArray, pixels: FloatArray) -> BoolArray:
    """(N,) whether a corner lies about half-way between its two neighbours in a column or row, wherever it has both."""
    at, distance, fits = _neighbours(cells), spacing(cells, pixels), np.ones(len(cells), np.bool_)
    for across, down in ((1, 0), (0, 1)):
        before, after = at(-across, -down), at(across, down)
        both = (before >= 0) & (after >= 0)
        off = np.linalg.norm((pixels[before] + pixels[after]) / 2 - pixels, axis=1)
        fits &= ~both | (off < UNEVEN * distance)
    return fits
