"""[R] Charts: pieces of a mesh that are nearly flat, each laid out on a square without overlaps. numba and numpy only.

Charts grow over neighbouring faces whose smoothed normals are near the chart's. Each is projected along its normal and
turned so that its bounding box is small. The boxes are packed on shelves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, FloatArray, Int32Array, IntArray
from ...model.proxy_mesh import Mesh
from ..kernels import compiled

NEAR = 0.6  # least cosine between the smoothed normal of a face and its chart's normal
FACING = 0.2  # least cosine between the normal of a face and its chart's normal: else it would be a sliver
SMOOTHINGS = 8  # times that a face's normal is averaged with its neighbours'
GAP = 4  # texels between two charts
ANGLES = 12  # rotations of a chart that are tried, over a quarter turn


class Layout(NamedTuple):
    """Where each corner of each face is on the texture: `corners` (F, 3, 2) x, y in texels from the top left.

    The texture is a square of `side` texels, each `texel` world units wide. `chart` (F,) is each face's chart.
    """

    corners: FloatArray
    side: int
    texel: float
    chart: Int32Array


def face_normals(mesh: Mesh) -> FloatArray:
    """(F, 3) the normals of the faces, as long as twice their areas."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    normals: FloatArray = np.cross(b - a, c - a)
    return normals


def laid_out(mesh: Mesh, texel: float, most: int) -> Layout:
    """The mesh's charts on a texture of at most `most` texels a side, with texels of at least `texel` world units."""
    chart, normals = _charts(mesh)
    flat, sizes = _flat(mesh, chart, normals)
    texel = max(texel, np.sqrt(float((sizes[:, 0] * sizes[:, 1]).sum())) / most)
    while True:
        in_texels = np.ceil(sizes / texel).astype(np.int64) + 1 + GAP
        side = _side(in_texels, most)
        places = None if side is None else _packed(in_texels, side)
        if places is not None and side is not None:
            corners = flat / texel + places[chart][:, None] + (GAP / 2 + 0.5)
            return Layout(corners, side, texel, chart)
        texel *= 1.04


def _side(sizes: IntArray, most: int) -> int | None:
    """The smallest side of a square into which the boxes (C, 2) fit: a power of two or a half more, at most `most`.
    None where that is too small."""
    sides = sorted(side for power in range(6, 15) for side in (1 << power, 3 << (power - 1)) if side <= most)
    return next((each for each in sides if _packed(sizes, each) is not None), None)


def _packed(sizes: IntArray, side: int) -> IntArray | None:
    """(C, 2) the corners of boxes of `sizes` (C, 2) on shelves in a square; None where they do not fit."""
    if (sizes > side).any() or int((sizes[:, 0] * sizes[:, 1]).sum()) > side * side:
        return None
    order = np.argsort(-sizes[:, 1], kind="stable")
    places = np.empty_like(sizes)
    return places if _fill_shelves(sizes, order, side, places) else None


@compiled()
def _fill_shelves(sizes: IntArray, order: IntArray, side: int, places: IntArray) -> bool:
    x, y, shelf = 0, 0, 0
    for index in order:
        width, height = sizes[index, 0], sizes[index, 1]
        if x + width > side:
            x, y, shelf = 0, y + shelf, 0
        shelf = max(shelf, height)
        if y + height > side:
            return False
        places[index, 0], places[index, 1] = x, y
        x += width
    return True


def neighbours(faces: Array) -> Int32Array:
    """(F, 3) the face on the other side of each edge, from each corner to the next; -1 at the border."""
    count = len(faces)
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1).astype(np.int64)
    keys = edges[:, 0] << 32 | edges[:, 1]
    order = np.argsort(keys, kind="stable")
    alike = keys[order][:-1] == keys[order][1:]
    first = alike & ~np.concatenate([[False], alike[:-1]])  # an edge of more than two faces joins its first two
    a, b = order[:-1][first], order[1:][first]
    beside = np.full(3 * count, -1, np.int32)
    beside[a], beside[b] = b // 3, a // 3
    return beside.reshape(-1, 3)


