"""[S] The artist's alignment: points in Blender's world (z up) -> a new matrix of the root. Pure functions, numpy only.

Each function with an argument `root` takes the root's matrix (4, 4), Blender's world from the reconstruction's, and
returns another. All of these keep the root a similarity, and all but `scaled` keep its scale. All points are in
Blender's world.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..model.arrays import FloatArray
from ..model.errors import UserError

NEAR = 0.03  # of the picks' extent: points this near to a pick belong to the surface that was picked
ON_A_LINE = 0.05  # of the picks' extent along their line: picks that are no wider across it lie on a line
ITERATIONS = 20  # of the robust fit of the plane
SIGMA_OF_MEDIAN = 1.4826  # the standard deviation of a normal distribution, in median absolute deviations
TUKEY = 4.685  # standard deviations at which Tukey's biweight falls to zero, for 95 % efficiency
MOST_NEAR = 5000  # points near a pick that are looked at
LEAST_SINE = 0.02  # of the angle between the horizon and the plane through a line and the camera, to tell a direction
AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}
COLLINEAR = "The points lie on one line: choose three that span a triangle on the ground."
SAME_PLACE = "The two points are one: choose two that are farther from each other."


class Plane(NamedTuple):
    """A unit normal (3,) and a point (3,) of the plane."""

    normal: FloatArray
    centre: FloatArray


def plane_through(picks: FloatArray, points: FloatArray) -> Plane:
    """The plane of the surface that the artist picked, by `picks` (K, 3), at least three, and `points` (N, 3).

    The points near each pick are fitted by least squares, reweighted by Tukey's biweight. Every pick counts alike,
    however many points are near it. Where too few points are near, the plane goes through the picks. Raises UserError
    where the picks lie on a line.
    """
    centre = picks.mean(0)
    extents = np.linalg.svd(picks - centre, compute_uv=False)
    if len(picks) < 3 or extents[1] <= ON_A_LINE * extents[0]:
        raise UserError(COLLINEAR)
    plane = _fitted(picks, np.ones(len(picks)))
    near = [_near(points, pick, NEAR * float(np.ptp(picks, axis=0).max())) for pick in picks]
    if min(map(len, near)) < 3:
        return plane
    surface = np.concatenate(near)
    shares = np.concatenate([np.full(len(part), 1 / len(part)) for part in near])
    # Small weights of the picks hold the plane where the points near one of them are all outliers.
    surface, shares = np.concatenate([surface, picks]), np.concatenate([shares, np.full(len(picks), 1e-3)])
    for _ in range(ITERATIONS):
        distances = np.abs((surface - plane.centre) @ plane.normal)
        sigma = max(SIGMA_OF_MEDIAN * _weighted_median(distances, shares), 1e-9 * float(extents[0]))
        weights = shares * np.maximum(0, 1 - (distances / (TUKEY * sigma)) ** 2) ** 2
        plane = _fitted(surface, weights)
    return plane


def _near(points: FloatArray, pick: FloatArray, radius: float) -> FloatArray:
    """(N, 3) at most MOST_NEAR of the points in the cube about `pick` whose sides are twice the `radius`."""
    inside = points[np.abs(points - pick).max(-1, initial=0.0) < radius]
    return np.asarray(inside[:: len(inside) // MOST_NEAR + 1], np.float64)


def _fitted(points: FloatArray, weights: FloatArray) -> Plane:
    """The plane with the least weighted sum of squared distances from the points."""
    centre = weights @ points / weights.sum()
    offsets = (points - centre) * np.sqrt(weights)[:, None]
    return Plane(np.linalg.eigh(offsets.T @ offsets)[1][:, 0], centre)


def _weighted_median(values: FloatArray, weights: FloatArray) -> float:
    """The value at which half of the weight is reached."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def grounded(root: FloatArray, plane: Plane, above: FloatArray | None = None) -> FloatArray:
    """Brings the plane to z = 0 by the smallest rotation about its centre, and by a translation along z.

    `above` (3,) is a point over the ground, such as a camera's centre. Without it, the side of the plane that faces up
    already stays up.
    """
    side = plane.normal[2] if above is None else (above - plane.centre) @ plane.normal
    normal = plane.normal if side >= 0 else -plane.normal
    rotated = _about(_shortest(normal, np.array(AXES["Z"])), plane.centre) @ root
    rotated[2, 3] -= plane.centre[2]
    return rotated


