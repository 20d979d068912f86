"""[R] Renders triangles through a real lens, exactly: each sample's ray is met with the triangles. numba and numpy.

No picture is resampled and no edge is drawn straight where the lens bends it: a triangle's projection only says which
samples to test, and the test is of the sample's own ray, from where the camera is at the sample's own row. So
distortion, pixel aspect and rolling shutter are true to rounding. A pixel is the mean of four samples in it; texture
finer than a pixel fades out. Lens: COLMAP's RADIAL, written out here on purpose and not imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

SAMPLES = ((0.125, 0.625), (0.375, 0.125), (0.625, 0.875), (0.875, 0.375))  # in the pixel: rotated grid
NEAREST = 0.02  # m: what is nearer is not drawn
SUN = np.array([-0.52, -0.45, 0.73])  # the direction to the sun, in the world
SKY = np.array([[0.42, 0.55, 0.80], [0.75, 0.80, 0.86]])  # linear, above and at the horizon
OCTAVES = ((1.0, 0.9), (3.1, 0.65), (9.3, 0.5), (27.0, 0.4))  # of the paint: frequency, amplitude

_COMPILE: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@dataclass(frozen=True)
class Lens:
    """Intrinsics in pixels of the plate, x and y, and radial distortion.

    It is not the product's Camera: the truth shares no code with what is tested against it.
    """

    width: int
    height: int
    focal: tuple[float, float]
    centre: tuple[float, float]
    k1: float = 0.0
    k2: float = 0.0

    def distorted(self, ideal: Array) -> Array:
        """Pixels (..., 2) of ideal (x/z, y/z)."""
        square = (ideal**2).sum(axis=-1, keepdims=True)
        pixels: Array = ideal * (1 + self.k1 * square + self.k2 * square**2) * self.focal + self.centre
        return pixels

    def undistorted(self, pixels: Array) -> Array:
        """Ideal (x/z, y/z) of pixels (..., 2): Newton's method on the radius."""
        distorted = (pixels - self.centre) / self.focal
        if not self.k1 and not self.k2:
            return np.asarray(distorted)
        target = np.linalg.norm(distorted, axis=-1, keepdims=True)
        radius = target.copy()
        for _ in range(15):
            square = radius**2
            error = radius * (1 + self.k1 * square + self.k2 * square**2) - target
            radius -= error / (1 + 3 * self.k1 * square + 5 * self.k2 * square**2)
        ideal: Array = distorted * (radius / np.maximum(target, 1e-12))
        return ideal

    def fold(self) -> float:
        """The ideal radius beyond which nothing is drawn: well outside the picture's farthest corner."""
        corners = np.array([(x, y) for x in (0, self.width) for y in (0, self.height)], float)
        return 1.5 * float(np.linalg.norm(self.undistorted(corners), axis=1).max())

    def rays(self) -> Array:
        """(H, W, 4, 2) ideal (x/z, y/z) of every sample."""
        x, y = np.meshgrid(np.arange(self.width), np.arange(self.height))
        pixels = np.stack([x, y], axis=-1)[:, :, None] + np.array(SAMPLES)
        return self.undistorted(pixels)


@dataclass(frozen=True)
class Rendered:
    """`picture` (H, W, 3) linear; `surface` (H, W, 4) index of the triangle that each sample shows, -1 for sky.

    `depth` (H, W) is the camera z of each pixel's first sample, infinite for sky, `rays` (H, W, 2) its (x/z, y/z).
    `rows` (H, 4, 4) is world_from_camera as each row was exposed.
    """

    picture: Array
    surface: Array
    depth: Array
    rays: Array
    rows: Array

    def points(self, y: Array, x: Array) -> Array:
        """(N, 3) world points that the first samples of pixels (N,), (N,) show; infinite for sky."""
        poses, z = self.rows[y], self.depth[y, x]
        local = np.concatenate([self.rays[y, x], np.ones((len(y), 1))], axis=1) * z[:, None]
        points: Array = np.einsum("nij,nj->ni", poses[:, :3, :3], local) + poses[:, :3, 3]
        return points


def render(mesh: Any, colors: Array, scales: Array, lens: Lens, rows: Array) -> Rendered:
    """A picture of `mesh` (shot_scene.Mesh), `rows` (H, 4, 4) being world_from_camera as each row was exposed.

    `colors` (P, 4, 3) and `scales` (P,) are the paints'.
    """
    rays = lens.rays()
    parameters = np.array([*lens.focal, *lens.centre, lens.k1, lens.k2, lens.fold()])
    pixels = _projected(mesh.vertices, rows, parameters)
    surface = np.full((lens.height, lens.width, 4), -1, np.int32)
    depth = np.full((lens.height, lens.width, 4), np.inf)
    _rasterise(mesh.vertices, mesh.corners, pixels, rows, rays, surface, depth)
    picture = np.zeros((lens.height, lens.width, 3))
    sun = SUN / np.linalg.norm(SUN)
    octaves = np.array(OCTAVES)
    corners, paint = mesh.corners, mesh.paint
    arrays = (mesh.vertices, mesh.normals, mesh.texture, mesh.tone)
    _shade(
        *arrays, corners, paint, rows, rays, surface, depth, colors, scales, octaves, sun, SKY, lens.focal[0], picture
    )
    return Rendered(picture, surface, depth[:, :, 0], rays[:, :, 0], rows)


