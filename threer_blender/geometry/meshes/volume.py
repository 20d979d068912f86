"""[R] A truncated signed distance in the blocks of space around depth maps, and its surface. numpy and numba only.

Each depth map adds its signed distances (Curless and Levoy 1996, "A volumetric method for building complex models from
range images") to blocks of cells around its points. So memory grows with the surface. The surface is taken by surface
nets (Gibson 1998) where all cells are known and the distance does not jump: it ends where no photo shows the world.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, Float32Array, FloatArray, Int32Array, IntArray
from ...model.proxy_mesh import Mesh
from ..kernels import compiled, in_bands
from .views import JUMP, DepthView

SIDE = 8  # cells of a block along each axis
CELLS = SIDE**3
TRUNCATION = 4.0  # cells in front of and behind a surface in which its distance counts
MOST_BLOCKS = 60_000  # of 4 kB each
COARSER = 1.26  # times the size of a cell, where there are more blocks
FARTHEST = 1 << 19  # blocks from the origin along an axis
LEAST_WEIGHT = 0.1  # of a cell that is known
JUMP_OF_DISTANCE = 0.9  # between neighbouring cells of different surfaces; 1 / TRUNCATION is usual on one

Report = Callable[[int, int], None]
"""report(done, total): receives the progress, and may raise."""


class Volume(NamedTuple):
    """Blocks of SIDE³ cubic cells. `keys` (B,) sorted and `corners` (B, 3) say where they are, in blocks.

    `sums` (B, CELLS) are the weighted sums of the signed distances in units of TRUNCATION cells, positive in front of
    the surface, and `weights` (B, CELLS) the sums of the weights. A cell's centre is at its index times `size`.
    """

    size: float
    keys: IntArray
    corners: IntArray
    sums: Float32Array
    weights: Float32Array


def fused(views: Sequence[DepthView], size: float, report: Report) -> Volume:
    """The volume of all depth maps, with cells of at least `size` world units. Raises what `report` raises."""
    while True:
        keys = _keys_around(views, size, report)
        if len(keys) <= MOST_BLOCKS:
            break
        # Around a surface, the number of blocks falls with the square of the size: a power below 1/2 is a careful step.
        size *= max(COARSER, (len(keys) / MOST_BLOCKS) ** 0.4)
    corners = corners_of(keys)
    sums, weights = (np.zeros((len(keys), CELLS), np.float32) for _ in range(2))
    for done, each in enumerate(views):
        report(len(views) + done, 2 * len(views))
        maps = (each.view.numbers, each.depth, each.weight, each.facing)
        in_bands(_integrate, 0, len(keys), corners, sums, weights, size, maps)
    return Volume(size, keys, corners, sums, weights)


def _keys_around(views: Sequence[DepthView], size: float, report: Report) -> IntArray:
    """(B,) the sorted keys of the blocks within TRUNCATION cells of a point; not all, where they are far too many."""
    keys = np.empty(0, np.int64)
    for done, each in enumerate(views):
        report(done, 2 * len(views))
        blocks = each.points() / (SIDE * size)
        blocks = blocks[(np.abs(blocks) < FARTHEST - 1).all(axis=1)]
        reach = TRUNCATION / SIDE
        near = [keys]
        for shift in np.ndindex(2, 2, 2):
            near.append(np.unique(key_of(np.floor(blocks + reach * (2 * np.array(shift) - 1)).astype(np.int64))))
        keys = np.unique(np.concatenate(near))
        if len(keys) > 8 * MOST_BLOCKS:
            return keys
    return keys


def key_of(blocks: IntArray) -> IntArray:
    """(…,) a key of blocks (…, 3), which sorts as they do."""
    shifted = blocks + FARTHEST
    return (shifted[..., 0] << 40) | (shifted[..., 1] << 20) | shifted[..., 2]


def corners_of(keys: IntArray) -> IntArray:
    """(B, 3) the blocks of keys (B,)."""
    return np.stack([keys >> 40, (keys >> 20) & 0xFFFFF, keys & 0xFFFFF], axis=-1) - FARTHEST


@compiled()
def _integrate(
    first: int, last: int, corners: IntArray, sums: Float32Array, weights: Float32Array, size: float,
    maps: tuple[FloatArray, Float32Array, Float32Array, Float32Array],
) -> None:  # fmt: skip
    """Adds the signed distances of a depth map to the blocks in range(first, last).

    `maps` are the numbers of its `PinholeView`, and depth, weight and facing of its `DepthView`.
    """
    camera, depth, weight, facing = maps
    height, width = depth.shape
    reach = TRUNCATION * size
    for b in range(first, last):
        for cell in range(CELLS):
            px = (corners[b, 0] * SIDE + cell // (SIDE * SIDE)) * size
            py = (corners[b, 1] * SIDE + cell // SIDE % SIDE) * size
            pz = (corners[b, 2] * SIDE + cell % SIDE) * size
            z = camera[12] * px + camera[13] * py + camera[14] * pz + camera[15]
            if z <= 0:
                continue
            x = (camera[4] * px + camera[5] * py + camera[6] * pz + camera[7]) / z * camera[0] + camera[2]
            y = (camera[8] * px + camera[9] * py + camera[10] * pz + camera[11]) / z * camera[1] + camera[3]
            if not (x >= 0 and y >= 0 and x < width and y < height):
                continue
            column, row = int(x), int(y)
            there = _depth_at(depth, x, y)
            if there <= 0:
                continue
            signed = (there - z) * facing[row, column] / reach
            if signed <= -1:
                continue
            w = weight[row, column] * (min(1.0, 1 + signed) if signed < 0 else 1.0)
            sums[b, cell] += w * min(signed, 1.0)
            weights[b, cell] += w


@compiled()
def _depth_at(depth: Float32Array, x: float, y: float) -> float:
    """The depth at a pixel: bilinear where the four pixels around lie on one surface, else the nearest pixel's."""
    height, width = depth.shape
    nearest = depth[int(y), int(x)]
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    if left < 0 or top < 0 or left + 1 >= width or top + 1 >= height:
        return nearest
    a, b, c, d = depth[top, left], depth[top, left + 1], depth[top + 1, left], depth[top + 1, left + 1]
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    if low <= 0 or high > low * (1 + JUMP):
        return nearest
    u, v = x - 0.5 - left, y - 0.5 - top
    return (a * (1 - u) + b * u) * (1 - v) + (c * (1 - u) + d * u) * v


