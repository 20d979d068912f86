"""[R] The texture of a mesh from the photos of its surface. numba and numpy only.

Each texel sees a photo where the mesh does not hide it. Exposure is evened by a gain for each photo and channel. Two
bands are blended: the coarse one over all photos that see the texel, which hides seams, and the fine one from the best
photo alone, which keeps it sharp (Burt and Adelson 1983, "A multiresolution spline", with two bands).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...model.arrays import Array, BoolArray, Float32Array, FloatArray, Int32Array, IntArray, UInt8Array
from ...model.proxy_mesh import Mesh
from ..kernels import compiled, in_bands
from .charts import Layout, face_normals
from .views import PinholeView

SHARPNESS = 6  # power of a photo's weight in the fine band
BORDER = 0.04  # share of the picture's longer side along which a photo's weight fades
UNSURE = 1e-3  # weight of a photo beside an edge of something in front, where the photo may show that instead
SAMPLES = 40_000  # texels whose colours even the exposure
DARKEST, BRIGHTEST = 8, 247  # values that tell exposure; beyond them a photo may be clipped
MOST_GAIN = 2.5  # of a photo, and its inverse the least
UNLIKE = 0.1  # in logarithms: a colour of a point that differs so much from the others counts half
ROUNDS = 10  # of the gains' equations, with the points' trust from the round before
DRAWN = 1.0  # how strongly each photo's gain is drawn to 1: as by so many more points that need no gain
COVER_MARGIN, DEPTH_MARGIN = 1e-9, 1e-6  # shares by which a pixel's centre may lie outside a triangle that covers it
STEEPEST = 0.2  # least cosine that a surface's slope is computed with


class Texels(NamedTuple):
    """The N texels that faces cover: `numbers` (N,) their places in the texture, counted row by row, and `points` and
    `normals` (N, 3) in the world."""

    numbers: Int32Array
    points: Float32Array
    normals: Float32Array


@dataclass(frozen=True)
class Picture:
    """A photo without distortion: `image` (H, W, 3) uint8, `coarse` the same blurred, and `usable` (H, W)."""

    view: PinholeView
    image: UInt8Array
    coarse: UInt8Array
    usable: BoolArray


def texels(mesh: Mesh, layout: Layout) -> Texels:
    """The texels whose centres lie on a face. Their normals are those of the vertices, interpolated."""
    shape = (layout.side, layout.side)
    face, weights = np.full(shape, -1, np.int32), np.zeros((*shape, 2), np.float32)
    _cover(np.ascontiguousarray(layout.corners), face, weights)
    index = np.flatnonzero(face.ravel() >= 0)
    corners = mesh.faces[face.ravel()[index]]
    part = weights.reshape(-1, 2)[index]
    part = np.concatenate([1 - part.sum(axis=1, keepdims=True), part], axis=1)[..., None]
    normals = np.zeros((len(mesh.vertices), 3))
    for k in range(3):
        np.add.at(normals, mesh.faces[:, k], face_normals(mesh))
    normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-30)[:, None]
    points = (mesh.vertices[corners] * part).sum(axis=1)
    return Texels(index.astype(np.int32), points.astype(np.float32), _unit((normals[corners] * part).sum(axis=1)))


def _unit(vectors: Array) -> Float32Array:
    unit: Float32Array = (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-30)).astype("f4")
    return unit


@compiled()
def _box(corners: FloatArray, height: int, width: int) -> tuple[int, int, int, int]:
    """The first row of a picture that a triangle with `corners` (3, 2) in pixels may cover and the row after the last,
    then the same of its columns; no rows where the triangle has no area."""
    b, c = corners[1] - corners[0], corners[2] - corners[0]
    if b[0] * c[1] - b[1] * c[0] == 0:
        return 0, 0, 0, 0
    left, top = min(corners[0, 0], corners[1, 0], corners[2, 0]), min(corners[0, 1], corners[1, 1], corners[2, 1])
    right, bottom = max(corners[0, 0], corners[1, 0], corners[2, 0]), max(corners[0, 1], corners[1, 1], corners[2, 1])
    first_row, end_row = max(0, int(top - 0.5)), min(height, int(bottom + 1.5))
    return first_row, end_row, max(0, int(left - 0.5)), min(width, int(right + 1.5))


@compiled()
def _shares(corners: FloatArray, column: int, row: int) -> tuple[float, float]:
    """The shares (barycentric coordinates) of a triangle's second and third corner in the centre of a pixel."""
    ax, ay = corners[0]
    bx, by = corners[1, 0] - ax, corners[1, 1] - ay
    cx, cy = corners[2, 0] - ax, corners[2, 1] - ay
    x, y = column + 0.5 - ax, row + 0.5 - ay
    area = bx * cy - by * cx
    return (x * cy - y * cx) / area, (bx * y - by * x) / area


