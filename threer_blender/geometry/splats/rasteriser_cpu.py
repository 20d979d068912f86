"""[R] The rasteriser's kernel on the CPU: flat Gaussians blended tile by tile, forward and backward. Numba.

A tile of 16 × 16 pixels fits in the first-level cache, and the loop over the 16 pixels of a row has no branch, so it is
vectorised. Both passes go front to back and blend the same Gaussians. The gradient of a Gaussian is computed for each
tile and summed afterwards, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from ...model.arrays import Float32Array, Int32Array, IntArray
from ...model.splat_rendering import ALPHA_LEAST, ALPHA_MOST, LIGHT_LEAST
from ..kernels import compiled, cores, in_bands
from .footprints import Footprints

TILE = 16  # pixels along a side
PARTS = 12  # values of a Gaussian's gradient: centre 2, conic 3, opacity, colour 3; padded to whole vectors

_f = np.float32
_ALPHA_LEAST, _ALPHA_MOST, _LIGHT_LEAST = _f(ALPHA_LEAST), _f(ALPHA_MOST), _f(LIGHT_LEAST)
_FARTHEST = _f(7.0)  # exp(-7) < 1 / 255: at a larger exponent, a Gaussian is not drawn
_FULL_CHECK = 16  # Gaussians between two checks whether all pixels of a tile are full
_FLAGS = {"nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"}


class FlatSplats(NamedTuple):
    """N Gaussians as the kernels need them, see `Footprints`."""

    centres: Float32Array  # (N, 2)
    conics: Float32Array  # (N, 3)
    extents: Float32Array  # (N, 2)
    opacities: Float32Array  # (N,)
    colours: Float32Array  # (N, 3)


class TileLists(NamedTuple):
    """The Gaussians of each tile. Tiles are numbered along the rows of tiles, `columns` in each row."""

    columns: int
    listed: Int32Array  # (M,) Gaussians of tile 0, nearest first, then of tile 1 …
    starts: IntArray  # (tiles + 1,) where each tile's list begins


class CpuState(NamedTuple):
    """The data that the backward pass needs from the forward pass."""

    splats: FlatSplats
    lists: TileLists
    stops: IntArray  # (tiles,) the end of each tile's list, or of the part of it that filled the tile
    order: IntArray  # (tiles,) the tiles, those with the longest lists first, to balance the threads
    colour: Float32Array  # (H, W, 3)
    alpha: Float32Array  # (H, W)


def forward(
    footprints: Footprints, opacities: Tensor, colours: Tensor, size: tuple[int, int]
) -> tuple[Tensor, Tensor, CpuState]:
    """Colour (H, W, 3) on black and alpha (H, W) of flat Gaussians with `opacities` (N,) and `colours` (N, 3), in a
    picture of `size` (width, height); and the data that `backward` needs. See `rasteriser.blend`."""
    splats = FlatSplats(
        *(np.ascontiguousarray(t.detach().numpy(), np.float32) for t in (*footprints[:3], opacities, colours))
    )
    width, height = size
    columns, rows = -(-width // TILE), -(-height // TILE)
    nearest_first = torch.argsort(footprints.depths).numpy()
    lists = TileLists(columns, *_tile_lists(splats.centres, splats.extents, nearest_first, columns, rows))
    order = np.argsort(lists.starts[:-1] - lists.starts[1:], kind="stable")
    colour, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    stops = np.zeros(columns * rows, np.int64)
    _in_threads(lambda tiles: _draw(tiles, lists, splats, colour, alpha, stops), order)
    state = CpuState(splats, lists, stops, order, colour, alpha)
    return torch.from_numpy(colour), torch.from_numpy(alpha), state


def backward(state: CpuState, to_colour: Tensor, to_alpha: Tensor) -> Tensor:
    """(N, 9) the gradient to centres (2), conics (3), opacities (1) and colours (3), from those `to_colour`
    (H, W, 3) and `to_alpha` (H, W)."""
    slots = np.zeros((len(state.lists.listed), PARTS), np.float32)
    gradients = to_colour.numpy(), to_alpha.numpy()
    _in_threads(lambda tiles: _draw_back(tiles, state, *gradients, slots), state.order)
    total = np.zeros((len(state.splats.centres), PARTS), np.float32)
    _sum_slots(state.lists.listed, slots, total)
    return torch.from_numpy(total)[:, :9]


def _in_threads(work: Callable[[IntArray], None], tiles: IntArray) -> None:
    """Calls `work` in parallel with shares of `tiles`. Each share has tiles from all parts of their order."""
    shares = 4 * cores()

    def band(low: int, high: int) -> None:
        for share in range(low, high):
            work(tiles[share::shares])

    in_bands(band, 0, shares)


@compiled(fastmath=_FLAGS)
def _tile_lists(
    centres: Float32Array, extents: Float32Array, order: IntArray, columns: int, rows: int
) -> tuple[Int32Array, IntArray]:
    """The lists of TileLists: for each tile, the Gaussians whose box touches it, in the given `order`
    (a counting sort)."""
    boxes = np.zeros((len(centres), 4), np.int32)
    starts = np.zeros(columns * rows + 1, np.int64)
    for i in range(len(centres)):
        if extents[i, 0] > 0:
            boxes[i, 0] = max(0.0, min(columns, np.floor((centres[i, 0] - extents[i, 0]) / TILE)))
            boxes[i, 1] = max(0.0, min(columns, np.floor((centres[i, 0] + extents[i, 0]) / TILE) + 1))
            boxes[i, 2] = max(0.0, min(rows, np.floor((centres[i, 1] - extents[i, 1]) / TILE)))
            boxes[i, 3] = max(0.0, min(rows, np.floor((centres[i, 1] + extents[i, 1]) / TILE) + 1))
            for row in range(boxes[i, 2], boxes[i, 3]):
                for column in range(boxes[i, 0], boxes[i, 1]):
                    starts[row * columns + column + 1] += 1
    starts = np.cumsum(starts)
    ends = starts[:-1].copy()
    listed = np.empty(starts[-1], np.int32)
    for i in order:
        for row in range(boxes[i, 2], boxes[i, 3]):
            for column in range(boxes[i, 0], boxes[i, 1]):
                tile = row * columns + column
                listed[ends[tile]] = i
                ends[tile] += 1
    return listed, starts


@numba.njit(inline="always")
def _exp(x: np.float32) -> np.float32:
    """exp(x) for x in [-7, 0] to 2e-6: the series at x / 8, to the eighth power. It is vectorised on every
    processor."""
    t = x * _f(1 / 8)
    p = _f(1 / 120) + t * _f(1 / 720)
    p = _f(1) + t * (_f(1) + t * (_f(1 / 2) + t * (_f(1 / 6) + t * (_f(1 / 24) + t * p))))
    p = p * p
    p = p * p
    return p * p


@numba.njit(inline="always")
def _rows(offset: np.float32, reach: np.float32) -> tuple[int, int]:
    """The first row, and that after the last, of a tile's rows that are within `reach` of a Gaussian's centre. `offset`
    is the position of the tile's first row from the centre, in pixels."""
    return max(0, int(np.ceil(-offset - reach))), min(TILE, int(np.floor(-offset + reach)) + 1)


