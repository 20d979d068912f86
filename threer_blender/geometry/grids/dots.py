"""[R] Grids of dots: the centre of each dot gets its column and row. Dots may be dark or bright.

A symmetric grid is a square lattice. So is an asymmetric one, whose rows are shifted by half a step: its lattice lies
diagonally. A grid grows from one dot to its neighbours, as a checkerboard does from corner to corner. The picture of a
circle is about an ellipse, and the circle's centre does not appear at its middle; the difference is subtracted.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from PIL import Image

from ...model.arrays import Array, BoolArray, FloatArray, IntArray
from . import lattice
from .boards import LEAST_CORNERS, LEAST_SIDE, LONG_SIDE, Board

AROUND = 0.08  # of the longer side: the radius within which the local mean is taken
CONTRAST = 0.15  # of the picture's range, but at least FAINT: by how much a dot differs from the local mean
FAINT = 8.0  # grey levels
LEAST_AREA = 20  # of a dot, in pixels of the shrunk copy of the picture
LARGEST_SHARE = 0.01  # of the copy's pixels in one dot
ROUND = (0.93, 1.07)  # a dot's area over that of the ellipse with its moments
SLIM = 4.0  # times: the longest axis over the shortest
LIKE = 2.0  # times: by how much the areas of neighbours differ at most
NEAR = 0.3  # of the distance to a neighbour: how far from its predicted place a dot may lie
SEEDS = 30  # dots, at most, from which a grid is grown
MOST_COSINE = 0.6  # of the angle between a seed's two steps
LEAST_STEP_RATIO = 0.35  # times the second of a seed's two steps: a shorter first one makes no square
OUTLINE = 24  # points on the outline of a dot
FIRST_RADIUS = 0.25  # a dot's radius before it is known, in steps of the grid
EDGE = 2.5  # px beyond a dot's ellipse that still count for its middle


def find(picture: Array) -> list[Board]:
    """The largest grid of dots, dark or bright, in a picture (H, W, 3) uint8; empty where there is none."""
    grey = picture.astype(np.float64).mean(axis=2)
    shrink = max(1.0, max(grey.shape) / LONG_SIDE)
    size = round(grey.shape[1] / shrink), round(grey.shape[0] / shrink)
    small = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
    copy = grey if shrink == 1 else np.asarray(small, np.float64)
    scale = np.array(grey.shape[::-1]) / copy.shape[::-1]
    # Bright dots are dark ones in the negative.
    grids = [grid for sign in (1.0, -1.0) if (grid := _grid(sign * grey, sign * copy, scale)) is not None]
    return sorted(grids, key=lambda grid: -len(grid.cells))[:1]


def _grid(grey: FloatArray, copy: FloatArray, scale: FloatArray) -> Board | None:
    """The largest grid of dark dots; None where it is too small. `grey` (H, W) is the picture, `copy` (h, w) the shrunk
    copy, `scale` (2,) the size of the first over that of the second."""
    middles, moments, areas = _blobs(_dark(copy))
    best: lattice.PointAt = {}
    middle_of_all = np.median(middles, axis=0) if len(middles) else np.zeros(2)
    for seed in np.argsort(np.linalg.norm(middles - middle_of_all, axis=1))[:SEEDS]:
        if 2 * len(best) > len(middles):
            break
        grown = _grown(middles, areas, int(seed))
        best = max(best, grown, key=len)
    if len(best) < LEAST_CORNERS:
        return None
    cells, chosen = np.array(list(best), np.int64), list(best.values())
    pixels = np.array([_middle(grey, middles[dot] * scale, moments[dot] * np.outer(scale, scale)) for dot in chosen])
    good = np.isfinite(pixels).all(axis=1)
    good[good] &= lattice.even(cells[good], pixels[good])
    if good.sum() < LEAST_CORNERS or min(len(set(cells[good][:, axis])) for axis in (0, 1)) < LEAST_SIDE:
        return None
    pixels = pixels[good] - _offsets(cells[good], pixels[good], areas[chosen][good] * scale.prod())
    order = np.lexsort((cells[good][:, 0], cells[good][:, 1]))
    return Board(cells[good][order], pixels[order])


def _dark(grey: FloatArray) -> BoolArray:
    """(H, W) whether a pixel is darker than those around it."""
    radius = round(AROUND * max(grey.shape))
    mean = grey
    for axis in (0, 1):
        padding = [(radius + 1, radius) if each == axis else (0, 0) for each in (0, 1)]
        sums = np.cumsum(np.pad(mean, padding, mode="edge"), axis=axis)
        ends, begins = np.split(np.arange(sums.shape[axis]), [2 * radius + 1])[1], np.arange(grey.shape[axis])
        mean = (np.take(sums, ends, axis) - np.take(sums, begins, axis)) / (2 * radius + 1)
    low, high = np.percentile(grey, (5, 95))
    dark: BoolArray = mean - grey > max(FAINT, CONTRAST * (high - low))
    return dark


def _blobs(mask: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The elliptic areas of a mask (H, W): their middles (K, 2), covariances (K, 2, 2) and areas (K,) in pixels."""
    labels, rows, columns = _labels(mask)
    count = int(labels.max()) + 1 if len(labels) else 0
    area = np.bincount(labels, minlength=count).astype(np.float64)
    places = np.stack([columns + 0.5, rows + 0.5], axis=1)
    middles = np.stack([np.bincount(labels, places[:, axis], count) for axis in (0, 1)], axis=1) / area[:, None]
    off = places - middles[labels]
    moments = np.empty((count, 2, 2))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        moments[:, i, j] = np.bincount(labels, off[:, i] * off[:, j], count) / area + (1 / 12 if i == j else 0)
    ellipse = 4 * np.pi * np.sqrt(np.maximum(np.linalg.det(moments), 1e-12))
    values = np.linalg.eigvalsh(moments)
    good = (area >= LEAST_AREA) & (area <= LARGEST_SHARE * mask.size) & (values[:, 1] < SLIM**2 * values[:, 0])
    good &= (area / ellipse > ROUND[0]) & (area / ellipse < ROUND[1])
    for axis, limit in ((0, mask.shape[1]), (1, mask.shape[0])):
        reach = 2 * np.sqrt(moments[:, axis, axis]) + 2
        good &= (middles[:, axis] > reach) & (middles[:, axis] < limit - reach)
    return middles[good], moments[good], area[good]


