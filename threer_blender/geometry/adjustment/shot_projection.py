"""[R] Kernels of a shot's adjustment: where cameras see homogeneous points, and the derivatives of their pixels.

With a rolling shutter, the camera moves while it reads a frame, at a constant speed. A frame's pose is that of its
middle row; the pose of another row follows from the speed and the row's delay.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...model.arrays import Array
from ..kernels import compiled


@compiled()
def _rotated(rotation: Array, vector: Array, sign: float) -> Array:
    """The vector rotated by a small rotation vector, or by its inverse where `sign` is -1, to the second order."""
    once = np.cross(rotation, vector)
    return vector + sign * once + 0.5 * np.cross(rotation, once)


@compiled()
def _at_middle_row(rotations: Array, centres: Array, points: Array, c: int, p: int) -> Array:
    """(3,) the homogeneous point p in the frame of camera c, at the pose of the middle row."""
    x = points[p, 0] - centres[c, 0] * points[p, 3]
    y = points[p, 1] - centres[c, 1] * points[p, 3]
    z = points[p, 2] - centres[c, 2] * points[p, 3]
    out = np.empty(3)
    for i in range(3):
        out[i] = rotations[c, i, 0] * x + rotations[c, i, 1] * y + rotations[c, i, 2] * z
    return out


@compiled()
def local(
    rotations: Array, centres: Array, points: Array, camera: Array, point: Array, delays: Array, speeds: Array
) -> Array:
    """(M, 3) for each observation its point in the frame of its camera, up to a positive factor.

    `delays` (M,) are in frames. `speeds` (F, 6) are per frame, in the camera's frame: a rotation vector in radians,
    then a translation in world units. Both are empty without a rolling shutter.
    """
    out = np.empty((len(camera), 3))
    for m in range(len(camera)):
        c, p = camera[m], point[m]
        out[m] = _at_middle_row(rotations, centres, points, c, p)
        if len(delays):
            out[m] = _rotated(delays[m] * speeds[c, :3], out[m], 1.0) + delays[m] * points[p, 3] * speeds[c, 3:]
    return out


class Observations(NamedTuple):
    """M observations where they are linearised: the points in their cameras' frames, `local` (M, 3); the pixels'
    derivatives by the ideal, undistorted point in normalised coordinates (M, 2, 2), and by the logarithm of the zoom
    (M, 2); the numbers of frame, `camera` (M,), and `point` (M,).

    `delays` (M,) are the frames by which each observation's row is read after the middle row; empty without a rolling
    shutter.
    """

    local: Array
    by_ideal: Array
    by_zoom: Array
    camera: Array
    point: Array
    delays: Array


class World(NamedTuple):
    """The frames' rotations (F, 3, 3), camera from world, and centres (F, 3); the homogeneous points (P, 4), and the
    `basis` (P, 4, 3) of directions in which each is free; the cameras' `speeds` (F, 6), as `ShotState.speeds`."""

    rotations: Array
    centres: Array
    points: Array
    basis: Array
    speeds: Array


@compiled()
def weighted_derivatives(
    residuals: Array, roots: Array, observations: Observations, world: World, width: int
) -> tuple[Array, Array]:
    """Derivatives of the residuals by the first `width` unknowns of the frame (M, 2, width) and by those of the point
    (M, 2, 3), each times the square root of the observation's weight, `roots` (M,). A frame's unknowns are, in this
    order: rotation (3), centre (3), log zoom, angular speed (3), linear speed (3).

    The `residuals` (M, 2) are multiplied by the roots in place.
    """
    local, by_ideal, by_zoom, camera, point, delays = observations
    rotations, centres, points, basis, speeds = world
    count = len(local)
    by_frame, by_point = np.zeros((count, 2, width)), np.zeros((count, 2, 3))
    for m in range(count):
        if roots[m] == 0:  # behind its camera
            residuals[m] = 0.0
            continue
        c, p = camera[m], point[m]
        x, y, z = local[m]
        weight = roots[m]
        rotation = rotations[c]
        for r in range(2):
            residuals[m, r] *= weight
            a, b = weight * by_ideal[m, r, 0] / z, weight * by_ideal[m, r, 1] / z
            d = -(a * x + b * y) / z  # (a, b, d) is the residual's derivative by the point in the camera's frame
            if len(delays):
                slope, middle = np.array([a, b, d]), _at_middle_row(rotations, centres, points, c, p)
                for i in range(3):
                    by_frame[m, r, 7 + i] = delays[m] * np.cross(middle, slope)[i]
                    if width > 10:
                        by_frame[m, r, 10 + i] = delays[m] * points[p, 3] * slope[i]
                x, y, z = middle  # from here on, the point and its derivative are those at the middle row
                a, b, d = _rotated(delays[m] * speeds[c, :3], slope, -1.0)
            by_frame[m, r, 0], by_frame[m, r, 1], by_frame[m, r, 2] = y * d - z * b, z * a - x * d, x * b - y * a
            by_w = 0.0  # derivative by the homogeneous point's fourth coordinate
            for i in range(3):
                by_world = a * rotation[0, i] + b * rotation[1, i] + d * rotation[2, i]
                if width > 3:
                    by_frame[m, r, 3 + i] = -by_world * points[p, 3]
                by_w -= by_world * centres[c, i]
                for k in range(3):
                    by_point[m, r, k] += by_world * basis[p, i, k]
            for k in range(3):
                by_point[m, r, k] += by_w * basis[p, 3, k]
            if width > 6:
                by_frame[m, r, 6] = weight * by_zoom[m, r]
            x, y, z = local[m]  # for the second residual
    return by_frame, by_point
