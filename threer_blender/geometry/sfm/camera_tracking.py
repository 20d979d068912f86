"""[R] The camera at the frames of a video between those that were solved: known points are found again in each frame.

Points of the scene that a solved frame (a key) sees are looked for in the frame by aligning small patches
(Lucas & Kanade 1981, in the inverse compositional form of Baker & Matthews 2004), warped as the two cameras say; the
frame's pose is the one that explains where they were found (Gauss-Newton on the reprojection, robust as Cauchy's
distribution is). The lens is the keys'. numpy and numba only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.reconstruction import Camera

LONG_SIDE = 960  # pixels of the pictures in which points are looked for
CELLS = 20  # along the longer side of a picture: in each cell the most telling points are looked for
PER_CELL = 2
NEAREST = 1.05  # times the depth of a cell's nearest point: what is farther may be hidden
LEVELS = 4  # of pictures, each half as large as the one before
HALF = 6  # pixels from a patch's middle to its side
ITERATIONS = 8
ALIKE = 0.8  # correlation of a patch that was found again
FOUND = 1.5  # px; a point this close to where the pose puts it supports the pose
FEWEST = 24  # such points of a frame whose pose stands
SUPPORT = 0.5  # share of such points among those found again

Picture = Callable[[int], Array]
"""The grey picture (H, W) float32 of a frame, its longer side at most LONG_SIDE."""


@dataclass(frozen=True)
class _Key:
    """A solved frame: its camera in pixels of the small pictures, those, and the points looked for."""

    camera: Camera
    levels: list[Array]
    points: FloatArray


def follow(
    keys: Mapping[int, Camera],
    positions: Array,
    picture: Picture,
    numbers: Sequence[int],
    progress: Callable[[int], None],
) -> Iterator[tuple[int, Camera]]:
    """The cameras of the frames `numbers` of one video, those in `keys` as they are; frames without one are skipped.

    `positions` (N, 3) are points of the scene, in the keys' world. `progress(frame)` may raise.
    """
    solved = sorted(keys)
    pictures: dict[int, Array] = {}
    for number in solved:  # all of them first: a video is decoded from one end to the other
        progress(0)
        pictures[number] = np.rint(picture(number)).astype(np.uint8)
    ready: dict[int, _Key] = {}
    for number in numbers:
        progress(number)
        if number in keys:
            yield number, keys[number]
            continue
        around = _around(number, solved)
        ready = {key: ready.get(key) or _key(keys[key], pictures[key], positions) for key in around}
        guess = _between(number, around, keys)
        posed = _posed(guess, list(ready.values()), picture(number))
        if posed is not None:
            yield number, posed


def _around(number: int, numbers: Sequence[int]) -> list[int]:
    """The last key before a frame and the first after it, as far as there are such."""
    after = int(np.searchsorted(numbers, number))
    return [numbers[i] for i in (after - 1, after) if 0 <= i < len(numbers)]


def _between(number: int, around: Sequence[int], keys: Mapping[int, Camera]) -> Camera:
    """The camera that goes evenly from one key to the next; beyond the last ones it stays."""
    first, last = keys[around[0]], keys[around[-1]]
    share = (number - around[0]) / (around[-1] - around[0]) if len(around) == 2 else 0.0
    pose = np.eye(4)
    turn = first.world_from_camera[:3, :3].T @ last.world_from_camera[:3, :3]
    pose[:3, :3] = first.world_from_camera[:3, :3] @ rotation(share * rotation_vector(turn))
    pose[:3, 3] = (1 - share) * first.world_from_camera[:3, 3] + share * last.world_from_camera[:3, 3]
    nearest = first if share < 0.5 else last
    return replace(nearest, photo="", world_from_camera=pose, plate="", reprojection_error=None)


def rotation(vector: FloatArray) -> FloatArray:
    """(3, 3) rotation by |vector| radians about `vector` (3,): Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    cross = np.cross(np.eye(3), vector / angle)
    turned: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return turned


def rotation_vector(matrix: FloatArray) -> FloatArray:
    """(3,) the inverse of `rotation` for less than half a turn."""
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    sine, cosine = float(np.linalg.norm(axis)) / 2, (float(np.trace(matrix)) - 1) / 2
    vector: FloatArray = axis / 2 * (np.arctan2(sine, cosine) / sine if sine > 1e-12 else 1.0)
    return vector


# ----------------------------------------------------------------------------------------------- points of a key
def _key(camera: Camera, picture: Array, positions: Array) -> _Key:
    picture = picture.astype(np.float32)
    small = _resized(camera, picture.shape)
    return _Key(small, _pyramid(picture), _telling_points(small, picture, positions))


def _resized(camera: Camera, shape: Sequence[int]) -> Camera:
    """The camera in pixels of a picture (H, W)."""
    x, y = shape[1] / camera.width, shape[0] / camera.height
    height, width = shape
    return replace(
        camera,
        width=width,
        height=height,
        fx=camera.fx * x,
        fy=camera.fy * y,
        cx=camera.cx * x,
        cy=camera.cy * y,
    )