def _labels(mask: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """The set pixels of a mask by row: (N,) the number of the connected area of each, its row and its column."""
    # Each row's set pixels are runs, from `begin` to `end`. Runs that touch one in the row above belong to its area:
    # `parent` leads from run to run, up to the one that stands for the area, its top.
    padded = np.pad(mask, ((0, 0), (1, 1))).astype(np.int8)
    change = np.diff(padded, axis=1)
    row, begin = np.nonzero(change == 1)
    end = np.nonzero(change == -1)[1]
    parent = np.arange(len(row))

    def top(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = int(parent[run])
        return run

    first = np.searchsorted(row, np.arange(mask.shape[0] + 1))
    for line in range(1, mask.shape[0]):
        above, below = first[line - 1], first[line]
        while above < first[line] and below < first[line + 1]:
            if begin[above] < end[below] and begin[below] < end[above]:
                parent[top(int(below))] = top(int(above))
            if end[above] < end[below]:
                above += 1
            else:
                below += 1
    tops = np.array([top(run) for run in range(len(row))], np.int64)
    numbers = np.unique(tops, return_inverse=True)[1].reshape(-1)
    lengths = end - begin
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.repeat(numbers, lengths), np.repeat(row, lengths), np.repeat(begin, lengths) + within


def _grown(middles: FloatArray, areas: FloatArray, seed: int) -> lattice.PointAt:
    """The grid that grows from a dot, as (column, row) -> dot; empty where its neighbours make no square."""
    way = middles - middles[seed]
    distance = np.linalg.norm(way, axis=1)
    near = [int(dot) for dot in np.argsort(distance)[1:9] if 1 / LIKE < areas[dot] / areas[seed] < LIKE]
    if len(near) < 2:
        return {}
    across = way[near[0]]
    beside = [dot for dot in near[1:] if abs(way[dot] @ across) < MOST_COSINE * distance[dot] * distance[near[0]]]
    if not beside or distance[beside[0]] > distance[near[0]] / LEAST_STEP_RATIO:
        return {}
    grid = {(0, 0): seed, (1, 0): near[0], (0, 1): beside[0]}
    waiting, used = deque(grid), set(grid.values())
    while waiting:
        column, row = waiting.popleft()
        here = grid[column, row]
        for step in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cell = (column + step[0], row + step[1])
            place = None if cell in grid else lattice.predicted(middles, grid, cell)
            dot = None if place is None else lattice.nearest(middles, place[0], NEAR * place[1], used)
            if dot is not None and 1 / LIKE < areas[dot] / areas[here] < LIKE:
                grid[cell] = dot
                used.add(dot)
                waiting.append(cell)
    return grid


def _middle(grey: FloatArray, middle: FloatArray, moments: FloatArray) -> FloatArray:
    """(2,) the middle of a dark dot in the picture `grey`, each pixel weighed by its share of the dot; NaN where it
    hardly differs from what is around it."""
    reach = 2 * np.sqrt(np.diag(moments)) + 2 * EDGE
    left, top = np.maximum(np.floor(middle - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + reach), grey.shape[::-1]).astype(int)
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    off = np.stack([x, y], axis=-1) - middle
    far = np.sqrt(np.einsum("hwi,ij,hwj->hw", off, np.linalg.inv(moments), off))
    narrow = 2 * np.sqrt(np.linalg.eigvalsh(moments)[0])  # px: the ellipse's shorter half axis, at which `far` is 2
    margin = 2 * EDGE / narrow
    patch = grey[top:bottom, left:right]
    inner, ring = patch[far < 1.0], patch[(far > 2 + margin) & (far < 2 + 2 * margin)]
    if len(inner) < 4 or len(ring) < 4:
        return np.full(2, np.nan)
    dark, bright = float(np.median(inner)), float(np.median(ring))
    if bright - dark < FAINT:
        return np.full(2, np.nan)
    share = ((bright - patch) / (bright - dark)).clip(0, 1) * (far < 2 + margin)
    return np.array([(share * x).sum(), (share * y).sum()]) / share.sum()


def _offsets(cells: IntArray, pixels: FloatArray, areas: FloatArray) -> FloatArray:
    """(N, 2) by how many pixels the middle of a dot's picture lies off the picture of the dot's centre.

    A smooth map from the grid to the picture shows the outline of each circle, and the middle of what that encloses.
    """
    middle, size = cells.mean(axis=0), max(float(np.ptp(cells, axis=0).max()) / 2, 1.0)
    degree = next((degree for degree in (5, 4, 3) if len(cells) >= 3 * (degree + 1) * (degree + 2) // 2), 2)

    def terms(places: FloatArray) -> FloatArray:
        x, y = np.moveaxis((places - middle) / size, -1, 0)
        return np.stack([x**i * y**j for i in range(degree + 1) for j in range(degree + 1 - i)], axis=-1)

    places = cells.astype(np.float64)
    coefficients = np.linalg.lstsq(terms(places), pixels, rcond=None)[0]
    angles = np.arange(OUTLINE) * 2 * np.pi / OUTLINE
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outlines = terms(places[:, None] + FIRST_RADIUS * circle) @ coefficients
    radius = FIRST_RADIUS * float(np.median(np.sqrt(areas / np.abs(_enclosed(outlines)[1]))))
    offsets: FloatArray = _enclosed(terms(places[:, None] + radius * circle) @ coefficients)[0] - (
        terms(places) @ coefficients
    )
    return offsets


def _enclosed(outline: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The middles (N, 2) and the signed areas (N,) of polygons (N, K, 2)."""
    origin = outline.mean(axis=1, keepdims=True)
    here = outline - origin
    after = np.roll(here, -1, axis=1)
    cross = here[..., 0] * after[..., 1] - here[..., 1] * after[..., 0]
    area = cross.sum(axis=1) / 2
    return origin[:, 0] + ((here + after) * cross[..., None]).sum(axis=1) / (6 * area[:, None]), area
