"""[R] A signed distance in the blocks of space around points alone, where no depth maps are. numpy and numba only.

Points of small cubes become surfels: a place on the surface, its normal and how far it reaches. Normals are those of
planes through the neighbourhood (Hoppe et al. 1992, "Surface reconstruction from unorganized points"), towards the
photos. Each cell's distance is the mean of those from the surfels around (Kolluri 2005, "Provably good moving least
squares"). It is known nowhere else, so the surface ends where the points do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model import point_sets
from ...model.arrays import Array, BoolArray, Float32Array, FloatArray, IntArray
from ...model.reconstruction import PointCloud
from ..kd_tree import Tree
from ..kernels import compiled
from . import volume
from .volume import CELLS, COARSER, FARTHEST, LEAST_WEIGHT, MOST_BLOCKS, SIDE, TRUNCATION, Volume

NEIGHBOURS = 8  # whose mean distance is a point's spacing
MOST_PROBES = 20_000  # points by which the usual spacing is measured
CUBE = 2.0  # side of a surfel's cube, in the usual spacing of the points
CELL = 0.6  # side of a cell, in sides of a surfel's cube
STRAY = 4.0  # standard deviations from the usual spacing, from which a point is on no surface
LEAST_POINTS = 6  # of a neighbourhood that tells a normal
COARSER_CUBES = (2, 4)  # times the cubes' side
LINE = 0.02  # of the largest variance of a neighbourhood: where the second is smaller, its points lie on a line
ROUNDS = 8  # of the agreement of neighbouring normals
REACH = 1.9  # of a surfel, in its mean distance to its neighbours
LEAST_REACH, MOST_REACH = 1.7, 5.0  # limits of a surfel's reach, in sides of its cube
AGREED = 0.3  # of a surfel's weight, that a cell needs at least to be known
AROUND = [np.array(shift) - 1 for shift in np.ndindex(3, 3, 3)]


class Surfels(NamedTuple):
    """`places` and `normals` (N, 3), and how far each reaches, `reach` (N,), in world units. `size` is their cubes'
    side."""

    places: Float32Array
    normals: Float32Array
    reach: Float32Array
    size: float


def spacing(places: Array) -> float:
    """The usual distance of neighbouring points (N, 3)."""
    probes = places[:: max(1, len(places) // MOST_PROBES)]
    return float(np.median(Tree(places).mean_distance(probes, NEIGHBOURS + 1)))


def surfels(cloud: PointCloud) -> Surfels:
    """The surfels of a cloud whose normals need only be on the right side of the surface. Stray points are left out."""
    places = cloud.positions.astype(np.float64)
    distances = Tree(places).mean_distance(places, NEIGHBOURS + 1)
    regular = (distances > 0) & ~point_sets.floaters(distances, None, STRAY)
    places, towards = places[regular], cloud.normals[regular].astype(np.float64)
    if not len(places):
        empty = np.empty((0, 3), np.float32)
        return Surfels(empty, empty, empty[:, 0], 1.0)
    size = CUBE * float(np.median(distances[regular]))
    origin = places.mean(axis=0)
    local = places - origin
    moments = np.concatenate([np.ones((len(local), 1)), local, _squares(local), towards], axis=1)
    cube = _numbered(local, size)[1]
    moments = _by_cube(cube, moments)
    middles, outward = moments[:, 1:4] / moments[:, :1], moments[:, 13:]
    outward /= np.maximum(np.linalg.norm(outward, axis=1), 1e-30)[:, None]
    normals, known, offsets = _planes(middles, moments[:, :13], size)
    for level in COARSER_CUBES:  # where points are too few for a normal, those farther away tell it
        coarse, coarse_known, _ = _planes(middles, moments[:, :13], level * size)
        normals = np.where(known[:, None], normals, coarse)
        known = known | coarse_known
    normals = np.where(known[:, None], normals, outward)
    normals *= _sides(middles, size, normals, outward)[:, None]
    on_plane = middles + offsets + origin
    reach = (REACH * Tree(on_plane).mean_distance(on_plane, NEIGHBOURS + 1)).clip(size * LEAST_REACH, size * MOST_REACH)
    return Surfels(on_plane.astype(np.float32), normals.astype(np.float32), reach.astype(np.float32), size)


def _squares(local: FloatArray) -> FloatArray:
    """(N, 9) the products of each two coordinates."""
    products: FloatArray = (local[:, :, None] * local[:, None]).reshape(-1, 9)
    return products


def _numbered(local: FloatArray, size: float) -> tuple[IntArray, IntArray]:
    """(C,) the sorted keys of the cubes of `size` with points (N, 3) in them, and (N,) the number of each point's."""
    keys, number = np.unique(point_sets.cubes(local, size), return_inverse=True)
    return keys, number.reshape(-1)


def _planes(middles: FloatArray, moments: FloatArray, size: float) -> tuple[FloatArray, BoolArray, FloatArray]:
    """For each of the places `middles` (C, 3), the plane through the points in the cubes of `size` around it: its unit
    normal (C, 3), whether the points tell it (C,), and the way (C, 3) from the place to the plane.

    `moments` (C, 13) are the count, the sums and the sums of the squares of each place's points.
    """
    keys, cube = _numbered(middles, size)
    total = _over(_beside(keys), _by_cube(cube, moments))
    mean = total[:, 1:4] / total[:, :1]
    spread = total[:, 4:].reshape(-1, 3, 3) / total[:, :1, None] - mean[:, :, None] * mean[:, None]
    extents, axes = np.linalg.eigh(spread)
    normals = axes[:, :, 0][cube]
    known = ((total[:, 0] >= LEAST_POINTS) & (extents[:, 1] > LINE * extents[:, 2]))[cube]
    off = ((mean[cube] - middles) * normals).sum(axis=1)
    return normals, known, np.where(known, off, 0)[:, None] * normals