@compiled()
def _cover(corners: FloatArray, face: Int32Array, weights: Float32Array) -> None:
    """Fills `face` (H, W) with the face over each pixel's centre, and `weights` (H, W, 2) with the shares of its second
    and third corner."""
    height, width = face.shape
    for f in range(len(corners)):
        top, bottom, left, right = _box(corners[f], height, width)
        for row in range(top, bottom):
            for column in range(left, right):
                b, c = _shares(corners[f], column, row)
                if b >= -COVER_MARGIN and c >= -COVER_MARGIN and b + c <= 1 + COVER_MARGIN:
                    face[row, column], weights[row, column, 0], weights[row, column, 1] = f, b, c


def depth_of(mesh: Mesh, view: PinholeView) -> Float32Array:
    """(H, W) camera z of the nearest surface of a mesh at each pixel of a view; infinity where there is none.

    Faces that reach behind the camera are left out.
    """
    pose = view.camera_from_world
    local = mesh.vertices.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    z = local[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = local[:, :2] / z[:, None] * np.diag(view.intrinsics)[:2] + view.intrinsics[:2, 2]
    front = (z[mesh.faces] > 1e-9).all(axis=1)
    pixels = np.where(z[:, None] > 1e-9, pixels, 0)
    inside = front & (pixels[mesh.faces].max(axis=1) > 0).all(axis=1)
    inside &= (pixels[mesh.faces].min(axis=1) < view.size).all(axis=1)
    faces = mesh.faces[inside]
    depth = np.full((view.size[1], view.size[0]), np.inf, np.float32)
    _nearest(pixels[faces], 1 / z[faces], depth)
    return depth


@compiled()
def _nearest(corners: FloatArray, inverse: FloatArray, depth: Float32Array) -> None:
    """Lowers `depth` (H, W) to that of triangles with `corners` (F, 3, 2) in pixels and `inverse` (F, 3) depths."""
    height, width = depth.shape
    for f in range(len(corners)):
        top, bottom, left, right = _box(corners[f], height, width)
        for row in range(top, bottom):
            for column in range(left, right):
                b, c = _shares(corners[f], column, row)
                if b >= -DEPTH_MARGIN and c >= -DEPTH_MARGIN and b + c <= 1 + DEPTH_MARGIN:
                    z = 1 / (inverse[f, 0] * (1 - b - c) + inverse[f, 1] * b + inverse[f, 2] * c)
                    depth[row, column] = min(depth[row, column], z)


def weights_in(view: PinholeView, usable: BoolArray, depth: Float32Array, of: Texels, scale: float) -> Float32Array:
    """(N,) how well a photo shows each texel: 0 where it does not, about 1 for a photo from the front.

    `usable` (H, W) are the photo's own pixels; `depth` (h, w) is `depth_of` the mesh for the same view, perhaps in
    fewer pixels. `scale` is the usual number of the photos' pixels per world unit.
    """
    out = np.zeros(len(of.numbers), np.float32)
    fewer = view.scaled(max(depth.shape))
    pixel = 1.0 / fewer.intrinsics[0, 0]
    arguments = (of.points, of.normals, (view.numbers, usable, depth), pixel, scale, out)
    in_bands(_weigh, 0, len(out), *arguments)
    return out


@compiled()
def _weigh(
    first: int, last: int, points: Float32Array, normals: Float32Array,
    photo: tuple[FloatArray, BoolArray, Float32Array], pixel: float, scale: float, out: Float32Array,
) -> None:  # fmt: skip
    """Fills `out` for the texels in range(first, last), as `weights_in` says.

    `photo` is the view's `numbers` (fx, fy, cx, cy, then the rows of camera_from_world), `usable` and `depth`. `pixel`
    is the width of a pixel of `depth` at the distance 1. The weight is the squared cosine between ray and normal, times
    the squared resolution over `scale`, times what is left beside the picture's border and beside edges.
    """
    camera, usable, depth = photo
    height, width = usable.shape
    rows, columns = depth.shape
    border = BORDER * max(height, width)
    for i in range(first, last):
        px, py, pz = points[i]
        lx = camera[4] * px + camera[5] * py + camera[6] * pz + camera[7]
        ly = camera[8] * px + camera[9] * py + camera[10] * pz + camera[11]
        z = camera[12] * px + camera[13] * py + camera[14] * pz + camera[15]
        if z <= 0:
            continue
        x, y = lx / z * camera[0] + camera[2], ly / z * camera[1] + camera[3]
        if not (x >= 0 and y >= 0 and x < width and y < height) or not usable[int(y), int(x)]:
            continue
        nx = camera[4] * normals[i, 0] + camera[5] * normals[i, 1] + camera[6] * normals[i, 2]
        ny = camera[8] * normals[i, 0] + camera[9] * normals[i, 1] + camera[10] * normals[i, 2]
        nz = camera[12] * normals[i, 0] + camera[13] * normals[i, 1] + camera[14] * normals[i, 2]
        cosine = -(nx * lx + ny * ly + nz * z) / np.sqrt(lx * lx + ly * ly + z * z)
        if cosine <= 0.05:
            continue
        slope = np.sqrt(1 - min(1.0, cosine) ** 2) / max(cosine, STEEPEST)
        # A surface nearer than this hides the texel. The margin of three pixels and more is for its own slope.
        nearest = z - z * pixel * (3 + 3 * slope)
        column, row = int(x * columns / width), int(y * rows / height)
        hidden, unsure = False, False
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                u, v = column + dx, row + dy
                if u >= 0 and v >= 0 and u < columns and v < rows and depth[v, u] < nearest:
                    unsure = True
                    hidden = hidden or (abs(dx) + abs(dy) == 0)
        if hidden:
            continue
        fade = min(1.0, (min(min(x, y), min(width - x, height - y)) + 1) / border)
        finer = camera[0] / z / scale
        out[i] = cosine * cosine * min(finer, 4.0) ** 2 * fade * (UNSURE if unsure else 1.0)


def colors_in(view: PinholeView, image: UInt8Array, points: Float32Array) -> Float32Array:
    """(N, 3) the colours of a photo at world points (N, 3), interpolated bilinearly. Points outside take the border."""
    out = np.empty((len(points), 3), np.float32)
    in_bands(_interpolate, 0, len(points), points, view.numbers, image, out)
    return out


@compiled()
def _interpolate(
    first: int, last: int, points: Float32Array, camera: FloatArray, image: UInt8Array, out: Float32Array
) -> None:
    """Fills `out` for the points in range(first, last), as `colors_in` says; `camera` is the view's `numbers`."""
    height, width = image.shape[:2]
    for i in range(first, last):
        px, py, pz = points[i]
        z = camera[12] * px + camera[13] * py + camera[14] * pz + camera[15]
        x = (camera[4] * px + camera[5] * py + camera[6] * pz + camera[7]) / z * camera[0] + camera[2] - 0.5
        y = (camera[8] * px + camera[9] * py + camera[10] * pz + camera[11]) / z * camera[1] + camera[3] - 0.5
        x, y = min(max(x, 0.0), width - 1.001), min(max(y, 0.0), height - 1.001)
        column, row = int(x), int(y)
        u, v = x - column, y - row
        for c in range(3):
            above = image[row, column, c] * (1 - u) + image[row, column + 1, c] * u
            below = image[row + 1, column, c] * (1 - u) + image[row + 1, column + 1, c] * u
            out[i, c] = above * (1 - v) + below * v


def gains(colors: Float32Array, weights: Float32Array) -> FloatArray:
    """(V, 3) the factors for V photos after which they show the same points alike, by their `colors` (V, N, 3) at N
    points and `weights` (V, N), 0 where a photo does not show a point.

    Their geometric mean is 1, which they are drawn to a little, so that photos without overlap stay as they are. Points
    that stay unlike count less.
    """
    usable = (weights > 0) & (colors >= DARKEST).all(axis=-1) & (colors <= BRIGHTEST).all(axis=-1)
    usable &= usable.sum(axis=0) > 1
    photo, point = np.nonzero(usable)
    point = np.unique(point, return_inverse=True)[1].reshape(-1)
    values = np.log(colors[usable].astype(np.float64))
    by_photo = np.stack([_log_gains(photo, point, channel, len(colors)) for channel in values.T], axis=1)
    factors: FloatArray = np.exp(by_photo - by_photo.mean(axis=0)).clip(1 / MOST_GAIN, MOST_GAIN)
    return factors


def _log_gains(photo: IntArray, point: IntArray, values: FloatArray, photos: int) -> FloatArray:
    """(V,) the logarithms of one channel's gains, of V `photos`. Each of M observations is the logarithm of a colour
    among `values` (M,), of a `point` (M,) in a `photo` (M,).

    The sum of the squared differences between the photos' colours of a point and their mean is least. The mean follows
    from the gains, so V linear equations are left. They are solved a few times, with Cauchy's loss.
    """
    trust, log_gains, count = np.ones(len(values)), np.zeros(photos), int(point.max(initial=-1)) + 1
    for _ in range(ROUNDS):
        total = np.bincount(point, trust, count)
        mean = np.bincount(point, trust * values, count) / total
        table = np.zeros((photos, count), np.float32)
        table[photo, point] = trust / np.sqrt(total[point])
        equations = np.diag(np.bincount(photo, trust, photos) + DRAWN) - table @ table.T
        log_gains = np.linalg.solve(equations, np.bincount(photo, trust * (mean[point] - values), photos))
        level = values + log_gains[photo]
        off = level - (np.bincount(point, trust * level, count) / total)[point]
        trust = 1 / (1 + (off / UNLIKE) ** 2)
    return log_gains


class Blend:
    """Collects the colours of N texels photo by photo."""

    def __init__(self, count: int) -> None:
        self._coarse, self._fine = (np.zeros((count, 3), np.float32) for _ in range(2))
        self._weight, self._sharp = (np.zeros(count, np.float32) for _ in range(2))

    def add(self, picture: Picture, of: Texels, weights: Float32Array, gain: FloatArray) -> None:
        """Adds a photo that shows each texel as well as `weights` (N,) says, with the gain (3,) of its channels."""
        sees = np.flatnonzero(weights)
        points, weight = of.points[sees], weights[sees]
        coarse = colors_in(picture.view, picture.coarse, points) * gain.astype(np.float32)
        fine = colors_in(picture.view, picture.image, points) * gain.astype(np.float32) - coarse
        sharp = np.maximum(weight**SHARPNESS, 1e-25)
        self._coarse[sees] += coarse * weight[:, None]
        self._fine[sees] += fine * sharp[:, None]
        self._weight[sees] += weight
        self._sharp[sees] += sharp

    def colors(self) -> tuple[Float32Array, BoolArray]:
        """(N, 3) the colours of the texels, and which of them a photo shows."""
        there = self._weight > 0
        weight, sharp = (np.where(there, each, 1)[:, None] for each in (self._weight, self._sharp))
        return self._coarse / weight + self._fine / sharp, there


def filled(colors: Float32Array, numbers: Int32Array, side: int) -> UInt8Array:
    """(side, side, 3) the texture with `colors` (N, 3) at the texels `numbers` (N,), and everywhere else the colours
    around: means over squares that grow until they hold a colour."""
    image, weight = np.zeros((side * side, 3), np.float32), np.zeros(side * side, np.float32)
    image[numbers], weight[numbers] = colors, 1
    image, weight = image.reshape(side, side, 3), weight.reshape(side, side)
    levels = [(image, weight)]
    while levels[-1][1].shape[0] > 1:
        sums, counts = levels[-1]
        if sums.shape[0] % 2:
            sums, counts = np.pad(sums, ((0, 1), (0, 1), (0, 0))), np.pad(counts, ((0, 1), (0, 1)))
        size = sums.shape[0] // 2
        counts4 = counts.reshape(size, 2, size, 2).sum(axis=(1, 3))
        total = (sums * counts[..., None]).reshape(size, 2, size, 2, 3).sum(axis=(1, 3))
        levels.append((total / np.maximum(counts4, 1e-9)[..., None], np.minimum(counts4, 1)))
    below = levels[-1][0]
    for values, counts in reversed(levels[:-1]):
        spread = below.repeat(2, axis=0).repeat(2, axis=1)[: len(values), : len(values)]
        below = np.where(counts[..., None] > 0, values, spread)
    return (below + 0.5).clip(0, 255).astype(np.uint8)