def _charts(mesh: Mesh) -> tuple[Int32Array, FloatArray]:
    """(F,) the chart of each face, counted from 0, and (C, 3) the charts' normals."""
    beside = neighbours(mesh.faces)
    weighted = face_normals(mesh)
    length = np.linalg.norm(weighted, axis=1)
    unsmoothed = weighted / np.maximum(length, 1e-30)[:, None]
    smooth = weighted.copy()
    for _ in range(SMOOTHINGS):
        smooth = smooth + np.where(beside[..., None] >= 0, smooth[beside], 0).sum(axis=1)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1), 1e-30)[:, None]
    flatness = (smooth * unsmoothed).sum(axis=1) * length  # times twice the area: charts begin at large, flat faces
    chart = np.full(len(unsmoothed), -1, np.int32)
    normals = np.empty((len(unsmoothed), 3))
    count = _grow(beside, unsmoothed, smooth, np.argsort(-flatness), chart, normals)
    return chart, normals[:count]


@compiled()
def _grow(
    beside: Int32Array,
    unsmoothed: FloatArray,
    smooth: FloatArray,
    order: IntArray,
    chart: Int32Array,
    normals: FloatArray,
) -> int:
    """Fills `chart` and `normals`: from each face that has none yet, in `order`, one grows over its neighbours. Returns
    their count."""
    queue = np.empty(len(order), np.int64)
    count = 0
    for seed in order:
        if chart[seed] >= 0:
            continue
        chart[seed] = count
        queue[0], head, tail = seed, 0, 1
        nx, ny, nz = smooth[seed]
        if nx * unsmoothed[seed, 0] + ny * unsmoothed[seed, 1] + nz * unsmoothed[seed, 2] < FACING:
            nx, ny, nz = unsmoothed[seed]
        normals[count, 0], normals[count, 1], normals[count, 2] = nx, ny, nz
        while head < tail:
            face = queue[head]
            head += 1
            for k in range(3):
                other = beside[face, k]
                if other < 0 or chart[other] >= 0:
                    continue
                if nx * unsmoothed[other, 0] + ny * unsmoothed[other, 1] + nz * unsmoothed[other, 2] < FACING:
                    continue
                if nx * smooth[other, 0] + ny * smooth[other, 1] + nz * smooth[other, 2] < NEAR:
                    continue
                chart[other] = count
                queue[tail] = other
                tail += 1
        count += 1
    return count


def _flat(mesh: Mesh, chart: Int32Array, normals: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(F, 3, 2) the corners of the faces in their charts' planes, from the corner of the chart's bounding box, and
    (C, 2) the sizes of these boxes. In world units."""
    count = len(normals)
    beside = np.where(np.abs(normals[:, :1]) < 0.7, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    right = np.cross(beside, normals)
    right /= np.maximum(np.linalg.norm(right, axis=1), 1e-30)[:, None]
    down = np.cross(right, normals)  # as one looks at the chart, since y runs down on the texture
    places = mesh.vertices[mesh.faces].astype(np.float64)
    x, y = (np.einsum("fkc,fc->fk", places, axis[chart]) for axis in (right, down))
    best, chosen, low = np.full(count, np.inf), np.zeros((count, 2)), np.zeros((count, 2))
    sizes = np.zeros((count, 2))
    for angle in np.arange(ANGLES) * (np.pi / 2 / ANGLES):
        turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], axis=-1)
        least, most = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
        np.minimum.at(least, chart, turned.min(axis=1))
        np.maximum.at(most, chart, turned.max(axis=1))
        area = (most - least).prod(axis=1)
        better = area < best
        best[better], low[better], sizes[better] = area[better], least[better], (most - least)[better]
        chosen[better] = np.cos(angle), np.sin(angle)
    cosine, sine = chosen[chart, 0, None], chosen[chart, 1, None]
    flat = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1) - low[chart][:, None]
    return flat, sizes