def _by_cube(cube: IntArray, values: FloatArray) -> FloatArray:
    """(C, K) the sums of `values` (N, K) in each `cube` (N,)."""
    return np.stack([np.bincount(cube, column) for column in values.T], axis=1)


def _beside(keys: IntArray) -> IntArray:
    """(27, C) for each cube of sorted `keys` (C,), the numbers of the cubes around it and its own; -1 for none."""
    rows = []
    for shift in AROUND:
        step = (int(shift[0]) << 2 * point_sets.BITS) + (int(shift[1]) << point_sets.BITS) + int(shift[2])
        place = np.searchsorted(keys, keys + step).clip(0, len(keys) - 1)
        rows.append(np.where(keys[place] == keys + step, place, -1))
    return np.stack(rows)


def _over(beside: IntArray, values: FloatArray) -> FloatArray:
    """The sums of the cubes' `values` (C, …) over the cubes around each."""
    total = np.zeros_like(values)
    for row in beside:
        there = row >= 0
        total[there] += values[row[there]]
    return total


def _sides(middles: FloatArray, size: float, normals: FloatArray, outward: FloatArray) -> FloatArray:
    """(C,) 1 or -1, by which normals come to the side of `outward` (C, 3), in agreement with their neighbours."""
    keys, number = _numbered(middles, size)
    place_of = np.empty(len(keys), np.int64)  # by the cube's number: each cube holds one place, the mean of its points
    place_of[number] = np.arange(len(middles))
    cubes = _beside(keys)
    beside = np.where(cubes >= 0, place_of[cubes], -1)[:, number]
    given = (normals * outward).sum(axis=1)
    side = given
    for _ in range(ROUNDS):
        votes = np.zeros(len(given))
        for row in beside:
            there = row >= 0
            votes[there] += side[row[there]] * (normals[row[there]] * normals[there]).sum(axis=1)
        side = given + votes / np.maximum((beside >= 0).sum(axis=0), 1)
    return np.where(side < 0, -1.0, 1.0)


def distances(cloud: Surfels) -> Volume:
    """The volume around surfels. Its cells are larger than CELL of their cubes where it would hold too many blocks."""
    size = CELL * cloud.size
    while True:
        keys = _keys_around(cloud, size)
        if len(keys) <= MOST_BLOCKS:
            break
        # A surface has fewer blocks by the square of the size, a filled space by its cube: a power between 1/2 and 1/3.
        size *= max(COARSER, (len(keys) / MOST_BLOCKS) ** 0.4)
    sums, weights = (np.zeros((len(keys), CELLS), np.float32) for _ in range(2))
    places = cloud.places.astype(np.float64)
    reach = np.maximum(cloud.reach, LEAST_REACH / CELL * size).astype(np.float32)
    _spread(places, cloud.normals, reach, keys, size, sums, weights)
    weights *= np.float32(LEAST_WEIGHT / AGREED)
    sums *= np.float32(LEAST_WEIGHT / AGREED)
    return Volume(size, keys, volume.corners_of(keys), sums, weights)


def _keys_around(cloud: Surfels, size: float) -> IntArray:
    """(B,) the sorted keys of the blocks that the surfels reach."""
    places = cloud.places.astype(np.float64)
    reach = np.maximum(cloud.reach, LEAST_REACH / CELL * size)[:, None]
    keys = np.empty(0, np.int64)
    for shift in np.ndindex(3, 3, 3):
        blocks = (places + reach * (np.array(shift) - 1)) / (SIDE * size)
        blocks = blocks[(np.abs(blocks) < FARTHEST - 1).all(axis=1)]
        keys = np.union1d(keys, volume.key_of(np.floor(blocks).astype(np.int64)))
    return keys


@compiled()
def _spread(
    places: FloatArray, normals: Float32Array, reach: Float32Array, keys: IntArray, size: float,
    sums: Float32Array, weights: Float32Array,
) -> None:  # fmt: skip
    """Adds the surfels' signed distances to the cells within their reach."""
    last_key, last = -1, 0
    for i in range(len(places)):
        px, py, pz = places[i]
        far = reach[i]
        for x in range(int(np.ceil((px - far) / size)), int(np.floor((px + far) / size)) + 1):
            for y in range(int(np.ceil((py - far) / size)), int(np.floor((py + far) / size)) + 1):
                for z in range(int(np.ceil((pz - far) / size)), int(np.floor((pz + far) / size)) + 1):
                    dx, dy, dz = x * size - px, y * size - py, z * size - pz
                    square = (dx * dx + dy * dy + dz * dz) / (far * far)
                    if square >= 1:
                        continue
                    bx, by, bz = x // SIDE + FARTHEST, y // SIDE + FARTHEST, z // SIDE + FARTHEST
                    key = (bx << 40) | (by << 20) | bz
                    if key != last_key:
                        place = int(np.searchsorted(keys, key))
                        if place >= len(keys) or keys[place] != key:
                            continue
                        last_key, last = int(key), place
                    cell = (x % SIDE) * SIDE * SIDE + (y % SIDE) * SIDE + z % SIDE
                    signed = (dx * normals[i, 0] + dy * normals[i, 1] + dz * normals[i, 2]) / (TRUNCATION * size)
                    w = (1 - square) ** 2
                    sums[last, cell] += w * max(-1.0, min(1.0, signed))
                    weights[last, cell] += w