@numba.njit(**_COMPILE)
def _projected(vertices: Array, rows: Array, lens: Array) -> Array:
    """(V, 2) pixels of world points, at the row where each is exposed; NaN where they are behind or far outside."""
    fx, fy, cx, cy, k1, k2, fold = lens
    height = len(rows)
    pixels = np.full((len(vertices), 2), np.nan)
    for i in range(len(vertices)):
        row = height // 2
        for _ in range(3):
            pose = rows[row]
            a, b, c = vertices[i, 0] - pose[0, 3], vertices[i, 1] - pose[1, 3], vertices[i, 2] - pose[2, 3]
            z = pose[0, 2] * a + pose[1, 2] * b + pose[2, 2] * c
            if z < NEAREST:
                break
            x = (pose[0, 0] * a + pose[1, 0] * b + pose[2, 0] * c) / z
            y = (pose[0, 1] * a + pose[1, 1] * b + pose[2, 1] * c) / z
            square = x * x + y * y
            if square > fold * fold:
                break
            radial = 1 + k1 * square + k2 * square * square
            pixels[i, 0], pixels[i, 1] = fx * radial * x + cx, fy * radial * y + cy
            row = min(max(int(pixels[i, 1]), 0), height - 1)
    return pixels


@numba.njit(**_COMPILE)
def _edges(vertices: Array, corners: Array, pose: Array, a: Array, n: Array) -> float:
    """Fills `a` (3, 3) with a triangle's corners in the camera's frame, and `n` (3, 3) with the normals of the planes
    through the camera and each edge. Returns six times the signed volume of the pyramid from the camera."""
    for i in range(3):
        vertex = vertices[corners[i]]
        u, v, w = vertex[0] - pose[0, 3], vertex[1] - pose[1, 3], vertex[2] - pose[2, 3]
        for j in range(3):
            a[i, j] = pose[0, j] * u + pose[1, j] * v + pose[2, j] * w
    for i in range(3):
        p, q = a[(i + 1) % 3], a[(i + 2) % 3]
        n[i, 0] = p[1] * q[2] - p[2] * q[1]
        n[i, 1] = p[2] * q[0] - p[0] * q[2]
        n[i, 2] = p[0] * q[1] - p[1] * q[0]
    return a[0, 0] * n[0, 0] + a[0, 1] * n[0, 1] + a[0, 2] * n[0, 2]


@numba.njit(**_COMPILE)
def _rasterise(
    vertices: Array, corners: Array, pixels: Array, rows: Array, rays: Array, surface: Array, depth: Array
) -> None:
    """Fills `surface` with the nearest triangle on each sample's ray, and `depth` with its camera z there."""
    height, width = surface.shape[:2]
    n = np.empty((3, 3))
    a = np.empty((3, 3))
    volume = 0.0
    rolling = np.any(rows[0] != rows[-1])
    for t in range(len(corners)):
        left, right, top, bottom = np.inf, -np.inf, np.inf, -np.inf
        is_projected = True
        for i in range(3):
            x, y = pixels[corners[t, i]]
            if np.isnan(x):
                is_projected = False
                break
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        if not is_projected:
            continue
        margin = 0.05 + 0.05 * max(right - left, bottom - top)
        first, last = max(int(np.floor(top - margin)), 0), min(int(np.floor(bottom + margin)), height - 1)
        begin, end = max(int(np.floor(left - margin)), 0), min(int(np.floor(right + margin)), width - 1)
        if end < begin:
            continue
        for row in range(first, last + 1):
            if row == first or rolling:
                volume = _edges(vertices, corners[t], rows[row], a, n)
            for column in range(begin, end + 1):
                for s in range(4):
                    x, y = rays[row, column, s]
                    e0 = n[0, 0] * x + n[0, 1] * y + n[0, 2]
                    e1 = n[1, 0] * x + n[1, 1] * y + n[1, 2]
                    e2 = n[2, 0] * x + n[2, 1] * y + n[2, 2]
                    if not ((e0 >= 0 and e1 >= 0 and e2 >= 0) or (e0 <= 0 and e1 <= 0 and e2 <= 0)):
                        continue
                    z = volume / (e0 + e1 + e2)
                    if NEAREST < z < depth[row, column, s]:
                        depth[row, column, s] = z
                        surface[row, column, s] = t


@numba.njit(**_COMPILE)
def _hash(i: int, j: int, k: int) -> int:
    """32 scrambled bits of a lattice point."""
    h = (i * 374761393 + j * 668265263 + k * 2147483647) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return h ^ (h >> 16)


@numba.njit(**_COMPILE)
def _gradient(i: int, j: int, k: int, x: float, y: float, z: float) -> float:
    """A lattice point's random gradient times the vector (x, y, z) from it."""
    h = _hash(i, j, k)
    return (
        ((h & 1023) / 511.5 - 1.0) * x + (((h >> 10) & 1023) / 511.5 - 1.0) * y + (((h >> 20) & 1023) / 511.5 - 1.0) * z
    )


