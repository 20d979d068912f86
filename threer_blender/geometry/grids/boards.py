"""[R] Checkerboards made of corners: each corner gets its column and row.

Boards may be cut off by the picture's border, lie one inside another, and be distorted.

A board grows from one corner to its neighbours. Each neighbour is searched at the place that the corners of the board
predict, and must be joined to them by an edge between a black and a white square. Ahead of a corner, seen along an
edge, one square is white, on the left or on the right; ahead of the next corner, it is the one on the other side.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...model.arrays import Array, BoolArray, FloatArray, IntArray
from . import lattice
from .corners import Corners, refined, saddles

LONG_SIDE = 1600  # px of the copy in which corners are searched; they are refined in the picture itself
CONE = 0.35  # sine of the angle between an edge and the direction to the first neighbour along it, at most
NEAR = 0.3  # of the distance to a neighbour: how far from its predicted place a corner may lie
EDGE_STEPS, EDGE_OFFSET = 5, 0.2  # places along an edge whose sides are compared; distance from it, over its length
CONTRAST = 0.25  # of the largest difference along an edge: the least difference of its two sides at each place
FAINT = 4.0  # grey levels: an edge whose largest difference is smaller is none
LEAST_CORNERS, LEAST_SIDE = 12, 3  # of a board; corners along each side
MOST_TRIED = 40  # corners along an edge, the nearest, that are tried as the neighbour
SEEDS = 60  # corners, at most, from which a board is grown
WINDOW = (0.28, 3, 12)  # the radius of the refinement: as a share of the distance to the neighbours; least and most, px
LEAST_SPACING = 8.0  # px: of the corners' distances to their nearest neighbours, the least median
FIELD = 0.35  # of the distance to the nearest neighbour: how far from a corner its four squares are sampled
UNLIKE = 0.35  # of the contrast of white and black: how far two squares of one colour may differ


@dataclass(frozen=True)
class Board:
    """The corners of a checkerboard, or the centres of a grid of dots: `cells` (N, 2) their columns and rows, counted
    from an arbitrary one; `pixels` (N, 2) their places in the picture."""

    cells: IntArray
    pixels: FloatArray


def find(picture: Array) -> list[Board]:
    """The boards in a picture (H, W, 3) uint8, those of most corners first; empty where there is none."""
    grey = picture.astype(np.float64).mean(axis=2)
    shrink = max(1.0, max(grey.shape) / LONG_SIDE)
    copy = grey
    if shrink > 1:
        size = round(grey.shape[1] / shrink), round(grey.shape[0] / shrink)
        small = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
        copy = np.asarray(small, np.float64)
    scale = np.array(grey.shape[::-1]) / copy.shape[::-1]
    corners, boards = saddles(copy), []
    while len(corners) >= LEAST_CORNERS:
        grown = _largest(copy, corners)
        if grown is None:
            break
        taken = np.zeros(len(corners), np.bool_)
        taken[list(grown.values())] = True
        board = _board(grey, corners, grown, scale)
        if board is not None:
            boards.append(board)
        corners = corners.only(~taken)
    return sorted(boards, key=lambda board: -len(board.cells))


def _largest(grey: FloatArray, corners: Corners) -> lattice.PointAt | None:
    """The largest board that grows from one of the first SEEDS corners, as (column, row) -> corner; None where all are
    too small. A board that has more than a third of the corners is taken for the largest."""
    best: lattice.PointAt = {}
    tried: set[int] = set()
    for seed in range(len(corners)):
        if len(tried) >= SEEDS or (len(best) >= LEAST_CORNERS and 3 * len(best) > len(corners)):
            break
        if seed in best.values():
            continue
        tried.add(seed)
        grown = _grown(grey, corners, seed)
        if len(grown) > len(best):
            best = grown
    columns, rows = ({cell[axis] for cell in best} for axis in (0, 1))
    return best if len(best) >= LEAST_CORNERS and min(len(columns), len(rows)) >= LEAST_SIDE else None


def _grown(grey: FloatArray, corners: Corners, seed: int) -> lattice.PointAt:
    """The board that grows from the corner `seed`, as (column, row) -> corner; empty where the seed has too few
    neighbours."""
    board = {(0, 0): seed}
    for step, direction in zip(((1, 0), (-1, 0), (0, 1), (0, -1)), _directions(corners, seed), strict=True):
        neighbour = _along(grey, corners, seed, direction)
        if neighbour is not None:
            board[step] = neighbour
    if len(board) < 3 or len(set(board.values())) < len(board):
        return {}
    waiting, used = deque(board), set(board.values())
    while waiting:
        column, row = waiting.popleft()
        for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            cell = (column + across, row + down)
            if cell in board:
                continue
            place = lattice.predicted(corners.pixels, board, cell)
            corner = None if place is None else lattice.nearest(corners.pixels, place[0], NEAR * place[1], used)
            if corner is not None and _are_neighbours(grey, corners, board[column, row], corner):
                board[cell] = corner
                used.add(corner)
                waiting.append(cell)
    return board


def _directions(corners: Corners, corner: int) -> list[FloatArray]:
    """The four unit vectors (2,) from a corner along its edges: forth and back along one, then along the other."""
    first, second = corners.edges[corner]
    return [first, -first, second, -second]


def _along(grey: FloatArray, corners: Corners, corner: int, direction: FloatArray) -> int | None:
    """The nearest neighbour of a corner along the edge in this `direction` (2,); None where there is none."""
    way = corners.pixels - corners.pixels[corner]
    distance = np.linalg.norm(way, axis=1)
    ahead = way @ direction
    beside = np.abs(way[:, 0] * direction[1] - way[:, 1] * direction[0])
    inside = np.flatnonzero((ahead > 0) & (beside < CONE * distance))
    for candidate in inside[np.argsort(distance[inside])][:MOST_TRIED]:
        if _are_neighbours(grey, corners, corner, int(candidate)):
            return int(candidate)
    return None


def _are_neighbours(grey: FloatArray, corners: Corners, first: int, second: int) -> bool:
    """Whether two corners are neighbours: an edge leads from one to the other, and the white squares ahead of them,
    seen along it, lie on opposite sides."""
    start, end = corners.pixels[first], corners.pixels[second]
    way = end - start
    length = float(np.linalg.norm(way))
    along = way / max(length, 1e-9)
    normal = np.array([-along[1], along[0]])
    # The side on which a corner's white square lies, ahead of it along the way.
    sides = [np.sign((corners.white[each] @ along) * (corners.white[each] @ normal)) for each in (first, second)]
    if sides[0] == sides[1]:
        return False
    offset = max(1.5, EDGE_OFFSET * length) * normal
    share = np.linspace(0.25, 0.75, EDGE_STEPS)[:, None]
    places = start + share * way
    difference = _sampled(grey, places + offset) - _sampled(grey, places - offset)
    least = CONTRAST * float(np.abs(difference).max())
    of_one_sign = (difference > least).all() or (difference < -least).all()
    return bool(of_one_sign and np.abs(difference).max() > FAINT)


def _sampled(grey: FloatArray, places: FloatArray) -> FloatArray:
    """The grey of the pixels at `places` (N, 2)."""
    column = places[:, 0].astype(int).clip(0, grey.shape[1] - 1)
    row = places[:, 1].astype(int).clip(0, grey.shape[0] - 1)
    return grey[row, column]


def _board(grey: FloatArray, corners: Corners, grown: lattice.PointAt, scale: FloatArray) -> Board | None:
    """The board with its corners refined in the picture `grey`, without those that are no crossings or not in the
    middle between their neighbours; None where too few remain. `scale` (2,) is the picture's size over the copy's."""
    cells = np.array(list(grown), np.int64)
    start = corners.pixels[list(grown.values())] * scale
    spacing = lattice.spacing(cells, start)
    share, least, most = WINDOW
    radii = np.clip(np.floor(share * spacing), least, round(most * float(scale.max()))).astype(int)
    pixels = refined(grey, start, radii)
    good = np.isfinite(pixels).all(axis=1) & _crossed(grey, start, corners.white[list(grown.values())], spacing)
    good[good] &= lattice.even(cells[good], pixels[good])
    if good.sum() < LEAST_CORNERS or np.median(spacing[good]) < LEAST_SPACING:
        return None
    if min(len(set(cells[good][:, axis])) for axis in (0, 1)) < LEAST_SIDE:
        return None
    order = np.lexsort((cells[good][:, 0], cells[good][:, 1]))
    return Board(cells[good][order], pixels[good][order])


def _crossed(grey: FloatArray, pixels: FloatArray, white: FloatArray, spacing: FloatArray) -> BoolArray:
    """(N,) whether two white squares face each other across a corner, and two black ones. At a board's border they do
    not."""
    reach = FIELD * spacing[:, None]
    black = np.stack([-white[:, 1], white[:, 0]], axis=1)
    whites = [_sampled(grey, pixels + sign * reach * white) for sign in (1, -1)]
    blacks = [_sampled(grey, pixels + sign * reach * black) for sign in (1, -1)]
    contrast = (whites[0] + whites[1] - blacks[0] - blacks[1]) / 2
    unlike = np.maximum(np.abs(whites[0] - whites[1]), np.abs(blacks[0] - blacks[1]))
    return unlike < UNLIKE * contrast