def _pyramid(picture: Array) -> list[Array]:
    levels = [np.ascontiguousarray(picture, np.float32)]
    for _ in range(LEVELS - 1):
        height, width = (side // 2 * 2 for side in levels[-1].shape)
        even = levels[-1][:height, :width]
        levels.append((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)
    return levels


def _telling_points(camera: Camera, picture: Array, positions: Array) -> FloatArray:
    """(M, 3): in each cell of the picture the points, not hidden by nearer ones, whose surroundings tell most."""
    pixels = camera.project(positions)
    margin = 2 * HALF
    inside = np.all((pixels > margin) & (pixels < (camera.width - margin, camera.height - margin)), axis=1)
    points, pixels = np.asarray(positions, np.float64)[inside], pixels[inside]
    if not len(points):
        return points
    side = max(camera.width, camera.height) / CELLS
    cells = (pixels[:, 1] // side).astype(int) * CELLS + (pixels[:, 0] // side).astype(int)
    row = camera.camera_from_world[2]
    depth = points @ row[:3] + row[3]
    nearest = np.full(cells.max() + 1, np.inf)
    np.minimum.at(nearest, cells, depth)
    strength = _corners(picture)[tuple(pixels.astype(int).T[::-1])]
    strength[depth > NEAREST * nearest[cells]] = 0
    order = np.lexsort((-strength, cells))
    _, begins = np.unique(cells[order], return_index=True)
    best = np.concatenate([order[begin : begin + PER_CELL] for begin in begins])
    chosen: FloatArray = points[best[strength[best] > 0]]
    return chosen


def _corners(picture: Array) -> Array:
    """(H, W): how well a patch there can be told from its neighbours (Shi & Tomasi 1994)."""
    y, x = np.gradient(picture)
    xx, xy, yy = (_box(product) for product in (x * x, x * y, y * y))
    smaller: Array = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return smaller


def _box(values: Array) -> Array:
    """Sums over the patches around all pixels; zero where one reaches over the side."""
    size = 2 * HALF + 1
    sums = np.pad(values.astype(np.float64), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    out = np.zeros_like(values, np.float64)
    out[HALF:-HALF, HALF:-HALF] = sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]
    return out


# ----------------------------------------------------------------------------------------------- a frame
def _posed(guess: Camera, keys: Sequence[_Key], picture: Array) -> Camera | None:
    """`guess` with the pose that the points found in the frame's picture tell; None where they tell none.

    Each level of the pictures corrects the pose from which the next finer one is searched: the points together
    overrule those that went astray.
    """
    small, levels = _resized(guess, picture.shape), _pyramid(picture)
    error = np.zeros(0)
    for level in reversed(range(LEVELS)):
        found = [_find(key, small, levels[level], level) for key in keys]
        points, pixels = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if len(points) < FEWEST:
            return None
        pose, error = _pose(small, points, pixels, FOUND * 2**level)
        small = replace(small, world_from_camera=np.linalg.inv(pose))
    supporting = error < FOUND
    if supporting.sum() < FEWEST or supporting.mean() < SUPPORT:
        return None
    off = float(error[supporting].mean() * guess.width / small.width)
    return replace(guess, world_from_camera=small.world_from_camera, reprojection_error=off)


def _find(key: _Key, camera: Camera, picture: Array, level: int) -> tuple[FloatArray, FloatArray]:
    """The key's points (M, 3) found again at a level of the pictures, and their pixels (M, 2) in the finest.

    `camera` is the frame's, roughly known; `picture` is the frame's at that level.
    """
    start, expected = key.camera.project(key.points), camera.project(key.points)
    row = key.camera.camera_from_world[2]
    pixel = ((key.points @ row[:3] + row[3]) / key.camera.fx)[:, None]  # its size at the point
    across, down = (camera.project(key.points + pixel * axis) for axis in key.camera.world_from_camera[:3, :2].T)
    warps = np.stack([across - expected, down - expected], axis=2)
    usable = np.isfinite(warps).all(axis=(1, 2)) & np.isfinite(start).all(axis=1)
    pixels, alike = np.ascontiguousarray(expected[usable]) / 2**level, np.zeros(int(usable.sum()))
    _align(key.levels[level], picture, start[usable] / 2**level, warps[usable], pixels, alike)
    return key.points[usable][alike > ALIKE], pixels[alike > ALIKE] * 2**level


def _pose(camera: Camera, points: FloatArray, pixels: FloatArray, loose: float) -> tuple[FloatArray, FloatArray]:
    """camera_from_world (4, 4) that projects `points` best to `pixels`, and the distances in pixels.

    Distances of more than `loose` pixels count less and less.
    """
    pose, seen, focal = camera.camera_from_world, camera.rays(pixels)[:, :2], np.array([camera.fx, camera.fy])
    for _ in range(ITERATIONS):
        local = points @ pose[:3, :3].T + pose[:3, 3]
        x, y, z = local.T
        off = (local[:, :2] / z[:, None] - seen) * focal
        zero = np.zeros_like(z)
        # Of the projection by a shift and a turn of the camera: d(x/z, y/z) / d(t, r), local -> local + t + r × local.
        slope = np.stack(
            [
                np.stack([1 / z, zero, -x / z**2, -x * y / z**2, 1 + (x / z) ** 2, -y / z], axis=1),
                np.stack([zero, 1 / z, -y / z**2, -1 - (y / z) ** 2, x * y / z**2, x / z], axis=1),
            ],
            axis=1,
        )
        slope *= focal[:, None]
        weight = 1 / (1 + (off**2).sum(1) / loose**2)
        normal = np.einsum("nki,nkj,n->ij", slope, slope, weight)
        step = -np.linalg.lstsq(normal, np.einsum("nki,nk,n->i", slope, off, weight), rcond=None)[0]
        turn = rotation(step[3:])
        pose = np.block([[turn @ pose[:3, :3], (turn @ pose[:3, 3] + step[:3])[:, None]], [pose[3:]]])
    local = points @ pose[:3, :3].T + pose[:3, 3]
    error: FloatArray = np.linalg.norm((local[:, :2] / local[:, 2:] - seen) * focal, axis=1)
    return pose, np.where(local[:, 2] > 0, error, np.inf)


_compile: dict[str, Any] = {"cache": True, "fastmath": True, "nogil": True, "error_model": "numpy"}


@numba.njit(**_compile)
def _sample(picture: Array, x: float, y: float) -> float:
    """Bilinear, centres at (0.5, 0.5); the point lies inside."""
    u, v = x - 0.5, y - 0.5
    i, j = int(u), int(v)
    a, b = u - i, v - j
    upper = picture[j, i] * (1 - a) + picture[j, i + 1] * a
    return upper * (1 - b) + (picture[j + 1, i] * (1 - a) + picture[j + 1, i + 1] * a) * b


@numba.njit(**_compile)
def _align(key: Array, target: Array, start: Array, warps: Array, pixels: Array, alike: Array) -> None:
    """Moves `pixels` (N, 2) of `target` to where the patches of `key` at `start` (N, 2) are found.

    `warps` (N, 2, 2) are target pixels per key pixel. `alike` (N,) gets the patches' correlation, 0 where one left the
    picture.
    """
    size = 2 * HALF + 1
    patch, slope_x, slope_y = np.empty(size * size), np.empty(size * size), np.empty(size * size)
    seen = np.empty(size * size)
    for i in range(len(pixels)):
        alike[i] = 0.0
        x0, y0 = start[i]
        if not (HALF + 2 < x0 < key.shape[1] - HALF - 2 and HALF + 2 < y0 < key.shape[0] - HALF - 2):
            continue
        a, b, c, d = warps[i, 0, 0], warps[i, 0, 1], warps[i, 1, 0], warps[i, 1, 1]
        determinant = a * d - b * c
        if abs(determinant) < 0.1 or abs(determinant) > 10:
            continue
        xx = xy = yy = 0.0
        for k in range(size * size):
            x, y = x0 + k % size - HALF, y0 + k // size - HALF
            patch[k] = _sample(key, x, y)
            along = (_sample(key, x + 1, y) - _sample(key, x - 1, y)) / 2
            down = (_sample(key, x, y + 1) - _sample(key, x, y - 1)) / 2
            slope_x[k] = (d * along - c * down) / determinant  # by a shift in the target
            slope_y[k] = (a * down - b * along) / determinant
        patch -= patch.mean()
        slope_x -= slope_x.mean()
        slope_y -= slope_y.mean()
        for k in range(size * size):
            xx += slope_x[k] ** 2
            xy += slope_x[k] * slope_y[k]
            yy += slope_y[k] ** 2
        sharp = xx * yy - xy * xy
        if sharp <= 1e-6:
            continue
        px, py = pixels[i]
        reach = (HALF + 1) * max(abs(a) + abs(b), abs(c) + abs(d)) + 1
        for _ in range(ITERATIONS):
            if not (reach < px < target.shape[1] - reach and reach < py < target.shape[0] - reach):
                alike[i] = 0.0
                break
            for k in range(size * size):
                u, v = k % size - HALF, k // size - HALF
                seen[k] = _sample(target, px + a * u + b * v, py + c * u + d * v)
            seen -= seen.mean()
            together = own = other = ex = ey = 0.0
            for k in range(size * size):
                together += seen[k] * patch[k]
                own += patch[k] ** 2
                other += seen[k] ** 2
                ex += slope_x[k] * (seen[k] - patch[k])
                ey += slope_y[k] * (seen[k] - patch[k])
            alike[i] = together / np.sqrt(own * other + 1e-9)
            dx, dy = (yy * ex - xy * ey) / sharp, (xx * ey - xy * ex) / sharp
            px -= dx
            py -= dy
            if dx * dx + dy * dy < 1e-4:
                break
        pixels[i, 0], pixels[i, 1] = px, py