@numba.njit(**_COMPILE)
def _smooth(t: float) -> float:
    return t * t * t * (t * (6 * t - 15) + 10)


@numba.njit(**_COMPILE)
def _noise(x: float, y: float, z: float) -> float:
    """Gradient noise (Perlin 2002) in about [-1, 1]."""
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    u, v, w = x - i, y - j, z - k
    a, b, c = _smooth(u), _smooth(v), _smooth(w)
    total = 0.0
    for di in range(2):
        wx = a if di else 1 - a
        for dj in range(2):
            wy = b if dj else 1 - b
            for dk in range(2):
                wz = c if dk else 1 - c
                total += wx * wy * wz * _gradient(i + di, j + dj, k + dk, u - di, v - dj, w - dk)
    return total


@numba.njit(**_COMPILE)
def _shade(
    vertices: Array,
    normals: Array,
    texture: Array,
    tone: Array,
    corners: Array,
    paint: Array,
    rows: Array,
    rays: Array,
    surface: Array,
    depth: Array,
    colors: Array,
    scales: Array,
    octaves: Array,
    sun: Array,
    sky: Array,
    fx: float,
    picture: Array,
) -> None:
    """Adds each sample's light to `picture`: matte paint under a sun and a sky."""
    height, width, count = surface.shape
    for row in range(height):
        pose = rows[row]
        for column in range(width):
            for s in range(count):
                x, y = rays[row, column, s]
                dx = pose[0, 0] * x + pose[0, 1] * y + pose[0, 2]
                dy = pose[1, 0] * x + pose[1, 1] * y + pose[1, 2]
                dz = pose[2, 0] * x + pose[2, 1] * y + pose[2, 2]
                t = surface[row, column, s]
                if t < 0:
                    up = max(dz, 0.0) / np.sqrt(dx * dx + dy * dy + dz * dz)
                    for c in range(3):
                        picture[row, column, c] += (sky[0, c] * up + sky[1, c] * (1 - up)) / count
                    continue
                z = depth[row, column, s]
                hit = (pose[0, 3] + z * dx, pose[1, 3] + z * dy, pose[2, 3] + z * dz)
                i0, i1, i2 = corners[t]
                w0, w1, w2 = _weights(vertices[i0], vertices[i1], vertices[i2], hit)
                nx, ny, nz = (
                    w0 * normals[i0, 0] + w1 * normals[i1, 0] + w2 * normals[i2, 0],
                    w0 * normals[i0, 1] + w1 * normals[i1, 1] + w2 * normals[i2, 1],
                    w0 * normals[i0, 2] + w1 * normals[i1, 2] + w2 * normals[i2, 2],
                )
                length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
                if nx * dx + ny * dy + nz * dz > 0:
                    length = -length
                nx, ny, nz = nx / length, ny / length, nz / length
                light = 0.42 + 0.18 * nz + 0.85 * max(0.0, nx * sun[0] + ny * sun[1] + nz * sun[2])
                p = paint[t]
                tx = (w0 * texture[i0, 0] + w1 * texture[i1, 0] + w2 * texture[i2, 0]) * scales[p]
                ty = (w0 * texture[i0, 1] + w1 * texture[i1, 1] + w2 * texture[i2, 1]) * scales[p]
                tz = (w0 * texture[i0, 2] + w1 * texture[i1, 2] + w2 * texture[i2, 2]) * scales[p]
                footprint = z / fx * scales[p]  # of a pixel, in units of the paint's features
                value = 0.5 + 0.24 * (w0 * tone[i0] + w1 * tone[i1] + w2 * tone[i2] - 0.5)
                for o in range(len(octaves)):
                    frequency, amplitude = octaves[o]
                    fade = 2.0 - 4.0 * frequency * footprint  # gone at two pixels a feature
                    if fade <= 0:
                        break
                    shift = 17.3 * o
                    amount = _noise(tx * frequency + shift, ty * frequency - shift, tz * frequency + shift)
                    value += min(fade, 1.0) * amplitude * amount
                value = min(max(value, 0.0), 1.0) * 2.999
                k = int(value)
                f = value - k
                for c in range(3):
                    picture[row, column, c] += light * (colors[p, k, c] * (1 - f) + colors[p, k + 1, c] * f) / count


@numba.njit(**_COMPILE)
def _weights(a: Array, b: Array, c: Array, hit: tuple[float, float, float]) -> tuple[float, float, float]:
    """Barycentric coordinates of a point of a triangle."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    px, py, pz = hit[0] - a[0], hit[1] - a[1], hit[2] - a[2]
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    pu, pv = px * ux + py * uy + pz * uz, px * vx + py * vy + pz * vz
    area = uu * vv - uv * uv
    if area <= 0:
        return 1.0, 0.0, 0.0
    w1, w2 = (vv * pu - uv * pv) / area, (uu * pv - uv * pu) / area
    return 1 - w1 - w2, w1, w2