def along_axis(root: FloatArray, start: FloatArray, end: FloatArray, axis: str = "") -> FloatArray:
    """Rotates about `start` until the line from `start` to `end` lies along X, Y or Z, by default the nearest axis.

    For X and Y it only rotates about z, so the ground stays level. Raises UserError where the two points are one, or
    where X or Y is asked for and one point is right above the other.
    """
    line = end - start
    length = np.linalg.norm(line)
    if length <= 1e-9 * max(1.0, float(np.abs(start).max())):
        raise UserError(SAME_PLACE)
    name = axis or max(AXES, key=lambda each: abs(line @ AXES[each]))
    target = np.array(AXES[name])
    if name != "Z":
        line = line * (1, 1, 0)
        if np.linalg.norm(line) < 1e-3 * length:
            raise UserError("One point is right above the other: choose two along a wall, or the axis Z.")
    target = target if line @ target >= 0 else -target
    return _about(_shortest(line / np.linalg.norm(line), target), start) @ root


def line_on_plate(centre: FloatArray, start: FloatArray, end: FloatArray, upright: bool) -> FloatArray:
    """(3,) the unit vector along an edge of which only its line in the picture is known.

    `start` and `end` (3,) are seen on that line from the camera's `centre`. The edge is level, or `upright` as nearly
    as the line allows. Raises UserError where the line is a point, or a level one is at the height of the horizon.
    """
    normal = np.cross(start - centre, end - centre)
    length = np.linalg.norm(normal)
    if length <= 1e-6 * np.linalg.norm(start - centre) * np.linalg.norm(end - centre):
        raise UserError(SAME_PLACE)
    normal = normal / length
    up = np.array(AXES["Z"])
    if upright:
        direction: FloatArray = up - normal[2] * normal
    else:
        direction = np.cross(normal, up)
    if np.linalg.norm(direction) < LEAST_SINE:
        raise UserError("This line could have any direction: draw one well above or below the horizon.")
    return direction / np.linalg.norm(direction)


def scaled(root: FloatArray, length: float, wanted: float) -> FloatArray:
    """Scales about Blender's origin, so that a `length` becomes `wanted`. A ground at z = 0 stays there.

    Raises UserError where one of the two is not above 0.
    """
    if not (length > 0 and wanted > 0 and np.isfinite(wanted / length)):
        raise UserError("A length is more than zero: choose two points that are not one, and a length over zero.")
    return np.diag((*(3 * [wanted / length]), 1.0)) @ root


def with_origin(root: FloatArray, point: FloatArray) -> FloatArray:
    """Brings a point (3,) to Blender's origin."""
    moved = root.copy()
    moved[:3, 3] -= point
    return moved


def quarter_rotated(root: FloatArray, axis: str, direction: int = 1) -> FloatArray:
    """Rotates about an axis of Blender's world ("X", "Y" or "Z"), by 90 degrees times `direction`, which is 1 or -1."""
    index = "XYZ".index(axis)
    first, second = (index + 1) % 3, (index + 2) % 3
    rotation = np.zeros((3, 3))
    rotation[index, index], rotation[second, first], rotation[first, second] = 1, direction, -direction
    return _about(rotation, np.zeros(3)) @ root


def _shortest(unit: FloatArray, target: FloatArray) -> FloatArray:
    """(3, 3) the smallest rotation that brings one unit vector onto another."""
    cosine = float(unit @ target)
    if cosine < -1 + 1e-12:  # opposite vectors: 180 degrees about any axis that is perpendicular to both
        across = np.cross(target, np.eye(3)[np.abs(target).argmin()])
        across /= np.linalg.norm(across)
        return 2 * np.outer(across, across) - np.eye(3)
    x, y, z = np.cross(unit, target)
    cross = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    rotation: FloatArray = np.eye(3) + cross + cross @ cross / (1 + cosine)
    return rotation


def _about(rotation: FloatArray, centre: FloatArray) -> FloatArray:
    """(4, 4) a rotation that leaves `centre` where it is."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation, centre - rotation @ centre
    return matrix
