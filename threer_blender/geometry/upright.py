"""[R] The up direction and the ground, by the evidence of cameras, edges, planes, GPS and sensors. numpy.

Each kind of evidence gives a direction in the world and its standard deviation in degrees. The cameras are the prior:
most photos are held upright, so they give up roughly. Vertical edges share one direction in many photos. The largest
horizontal plane of a dense cloud is a floor or a table. GPS and the sensors of phones and drones measure up directly.
Kinds that agree are averaged, weighted by their inverse variances. Evidence that disagrees is named, and makes the
result less certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..model.arrays import Array, FloatArray
from ..model.directions import MEAN_UP_WEIGHT, geometric_median, level_up
from ..model.reconstruction import Camera
from . import similarities

LEAST_AGREEMENT = 0.5  # length of the mean of the cameras' unit ups; below it, photos do not say which side is up
CONE = 25.0  # degrees about the cameras' up, in which verticals and floors are searched
WIDE_CONE = 50.0  # the same where the spread of the cameras' up exceeds WIDE
WIDE = 12.0  # degrees
LEVEL, MOSTLY = 8.0, 0.7  # degrees of roll of a level photo, and the share of the photos that must be level
ROLLED = 30.0  # degrees: the spread of the cameras' up where fewer are level
BLOCKS = 4  # stretches of the capture; each is left out once, to see how much the direction depends on it
LEAST_SPREAD = 0.5  # degrees: no direction is more certain
LARGEST_SPREAD = 25.0  # degrees: added where the cameras do not tell the pitch; also the largest of vertical edges
DOUBTFUL = 10.0  # degrees: with a larger spread, the direction is called a guess


class Evidence(NamedTuple):
    """One kind of evidence: its name, the unit vector `up` (3,) in the world, the standard deviation `spread` of that
    in degrees, and as how many kinds it counts."""

    name: str
    up: FloatArray
    spread: float
    votes: int = 1


@dataclass(frozen=True)
class Verdict:
    """The direction from all evidence: the unit vector `up` (3,) in the world, its `spread` in degrees, and the names
    of the kinds that agree and of those that do not."""

    up: FloatArray
    spread: float
    agreeing: tuple[str, ...]
    disagreeing: tuple[str, ...]


def horizons(cameras: Sequence[Camera]) -> Evidence:
    """Up from photos that are held level: every camera's x axis is horizontal, however steeply the camera is pitched.

    The method is that of Brown and Lowe 2007, "Automatic panoramic image stitching using invariant features", section
    5. Where the cameras hardly turn, it leaves the pitch open; then the mean of their ups decides. A photo that lies
    sideways is outvoted.
    """
    rotations = np.array([camera.world_from_camera[:3, :3] for camera in cameras])
    ups, rights = -rotations[:, :, 1], rotations[:, :, 0]
    middle = geometric_median(ups)
    upright = ups @ middle > 0.5
    upright = upright if upright.any() else np.ones_like(upright)
    ups, rights = ups[upright], rights[upright]
    mean = ups.mean(0)
    agreement = float(np.linalg.norm(mean))
    if agreement < LEAST_AGREEMENT or upright.mean() < LEAST_AGREEMENT:
        return Evidence("cameras", middle, 90.0)
    up, spread = _level(ups, rights)
    rolls = np.degrees(np.arcsin(np.clip(rights @ up, -1, 1)))
    if (np.abs(rolls) < LEVEL).sum() < MOSTLY * len(cameras):
        return Evidence("cameras", middle, ROLLED)
    if (
        len(ups) >= 2 * BLOCKS
    ):  # leave out one stretch of the capture after the other: a jackknife estimate of the spread
        blocks = np.arange(len(ups)) * BLOCKS // len(ups)
        others = [_level(ups[blocks != block], rights[blocks != block])[0] for block in range(BLOCKS)]
        spread = float(np.hypot(spread, np.sqrt((BLOCKS - 1) / BLOCKS * sum(angle(each, up) ** 2 for each in others))))
    if spread > WIDE:
        return Evidence("cameras", middle, ROLLED)
    return Evidence("cameras", up, max(LEAST_SPREAD, spread))


def _level(ups: FloatArray, rights: FloatArray) -> tuple[FloatArray, float]:
    """Up (3,) by the up and right directions (N, 3) of cameras that are held level, and its spread in degrees."""
    mean = ups.mean(0) / np.linalg.norm(ups.mean(0))
    up, values = mean, np.zeros(3)
    for _ in range(10):  # Cauchy weights of the rolls, at a scale of 4 degrees: a few tilted photos hardly count
        weights = 1 / (1 + (np.degrees(np.arcsin(np.clip(rights @ up, -1, 1))) / 4.0) ** 2)
        tilt = (weights[:, None] * rights).T @ rights / weights.sum()
        up, values = level_up(tilt, mean)
    rolls = np.degrees(np.arcsin(np.clip(rights @ up, -1, 1)))
    roll = max(3.0, 1.4826 * float(np.median(np.abs(rolls))))  # degrees; nobody holds a camera straighter
    # The second eigenvalue of `level_up` tells how well the x axes determine the pitch. Without the weight of the mean,
    # it is 1/2 where the cameras look to all sides, 0 where to one. Below 0.15, the spread grows.
    turned = max(1e-6, float(values[1]) - MEAN_UP_WEIGHT)
    return up, float(roll / np.sqrt(max(1.0, len(rights) * turned)) + LARGEST_SPREAD * max(0.0, 1 - turned / 0.15) ** 2)


def combined(prior: Evidence, others: Sequence[Evidence]) -> Verdict:
    """One direction from all evidence. `prior` is the evidence of the cameras.

    The largest group of kinds that agree decides, counted by votes. Of two groups of the same size, the one with the
    cameras does.
    """
    ranked = sorted([prior, *others], key=lambda each: each.spread)
    groups = [[each for each in ranked if _agree(each, centre)] for centre in ranked]
    agreeing = max(groups, key=lambda group: (sum(each.votes for each in group), any(each is prior for each in group)))
    best = agreeing[0]
    disagreeing = [each for each in ranked if not any(each is member for member in agreeing)]
    weights = np.array([each.spread**-2 for each in agreeing])
    up = weights @ np.array([each.up for each in agreeing])
    up /= np.linalg.norm(up)
    spread = max(LEAST_SPREAD, float(weights.sum() ** -0.5))
    # The weighted spread of the agreeing kinds around their mean adds to it.
    spread = float(np.hypot(spread, np.sqrt(weights @ [angle(each.up, up) ** 2 for each in agreeing] / weights.sum())))
    # Evidence that disagrees and is nearly as certain as the best: half of its angle is the least spread.
    rivals = [each for each in disagreeing if each.spread < 2 * best.spread + 2.0]
    spread = max([spread, *(angle(each.up, up) / 2 for each in rivals)])
    return Verdict(up, spread, tuple(each.name for each in agreeing), tuple(each.name for each in disagreeing))


def _agree(first: Evidence, second: Evidence) -> bool:
    """Whether two directions differ by no more than their spreads explain: 2.5 standard deviations and a degree."""
    return angle(first.up, second.up) <= 2.5 * float(np.hypot(first.spread, second.spread)) + 1.0


def angle(first: FloatArray, second: FloatArray) -> float:
    """Degrees between two unit vectors."""
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(first - second) / 2, 0, 1))))


# ------------------------------------------------------------------ vertical edges

EDGE_SPREAD = 1.5  # degrees: an edge whose plane is farther from a direction does not vote for it
FINE = 0.6  # the same, once the direction is roughly known
CLEAR = 3.5  # times the median score in the cone: the best direction must exceed it, or there are no verticals
FEWEST_EDGES = 2  # vertical edges that the median photo must have
SECTOR, FEWEST_SECTORS = 5.0, 3.5  # degrees about the vertical, and the effective number of sectors that have edges
SATURATED = 0.5  # of a photo's diagonal: the length of vertical edges at which its vote is half of the most it can be
RIVAL = 0.85  # of the best score: another direction with a higher score makes the best one ambiguous
NEIGHBOURING = 6.0  # degrees: a direction this far from the best one counts as another


def verticals(planes: Sequence[FloatArray], lengths: Sequence[FloatArray], prior: Evidence) -> Evidence | None:
    """The direction that most edges of most photos share, near the cameras' up; None where none stands out.

    For each photo, `planes` (N, 3) are the unit normals, in the world, of the planes through the camera and each of the
    photo's straight edges, and `lengths` (N,) are the edges' lengths over the picture's diagonal. The plane of a
    vertical edge contains the up direction, so its normal is perpendicular to it.
    """
    directions = _cone(prior.up, WIDE_CONE if prior.spread > WIDE else CONE, 1.0)
    if not sum(map(len, planes)):
        return None
    scores = _scores(planes, lengths, directions, EDGE_SPREAD)
    off = np.degrees(np.arccos(np.clip(directions @ prior.up, -1, 1)))
    weighted = scores * np.exp(-0.5 * (off / (20 + prior.spread)) ** 2)  # directions far off the cameras' up count less
    best = int(weighted.argmax())
    background = float(np.median(scores))
    up = directions[best]
    far = np.degrees(np.arccos(np.clip(directions @ up, -1, 1))) > NEIGHBOURING
    rival = float(weighted[far].max()) if far.any() else 0.0
    if scores[best] <= CLEAR * background or rival > RIVAL * weighted[best] or not _are_common(planes, lengths, up):
        return None
    for step in (0.3, 0.1):  # degrees
        near = _cone(up, 5 * step, step)
        up = near[_scores(planes, lengths, near, FINE).argmax()]
    contrast = min(float(scores[best]) / max(background, 1e-9), 8.0)
    up = up if up @ prior.up > 0 else -up
    return Evidence("vertical edges", up, float(np.clip(4.0 / contrast, LEAST_SPREAD, LARGEST_SPREAD)))


def _are_common(planes: Sequence[FloatArray], lengths: Sequence[FloatArray], up: FloatArray) -> bool:
    """Whether most photos show several edges along `up`, in planes of several directions.

    A few edges of one object may seem to meet in one direction by accident, and then they do so in all photos that are
    taken from about one place; but their planes then have few directions.
    """
    near = [np.abs(normals @ up) < np.sin(np.radians(EDGE_SPREAD)) for normals in planes]
    if np.median([each.sum() for each in near]) < FEWEST_EDGES:
        return False
    across = np.linalg.svd(up[None])[2][1:]
    x, y = across @ np.concatenate([normals[each] for normals, each in zip(planes, near, strict=True)]).T
    sectors = (np.degrees(np.arctan2(y, x)) % 180 // SECTOR).astype(int)
    weights = np.bincount(sectors, np.concatenate([length[each] for length, each in zip(lengths, near, strict=True)]))
    return bool(weights.sum() ** 2 >= FEWEST_SECTORS * (weights**2).sum())


def _scores(
    planes: Sequence[FloatArray], lengths: Sequence[FloatArray], directions: FloatArray, spread: float
) -> FloatArray:
    """(D,) votes of the photos for each of the `directions` (D, 3). A photo has at most one vote for a direction,
    however many edges it shows."""
    total: FloatArray = np.zeros(len(directions))
    limit = np.sin(np.radians(spread))
    for normals, length in zip(planes, lengths, strict=True):
        near_length = length @ np.maximum(0, 1 - (normals @ directions.T / limit) ** 2)
        total += near_length / (near_length + SATURATED)
    return total


def _cone(axis: FloatArray, widest: float, step: float) -> FloatArray:
    """(D, 3) directions up to `widest` degrees about `axis`, about `step` degrees from each other."""
    across = np.linalg.svd(axis[None])[2][1:]
    steps = np.arange(-widest, widest + step / 2, step)
    offsets = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    offsets = offsets[np.hypot(*offsets.T) <= widest]
    directions: FloatArray = axis + np.tan(np.radians(offsets)) @ across
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


# ------------------------------------------------------------------ floors and tables

HYPOTHESES = 400  # planes that RANSAC tries
THIN = 0.01  # of the points' median distance from the cameras' centre: how far a floor's points may be off its plane
NORMAL_CONE = 25.0  # degrees by which the normals of a floor's points may differ from its own
LEAST_SHARE = 0.06  # of all points that a floor must have


class Floor(NamedTuple):
    """The largest plane that faces up: its unit `normal` (3,), the mean `centre` (3,) of its points, and the `share` of
    all points that lie in it."""

    normal: FloatArray
    centre: FloatArray
    share: float


def floor(points: Array, normals: Array, centres: FloatArray, prior: Evidence) -> Floor | None:
    """The largest plane among `points` with `normals` (N, 3) that faces about `prior.up` and lies below most of the
    camera `centres` (C, 3).

    RANSAC with planes through three points, then least squares. None where no plane has LEAST_SHARE of the points.
    """
    cosine = np.cos(np.radians(WIDE_CONE if prior.spread > WIDE else CONE))
    facing = np.asarray(points, np.float64)[normals @ prior.up > cosine]
    if len(facing) < max(50, LEAST_SHARE * len(points)):
        return None
    directions = np.asarray(normals, np.float64)[normals @ prior.up > cosine]
    distance = np.median(np.linalg.norm(facing - centres.mean(0), axis=1))
    thick, rng = THIN * distance, np.random.default_rng(0)
    best, most = (prior.up, 0.0), 0
    for _ in range(HYPOTHESES):
        three = facing[rng.integers(0, len(facing), 3)]
        normal = np.cross(three[1] - three[0], three[2] - three[0])
        length = np.linalg.norm(normal)
        if length == 0 or abs(normal @ prior.up) < cosine * length:
            continue
        normal *= np.sign(normal @ prior.up) / length
        height = float(three[0] @ normal)
        if (centres @ normal > height).mean() < 0.5:
            continue
        count = int((np.abs(facing @ normal - height) < thick).sum())
        if count > most:
            best, most = (normal, height), count
    (normal, height), centre = best, centres[0]
    for limit in (thick, thick, thick / 2):
        in_plane = (np.abs(facing @ normal - height) < limit) & (directions @ normal > np.cos(np.radians(NORMAL_CONE)))
        if in_plane.sum() < max(30, LEAST_SHARE * len(points)):
            return None
        centre = facing[in_plane].mean(0)
        new = np.linalg.svd(facing[in_plane] - centre, full_matrices=False)[2][2]
        normal = new if new @ prior.up > 0 else -new
        height = float(centre @ normal)
    return Floor(normal, centre, float(in_plane.sum() / len(points)))


def floor_evidence(plane: Floor | None) -> Evidence | None:
    """The normal of a floor, if there is one. The larger its share of the points, the smaller the spread."""
    if plane is None:
        return None
    return Evidence("ground plane", plane.normal, float(np.clip(0.3 / plane.share, 0.8, 5.0)))


# ------------------------------------------------------------------ sensors and GPS

SENSOR_SPREAD = 1.0  # degrees: standard deviation of a gimbal and of the camera's mount on it
FEWEST_PLACES = 4  # photos with GPS, with which up is estimated


def sensors(ups: FloatArray) -> Evidence | None:
    """Up from the sensors' unit vectors `ups` (N, 3) in the world, one for each photo; None without any.

    The spread grows with the differences among them.
    """
    if not len(ups):
        return None
    up = geometric_median(ups)
    off = float(np.median([angle(each, up) for each in ups]))
    return Evidence("gimbal", up, float(np.hypot(SENSOR_SPREAD, off)), votes=2)


def places(centres: FloatArray, metres: FloatArray) -> Evidence | None:
    """Up by GPS: from camera `centres` (N, 3) in the world, and in `metres` east, north and up (N, 3), in the same
    order.

    None where there are fewer than FEWEST_PLACES, or the errors are too large for how far the places lie off a line.
    """
    if len(centres) < FEWEST_PLACES:
        return None
    fitted = similarities.fit(centres[None], metres[None], np.ones((1, len(centres))))
    errors = np.linalg.norm(fitted.apply(centres[None])[0] - metres, axis=1)
    # The spread of the places, in metres, across the line that fits them best.
    across = np.linalg.svd(metres - metres.mean(0), compute_uv=False)[1]
    spread = float(np.degrees(np.arctan2(max(1.0, float(np.sqrt((errors**2).mean()))), across)))
    return Evidence("GPS", fitted.rotation[0, 2], max(1.0, spread)) if spread < DOUBTFUL else None
