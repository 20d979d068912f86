"""[R] The rasteriser's kernel on the CPU: flat Gaussians blended tile by tile, forward and backward. Numba.

A tile of 16 × 16 pixels stays in the first-level cache, and its rows are 16 pixels without a branch, which vectorises.
Both passes go front to back and take the same decisions. The gradient of a Gaussian is gathered per tile and summed
afterwards, so the result does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TILE = 16
PARTS = 12  # values of a Gaussian's gradient: centre 2, conic 3, opacity, colour 3; padded to whole vectors

ALPHA_LEAST = 1 / 255  # a Gaussian that covers less of a pixel is left out there
ALPHA_MOST = 0.99
LIGHT_LEAST = 1e-4  # a Gaussian that would let less light pass is left out at that pixel

_f = np.float32
_ALPHA_LEAST, _ALPHA_MOST, _LIGHT_LEAST = _f(ALPHA_LEAST), _f(ALPHA_MOST), _f(LIGHT_LEAST)
_FARTHEST = _f(7.0)  # exp(-7) < 1 / 255: a Gaussian's exponent is of no interest beyond
_LOOK = 16  # Gaussians between two looks whether a tile is full
_flags = {"nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"}
_compile: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": _flags, "error_model": "numpy"}

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]


class State(NamedTuple):
    """What the backward pass needs of the forward pass."""

    splats: tuple[Float32, ...]  # centres (N, 2), conics (N, 3), extents (N, 2), opacities (N,), colours (N, 3)
    listed: Int32  # (M,) Gaussians of tile 0, nearest first, then of tile 1 …
    starts: Int64  # (tiles + 1,) where each tile's begin
    stops: Int64  # (tiles,) where each tile was full
    order: Int64  # (tiles,) longest first, for an even load
    columns: int
    colour: Float32
    alpha: Float32


def forward(
    centres: Tensor,
    conics: Tensor,
    extents: Tensor,
    depths: Tensor,
    opacities: Tensor,
    colours: Tensor,
    size: tuple[int, int],
) -> tuple[Tensor, Tensor, State]:
    """Colour (H, W, 3) on black and alpha (H, W) of flat Gaussians, and what `backward` needs. See `rasteriser`."""
    splats = tuple(
        np.ascontiguousarray(t.detach().numpy(), np.float32) for t in (centres, conics, extents, opacities, colours)
    )
    width, height = size
    columns, rows = -(-width // TILE), -(-height // TILE)
    listed, starts = _tile_lists(splats[0], splats[2], torch.argsort(depths).numpy(), columns, rows)
    order = np.argsort(starts[:-1] - starts[1:], kind="stable")
    colour, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    stops = np.zeros(columns * rows, np.int64)
    _in_threads(lambda tiles: _draw(tiles, columns, listed, starts, *splats, colour, alpha, stops), order)
    state = State(splats, listed, starts, stops, order, columns, colour, alpha)
    return torch.from_numpy(colour), torch.from_numpy(alpha), state


def backward(state: State, colour: Tensor, alpha: Tensor) -> Tensor:
    """(N, 9) gradient to centres, conics, opacities and colours from that to colour (H, W, 3) and alpha (H, W)."""
    slots = np.zeros((len(state.listed), PARTS), np.float32)
    arguments = (state.columns, state.listed, state.starts, *state.splats, state.colour, state.alpha, state.stops)
    wanted = colour.numpy(), alpha.numpy()
    _in_threads(lambda tiles: _draw_back(tiles, *arguments, *wanted, slots), state.order)
    total = np.zeros((len(state.splats[0]), PARTS), np.float32)
    _sum_slots(state.listed, slots, total)
    return torch.from_numpy(total)[:, :9]


_pool = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="rasteriser")


def _in_threads(work: Callable[[Int64], None], tiles: Int64) -> None:
    """Calls `work` with shares of `tiles` that are about as long as each other."""
    shares = 4 * (os.cpu_count() or 1)
    for done in [_pool.submit(work, tiles[share::shares]) for share in range(shares)]:
        done.result()


@numba.njit(**_compile)
def _tile_lists(centres: Float32, extents: Float32, order: Int64, columns: int, rows: int) -> tuple[Int32, Int64]:
    """For each tile the Gaussians whose box touches it, in the given order: a counting sort."""
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
    """exp(x) for x in [-7, 0] to 2e-6: the series at x / 8, to the eighth power. Vectorises everywhere."""
    t = x * _f(1 / 8)
    p = _f(1 / 120) + t * _f(1 / 720)
    p = _f(1) + t * (_f(1) + t * (_f(1 / 2) + t * (_f(1 / 6) + t * (_f(1 / 24) + t * p))))
    p = p * p
    p = p * p
    return p * p


@numba.njit(inline="always")
def _rows(offset: np.float32, reach: np.float32) -> tuple[int, int]:
    """The tile's rows from which a centre `offset` above the first row's is at most `reach` away."""
    return max(0, int(np.ceil(-offset - reach))), min(TILE, int(np.floor(-offset + reach)) + 1)


@numba.njit(**_compile)
def _draw(
    tiles: Int64,
    columns: int,
    listed: Int32,
    starts: Int64,
    centres: Float32,
    conics: Float32,
    extents: Float32,
    opacities: Float32,
    colours: Float32,
    colour: Float32,
    alpha: Float32,
    stops: Int64,
) -> None:
    """Blends each of `tiles` into `colour` and `alpha`; `stops` says how far its list was of interest."""
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
            if stop % _LOOK == 0 and light.max() * (_f(1) - _ALPHA_LEAST) < _LIGHT_LEAST:
                break
        stops[tile] = stop
        for v in range(min(TILE, height - top)):
            for u in range(min(TILE, width - left)):
                colour[top + v, left + u, 0] = red[v, u]
                colour[top + v, left + u, 1] = green[v, u]
                colour[top + v, left + u, 2] = blue[v, u]
                alpha[top + v, left + u] = _f(1) - light[v, u]


@numba.njit(**_compile)
def _draw_back(
    tiles: Int64,
    columns: int,
    listed: Int32,
    starts: Int64,
    centres: Float32,
    conics: Float32,
    extents: Float32,
    opacities: Float32,
    colours: Float32,
    colour: Float32,
    alpha: Float32,
    stops: Int64,
    to_colour: Float32,
    to_alpha: Float32,
    slots: Float32,
) -> None:
    """Fills `slots` (M, PARTS) with each listed Gaussian's gradient in its tile.

    With g the gradient to a pixel, a Gaussian of colour c and alpha a before which light T is left adds T a c·g, and
    dims what follows by 1 - a. What follows is worth `rest` = (pixel)·g less what came before, so the derivative by a
    is T c·g - rest / (1 - a): no list per pixel is needed, and no pass from the back.
    """
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


@numba.njit(**_compile)
def _sum_slots(listed: Int32, slots: Float32, total: Float32) -> None:
    for k in range(len(listed)):
        i = listed[k]
        for part in range(PARTS):
            total[i, part] += slots[k, part]