@compiled(fastmath=_FLAGS)
def _draw(
    tiles: IntArray, lists: TileLists, splats: FlatSplats, colour: Float32Array, alpha: Float32Array, stops: IntArray
) -> None:
    """Blends the Gaussians of each of `tiles` into `colour` and `alpha`. `stops` gets the end of the part of its list
    that was drawn."""
    columns, listed, starts = lists
    centres, conics, extents, opacities, colours = splats
    height, width = alpha.shape
    light = np.empty((TILE, TILE), np.float32)
    red, green, blue = np.empty_like(light), np.empty_like(light), np.empty_like(light)
    for tile in tiles:
        left, top = (tile % columns) * TILE, (tile // columns) * TILE
        light[:] = _f(1)
        red[:] = green[:] = blue[:] = _f(0)
        stop = starts[tile]
        while stop < starts[tile + 1]:
            i = listed[stop]
            x0, y0 = _f(left) + _f(0.5) - centres[i, 0], _f(top) + _f(0.5) - centres[i, 1]
            xx, xy, yy = _f(0.5) * conics[i, 0], conics[i, 1], _f(0.5) * conics[i, 2]
            opacity, r, g, b = opacities[i], colours[i, 0], colours[i, 1], colours[i, 2]
            for v in range(*_rows(y0, extents[i, 1])):
                dy = y0 + _f(v)
                ydy, xdy = yy * dy * dy, xy * dy
                for u in range(TILE):
                    dx = x0 + _f(u)
                    share = min(opacity * _exp(-min(ydy + dx * (xdy + xx * dx), _FARTHEST)), _ALPHA_MOST)
                    before = light[v, u]
                    after = before * (_f(1) - share)
                    weight = share * before if (share >= _ALPHA_LEAST) & (after >= _LIGHT_LEAST) else _f(0)
                    red[v, u] += weight * r
                    green[v, u] += weight * g
                    blue[v, u] += weight * b
                    light[v, u] = before - weight
            stop += 1
            # A full pixel takes no more: even the faintest Gaussian would leave it too little light.
            if stop % _FULL_CHECK == 0 and light.max() * (_f(1) - _ALPHA_LEAST) < _LIGHT_LEAST:
                break
        stops[tile] = stop
        for v in range(min(TILE, height - top)):
            for u in range(min(TILE, width - left)):
                colour[top + v, left + u, 0] = red[v, u]
                colour[top + v, left + u, 1] = green[v, u]
                colour[top + v, left + u, 2] = blue[v, u]
                alpha[top + v, left + u] = _f(1) - light[v, u]


@compiled(fastmath=_FLAGS)
def _draw_back(
    tiles: IntArray, state: CpuState, to_colour: Float32Array, to_alpha: Float32Array, slots: Float32Array
) -> None:
    """Fills `slots` (M, PARTS) with each listed Gaussian's gradient in its tile.

    Let g be the gradient to a pixel. A Gaussian of colour c and alpha a, in front of which the transmittance is T, adds
    T a c·g to the loss, and multiplies all that follows by 1 - a. All that follows adds `rest`, which is (pixel)·g less
    what came before. So the derivative by a is T c·g - rest / (1 - a). It needs neither a list per pixel nor a pass
    from the back.

    In the code a is `share`, T is `before`, 1 - a is `past`, and c·g, alpha's part included, is `worth`. `push` is the
    derivative times a, which is the derivative by the exponent.
    """
    splats, lists, stops, _order, colour, alpha = state
    columns, listed, starts = lists
    centres, conics, extents, opacities, colours = splats
    height, width = alpha.shape
    light = np.empty((TILE, TILE), np.float32)
    rest = np.empty_like(light)
    red, green, blue, cover = np.empty_like(light), np.empty_like(light), np.empty_like(light), np.empty_like(light)
    for tile in tiles:
        left, top = (tile % columns) * TILE, (tile // columns) * TILE
        light[:] = _f(1)
        rest[:] = red[:] = green[:] = blue[:] = cover[:] = _f(0)
        for v in range(min(TILE, height - top)):
            for u in range(min(TILE, width - left)):
                y, x = top + v, left + u
                red[v, u], green[v, u], blue[v, u] = to_colour[y, x, 0], to_colour[y, x, 1], to_colour[y, x, 2]
                cover[v, u] = to_alpha[y, x]
                rest[v, u] = alpha[y, x] * cover[v, u] + colour[y, x, 0] * red[v, u]
                rest[v, u] += colour[y, x, 1] * green[v, u] + colour[y, x, 2] * blue[v, u]
        for k in range(starts[tile], stops[tile]):
            i = listed[k]
            x0, y0 = _f(left) + _f(0.5) - centres[i, 0], _f(top) + _f(0.5) - centres[i, 1]
            xx, xy, yy = _f(0.5) * conics[i, 0], conics[i, 1], _f(0.5) * conics[i, 2]
            opacity, r, g, b = opacities[i], colours[i, 0], colours[i, 1], colours[i, 2]
            # Moments of the gradient to the exponent -(xx dx² + xy dx dy + yy dy²), and the gradient to the colour.
            m, mx, my, mxx, mxy, myy = _f(0), _f(0), _f(0), _f(0), _f(0), _f(0)
            to_r, to_g, to_b = _f(0), _f(0), _f(0)
            for v in range(*_rows(y0, extents[i, 1])):
                dy = y0 + _f(v)
                ydy, xdy = yy * dy * dy, xy * dy
                row, row_x, row_xx = _f(0), _f(0), _f(0)
                for u in range(TILE):
                    dx = x0 + _f(u)
                    raw = opacity * _exp(-min(ydy + dx * (xdy + xx * dx), _FARTHEST))
                    share = min(raw, _ALPHA_MOST)
                    before, past = light[v, u], _f(1) - share
                    share = share if (share >= _ALPHA_LEAST) & (before * past >= _LIGHT_LEAST) else _f(0)
                    weight = share * before
                    to_r += weight * red[v, u]
                    to_g += weight * green[v, u]
                    to_b += weight * blue[v, u]
                    worth = r * red[v, u] + g * green[v, u] + b * blue[v, u] + cover[v, u]
                    after = rest[v, u] - weight * worth
                    rest[v, u] = after
                    light[v, u] = before - weight
                    push = share * (before * worth - after / past) if raw <= _ALPHA_MOST else _f(0)
                    row += push
                    row_x += push * dx
                    row_xx += push * dx * dx
                m += row
                mx += row_x
                mxx += row_xx
                my += row * dy
                mxy += row_x * dy
                myy += row * dy * dy
            slot = slots[k]
            slot[0] = _f(2) * xx * mx + xy * my
            slot[1] = xy * mx + _f(2) * yy * my
            slot[2], slot[3], slot[4] = _f(-0.5) * mxx, -mxy, _f(-0.5) * myy
            slot[5] = m / opacity
            slot[6], slot[7], slot[8] = to_r, to_g, to_b


@compiled(fastmath=_FLAGS)
def _sum_slots(listed: Int32Array, slots: Float32Array, total: Float32Array) -> None:
    """Adds each listed Gaussian's gradient in `slots` (M, PARTS) to its row of `total` (N, PARTS)."""
    for k in range(len(listed)):
        i = listed[k]
        for part in range(PARTS):
            total[i, part] += slots[k, part]
