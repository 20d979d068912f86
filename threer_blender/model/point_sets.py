"""[S] Parts of a point set: points far from their neighbours, one point a cube, points on planes. Numpy only."""

from __future__ import annotations

import numpy as np

from .arrays import Array, BoolArray, FloatArray, IntArray
from .errors import UserError

BITS = 21  # of a cube's key, along each axis
SIGMA_OF_MEDIAN = 1.4826  # the standard deviation of a normal distribution, in median absolute deviations
SAMPLE = 20_000  # points by which planes are looked for
DRAWS = 400  # planes through three points that are tried for each plane
LEAST_ON_PLANE = 0.03  # of all points: fewer make no plane
SEED = 0


def floaters(distances: Array, spacing: Array | None, strength: float) -> BoolArray:
    """(N,) the points that are unusually far from their neighbours.

    `distances` (N,) are mean distances to the nearest neighbours. `spacing` (N,) is the distance that neighbours have
    on a surface as the photos saw it, None where it is unknown: far surfaces are sparser. A point is a floater where
    the logarithm of their ratio is more than `strength` standard deviations above the median.
    """
    ratio = np.log(np.maximum(distances, 1e-30)).astype(np.float32)
    if spacing is not None:
        ratio -= np.log(np.maximum(spacing, 1e-30))
    finite = ratio[np.isfinite(ratio)]
    if not len(finite):
        return np.zeros(len(distances), bool)
    median = float(np.median(finite))
    deviation = SIGMA_OF_MEDIAN * float(np.median(np.abs(finite - median)))
    far: BoolArray = ratio > median + strength * max(deviation, 1e-6)
    return far


def cubes(places: Array, side: float) -> IntArray:
    """(N,) a key of the cube, with this side, of each point. Points that are very far share the outermost cubes."""
    half = 1 << (BITS - 1)
    with np.errstate(invalid="ignore", over="ignore"):
        index = np.nan_to_num(np.floor(places / np.float32(side)), nan=-half, posinf=half, neginf=-half)
    cells = index.clip(-half, half - 1).astype(np.int64) + half
    keys: IntArray = (cells[:, 0] << 2 * BITS) | (cells[:, 1] << BITS) | cells[:, 2]
    return keys


def one_a_cube(places: Array, side: float, confidence: Array | None) -> BoolArray:
    """(N,) one of the points `places` (N, 3) of each cube with this side: the one with the most confidence."""
    chosen = np.zeros(len(places), bool)
    if not len(places):
        return chosen
    keys = cubes(places, side)
    order = np.argsort(keys)
    starts = np.flatnonzero(np.diff(keys[order], prepend=np.int64(-1)))
    if confidence is None:
        chosen[order[starts]] = True
        return chosen
    values = confidence[order]
    best = np.repeat(np.maximum.reduceat(values, starts), np.diff(np.append(starts, len(order))))
    candidates = np.flatnonzero(values >= best)
    cube = np.searchsorted(starts, candidates, "right")
    chosen[order[candidates[np.flatnonzero(np.diff(cube, prepend=0))]]] = True
    return chosen


def on_planes(places: Array, count: int, tolerance: float) -> IntArray:
    """(N,) for each of the points `places` (N, 3), the number of its plane from 0, the largest plane first; else -1.

    At most `count` planes are looked for, each by RANSAC among the points that are on none before. Points within
    `tolerance` of a plane are on it. Raises UserError where there is no plane.
    """
    rng = np.random.default_rng(SEED)
    finite = np.flatnonzero(np.isfinite(places).all(axis=1))
    rest = np.asarray(places[finite[:: max(1, len(finite) // SAMPLE)]], np.float64)
    least = max(3, LEAST_ON_PLANE * len(rest))
    planes: list[tuple[FloatArray, float]] = []
    while len(planes) < count and len(rest) >= least:
        normal, offset = _plane(rest, tolerance, rng)
        distant = np.abs(rest @ normal - offset) > tolerance
        if len(rest) - distant.sum() < least:
            break
        planes.append((normal, offset))
        rest = rest[distant]
    if not planes:
        raise UserError("No plane holds enough of the points: raise the tolerance.")
    numbers = np.full(len(places), -1)
    for number, (normal, offset) in reversed(list(enumerate(planes))):  # the largest is written last
        with np.errstate(invalid="ignore"):
            numbers[np.abs(places @ normal.astype(np.float32) - np.float32(offset)) <= tolerance] = number
    return numbers


def _plane(points: FloatArray, tolerance: float, rng: np.random.Generator) -> tuple[FloatArray, float]:
    """The unit normal and the offset of the plane with the most points near it, fitted to these."""
    triples = points[rng.integers(0, len(points), (DRAWS, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals, triples = (each[length[:, 0] > 0] for each in (normals / np.maximum(length, 1e-300), triples))
    if not len(normals):
        return np.array((0.0, 0.0, 1.0)), float(points[0, 2])
    offsets = (normals * triples[:, 0]).sum(1)
    probes = points[:: max(1, len(points) // 4000)]
    best = int((np.abs(probes @ normals.T - offsets) <= tolerance).sum(0).argmax())
    near = points[np.abs(points @ normals[best] - offsets[best]) <= tolerance]
    centre = near.mean(0)
    normal: FloatArray = np.linalg.eigh((near - centre).T @ (near - centre))[1][:, 0]
    return normal, float(normal @ centre)