def surface(volume: Volume) -> Mesh:
    """The mesh of the volume's zero level. Its faces look to the side from which it was photographed."""
    if not len(volume.keys):
        return Mesh(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    ahead = np.empty((len(volume.keys), 8), np.int64)
    for number, shift in enumerate(np.ndindex(2, 2, 2)):
        wanted = key_of(volume.corners + np.array(shift))
        place = np.searchsorted(volume.keys, wanted).clip(0, len(volume.keys) - 1)
        ahead[:, number] = np.where(volume.keys[place] == wanted, place, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        field = np.where(volume.weights >= LEAST_WEIGHT, volume.sums / volume.weights, np.nan).astype(np.float32)
    numbers = np.full(field.shape, -1, np.int32)
    vertices = np.empty((int(_count(field)), 3), np.float32)
    count = _place_vertices(field, ahead, volume.corners, volume.size, numbers, vertices)
    faces = np.empty((6 * count, 3), np.int32)
    faces = faces[: _connect(field, ahead, numbers, faces)]
    return Mesh(vertices[:count], faces)


@compiled()
def _count(field: Float32Array) -> int:
    """A number of vertices that is at least that of the surface."""
    count = 0
    for b in range(field.shape[0]):
        for cell in range(CELLS):
            if abs(field[b, cell]) < 1:
                count += 1
    return 2 * count + 8


@compiled()
def _at(numbers: Array, ahead: IntArray, b: int, x: int, y: int, z: int) -> float:
    """The number at a cell of a block or, where x, y or z is SIDE, of a block ahead. NaN where there is no block."""
    block = ahead[b, 4 * (x // SIDE) + 2 * (y // SIDE) + z // SIDE]
    if block < 0:
        return np.nan
    return numbers[block, (x % SIDE) * SIDE * SIDE + (y % SIDE) * SIDE + z % SIDE]


@compiled()
def _place_vertices(
    field: Float32Array, ahead: IntArray, corners: IntArray, size: float, numbers: Int32Array, vertices: Float32Array
) -> int:
    """Fills `numbers` (B, CELLS) with the vertex of each cube between eight known cells that the surface crosses, and
    `vertices`. Returns their count."""
    count = 0
    values = np.empty(8)
    for b in range(field.shape[0]):
        for cell in range(CELLS):
            x, y, z = cell // (SIDE * SIDE), cell // SIDE % SIDE, cell % SIDE
            negative, known = 0, True
            for k in range(8):
                values[k] = _at(field, ahead, b, x + k // 4, y + k // 2 % 2, z + k % 2)
                known = known and not np.isnan(values[k])
                negative += values[k] < 0
            if not known or negative == 0 or negative == 8:
                continue
            total, sx, sy, sz = 0, 0.0, 0.0, 0.0
            for k in range(8):
                for bit in (4, 2, 1):
                    if k & bit or (values[k] < 0) == (values[k | bit] < 0):
                        continue
                    if abs(values[k] - values[k | bit]) > JUMP_OF_DISTANCE:
                        continue
                    part = values[k] / (values[k] - values[k | bit])
                    total += 1
                    sx += k // 4 + (part if bit == 4 else 0.0)
                    sy += k // 2 % 2 + (part if bit == 2 else 0.0)
                    sz += k % 2 + (part if bit == 1 else 0.0)
            if total == 0:
                continue
            vertices[count, 0] = (corners[b, 0] * SIDE + x + sx / total) * size
            vertices[count, 1] = (corners[b, 1] * SIDE + y + sy / total) * size
            vertices[count, 2] = (corners[b, 2] * SIDE + z + sz / total) * size
            numbers[b, cell] = count
            count += 1
            if count == len(vertices):
                return count
    return count


@compiled()
def _connect(field: Float32Array, ahead: IntArray, numbers: Int32Array, faces: Int32Array) -> int:
    """Fills `faces` with two triangles for each pair of neighbouring cells that the surface separates. Returns their
    count."""
    count = 0
    around = np.empty(4, np.int64)
    for b in range(field.shape[0]):
        for cell in range(CELLS):
            x, y, z = cell // (SIDE * SIDE), cell // SIDE % SIDE, cell % SIDE
            if numbers[b, cell] < 0:
                continue
            for axis in range(3):
                # The edge from `start` to `end` is shared by this cube and three ahead of it.
                sx, sy, sz = int(axis != 0), int(axis != 1), int(axis != 2)
                start = _at(field, ahead, b, x + sx, y + sy, z + sz)
                end = _at(field, ahead, b, x + 1, y + 1, z + 1)
                if np.isnan(start) or np.isnan(end) or (start < 0) == (end < 0):
                    continue
                if abs(start - end) > JUMP_OF_DISTANCE:
                    continue
                whole = True
                for k in range(4):  # in their order about the edge
                    u, v = int(k == 1 or k == 2), int(k >= 2)
                    if axis == 0:
                        number = _at(numbers, ahead, b, x, y + u, z + v)
                    elif axis == 1:
                        number = _at(numbers, ahead, b, x + v, y, z + u)
                    else:
                        number = _at(numbers, ahead, b, x + u, y + v, z)
                    whole = whole and number >= 0
                    around[k] = int(number) if number >= 0 else -1
                if not whole or count + 2 > len(faces):
                    continue
                second, fourth = (around[1], around[3]) if start < 0 else (around[3], around[1])
                faces[count, 0], faces[count, 1], faces[count, 2] = around[0], second, around[2]
                faces[count + 1, 0], faces[count + 1, 1], faces[count + 1, 2] = around[0], around[2], fourth
                count += 2
    return count
