"""[R] The direction of up and the height of the ground, by the evidence of cameras, lines, planes, GPS and sensors.
numpy.

Each kind of evidence gives a direction and how sure it is, in degrees. The cameras come first: photos are held upright,
so they say which side is up, and roughly where. Vertical edges of many photos share one direction in the world; the
planes of normals in a dense cloud show floors and tables; GPS places and sensors of phones and drones say it outright.
Kinds that agree are averaged by their variances. Evidence that disagrees is named, and makes the result less certain.
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
CONE = 25.0  # degrees about the cameras' up, where verticals and floors are looked for
WIDE_CONE = 50.0  # the same where the cameras' up is less exact than WIDE
WIDE = 12.0
LEVEL, MOSTLY = 8.0, 0.7  # degrees of roll, and the share of the photos that are to be as level as that
ROLLED = 30.0  # degrees: the spread of the cameras' up where fewer are
BLOCKS = 4
LEAST_SPREAD, LARGEST_SPREAD = 0.5, 25.0  # degrees: the spread of one kind of evidence
DOUBTFUL = 10.0  # degrees: a spread above it is called a guess


class Evidence(NamedTuple):
    """One kind: what it is called, up (3,) unit, its standard deviation in degrees, and as how many kinds it counts."""

    name: str
    up: FloatArray
    spread: float
    votes: int = 1


@dataclass(frozen=True)
class Verdict:
    """The verdict of all evidence: up (3,) unit, its spread in degrees, the kinds that agree, and those that do not."""

    up: FloatArray
    spread: float
    agreeing: tuple[str, ...]
    disagreeing: tuple[str, ...]


def horizons(cameras: Sequence[Camera]) -> Evidence:
    """Up of photos that are held level: every camera's x axis is horizontal, however steeply it looks up or down.

    (Brown and Lowe 2007, "Automatic panoramic image stitching using invariant features", section 5.) Where the cameras
    hardly turn, that leaves the pitch open, and the mean of their ups decides. A photo that lies sideways is outvoted.
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
    if len(ups) >= 2 * BLOCKS:  # leave out one stretch of the capture after the other: do the others say the same?
        blocks = np.arange(len(ups)) * BLOCKS // len(ups)
        others = [_level(ups[blocks != block], rights[blocks != block])[0] for block in range(BLOCKS)]
        spread = float(np.hypot(spread, np.sqrt((BLOCKS - 1) / BLOCKS * sum(angle(each, up) ** 2 for each in others))))
    if spread > WIDE:
        return Evidence("cameras", middle, ROLLED)
    return Evidence("cameras", up, max(LEAST_SPREAD, spread))


def _level(ups: FloatArray, rights: FloatArray) -> tuple[FloatArray, float]:
    """Up (3,) of level cameras by their up and right directions (N, 3), and its spread in degrees."""
    mean = ups.mean(0) / np.linalg.norm(ups.mean(0))
    up, values = mean, np.zeros(3)
    for _ in range(10):  # Cauchy weights of the rolls: a few tilted photos hardly count
        weights = 1 / (1 + (np.degrees(np.arcsin(np.clip(rights @ up, -1, 1))) / 4.0) ** 2)
        tilt = (weights[:, None] * rights).T @ rights / weights.sum()
        up, values = level_up(tilt, mean)
    rolls = np.degrees(np.arcsin(np.clip(rights @ up, -1, 1)))
    roll = max(3.0, 1.4826 * float(np.median(np.abs(rolls))))  # nobody holds a camera straighter than that
    turned = max(1e-6, float(values[1]) - MEAN_UP_WEIGHT)  # 1/2 where the cameras look to all sides, 0 where to one
    return up, float(roll / np.sqrt(max(1.0, len(rights) * turned)) + LARGEST_SPREAD * max(0.0, 1 - turned / 0.15) ** 2)


def combined(prior: Evidence, others: Sequence[Evidence]) -> Verdict:
    """All evidence in one direction. `prior` is the cameras'.

    The kinds that agree with each other and are the most decide; where two sides have as many, that of the cameras.
    """
    ranked = sorted([prior, *others], key=lambda each: each.spread)
    sides = [[each for each in ranked if _agree(each, centre)] for centre in ranked]
    agreeing = max(sides, key=lambda side: (sum(each.votes for each in side), any(each is prior for each in side)))
    best = agreeing[0]
    disagreeing = [each for each in ranked if not any(each is member for member in agreeing)]
    weights = np.array([each.spread**-2 for each in agreeing])
    up = weights @ np.array([each.up for each in agreeing])
    up /= np.linalg.norm(up)
    spread = max(LEAST_SPREAD, float(weights.sum() ** -0.5))
    # What the kinds themselves differ by, each counted as much as it is sure.
    spread = float(np.hypot(spread, np.sqrt(weights @ [angle(each.up, up) ** 2 for each in agreeing] / weights.sum())))
    rivals = [each for each in disagreeing if each.spread < 2 * best.spread + 2.0]
    spread = max([spread, *(angle(each.up, up) / 2 for each in rivals)])
    return Verdict(up, spread, tuple(each.name for each in agreeing), tuple(each.name for each in disagreeing))


def _agree(first: Evidence, second: Evidence) -> bool:
    return angle(first.up, second.up) <= 2.5 * float(np.hypot(first.spread, second.spread)) + 1.0


def angle(first: FloatArray, second: FloatArray) -> float:
    """Degrees between two unit vectors."""
    return float(np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(first - second) / 2, 0, 1))))


# ------------------------------------------------------------------ vertical edges

EDGE_SPREAD = 1.5  # degrees: an edge that is off by more than this is not vertical
FINE = 0.6  # the same, once the direction is known
CLEAR = 3.5  # times the middle score in the cone that the best one has, where there are verticals at all
FEWEST_EDGES = 2  # of a photo along the vertical, in the middle photo
SECTOR, FEWEST_SECTORS = 5.0, 3.5  # degrees about the vertical, and how many of them have edges, evenly counted
SATURATED = 0.5  # of a photo's diagonal: length of vertical edges at which its vote counts half
RIVAL = 0.85  # times the best score: another direction that has more makes it ambiguous
NEIGHBOURING = 6.0  # degrees from the best direction: from there on a direction is another one


def verticals(planes: Sequence[FloatArray], lengths: Sequence[FloatArray], prior: Evidence) -> Evidence | None:
    """The direction that most edges of most photos share, near the cameras' up; None where none stands out.

    For each photo, `planes` (N, 3): the unit normals, in the world, of the planes through the camera and its straight
    edges, and `lengths` (N,) of those over the picture's diagonal. An edge of a vertical line has a plane that holds
    the vertical.
    """
    directions = _cone(prior.up, WIDE_CONE if prior.spread > WIDE else CONE, 1.0)
    if not sum(map(len, planes)):
        return None
    scores = _scores(planes, lengths, directions, EDGE_SPREAD)
    off = np.degrees(np.arccos(np.clip(directions @ prior.up, -1, 1)))
    weighted = scores * np.exp(-0.5 * (off / (20 + prior.spread)) ** 2)
    best = int(weighted.argmax())
    background = float(np.median(scores))
    up = directions[best]
    far = np.degrees(np.arccos(np.clip(directions @ up, -1, 1))) > NEIGHBOURING
    rival = float(weighted[far].max()) if far.any() else 0.0
    if scores[best] <= CLEAR * background or rival > RIVAL * weighted[best] or not _are_common(planes, lengths, up):
        return None
    for step in (0.3, 0.1):
        near = _cone(up, 5 * step, step)
        up = near[_scores(planes, lengths, near, FINE).argmax()]
    contrast = min(float(scores[best]) / max(background, 1e-9), 8.0)
    up = up if up @ prior.up > 0 else -up
    return Evidence("vertical edges", up, float(np.clip(4.0 / contrast, LEAST_SPREAD, LARGEST_SPREAD)))


def _are_common(planes: Sequence[FloatArray], lengths: Sequence[FloatArray], up: FloatArray) -> bool:
    """Whether most photos show several edges along `up`, and those lie in planes of several directions: where a few
    edges of one place seem to meet, they do so in every photo from about there."""
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
    """(D,) votes of the photos for each direction; one photo with many edges cannot outvote the others."""
    total: FloatArray = np.zeros(len(directions))
    limit = np.sin(np.radians(spread))
    for normals, length in zip(planes, lengths, strict=True):
        votes = length @ np.maximum(0, 1 - (normals @ directions.T / limit) ** 2)
        total += votes / (votes + SATURATED)
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

HYPOTHESES = 400
THIN = 0.01  # of the middle distance of the points from the cameras: as thick is a floor
NORMAL_CONE = 25.0  # degrees that a floor's points may have their normals off
LEAST_SHARE = 0.06  # of all points, in a floor


class Floor(NamedTuple):
    """The largest plane that faces up: its normal (3,), the middle (3,) of its points, their share of all."""

    normal: FloatArray
    centre: FloatArray
    share: float


def floor(points: Array, normals: Array, centres: FloatArray, prior: Evidence) -> Floor | None:
    """The largest plane below the camera `centres` (C, 3) among `points` and `normals` (N, 3) that faces `prior.up`.

    RANSAC with planes through one point along its normal or through three points, then least squares. None where no
    plane holds enough of the points.
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
        on = (np.abs(facing @ normal - height) < limit) & (directions @ normal > np.cos(np.radians(NORMAL_CONE)))
        if on.sum() < max(30, LEAST_SHARE * len(points)):
            return None
        centre = facing[on].mean(0)
        new = np.linalg.svd(facing[on] - centre, full_matrices=False)[2][2]
        normal = new if new @ prior.up > 0 else -new
        height = float(centre @ normal)
    return Floor(normal, centre, float(on.sum() / len(points)))


def floor_evidence(plane: Floor | None) -> Evidence | None:
    """A floor's normal; the larger its share of the points, the surer it is a floor."""
    if plane is None:
        return None
    return Evidence("ground plane", plane.normal, float(np.clip(0.3 / plane.share, 0.8, 5.0)))


# ------------------------------------------------------------------ sensors and GPS

SENSOR_SPREAD = 1.0  # degrees: how exact a gimbal is, and a camera's mount on it
FEWEST_PLACES = 4


def sensors(ups: FloatArray) -> Evidence | None:
    """Up of the world by sensors (N, 3), one for each photo; what differs among them makes it less sure."""
    if not len(ups):
        return None
    up = geometric_median(ups)
    off = float(np.median([angle(each, up) for each in ups]))
    return Evidence("gimbal", up, float(np.hypot(SENSOR_SPREAD, off)), votes=2)


def places(centres: FloatArray, metres: FloatArray) -> Evidence | None:
    """Up of the world by GPS: camera centres (N, 3) and metres east, north and up (N, 3), in their order.

    None where the places lie on a line, or are so near to each other that their errors say more than they do.
    """
    if len(centres) < FEWEST_PLACES:
        return None
    fitted = similarities.fit(centres[None], metres[None], np.ones((1, len(centres))))
    errors = np.linalg.norm(fitted.apply(centres[None])[0] - metres, axis=1)
    across = np.linalg.svd(metres - metres.mean(0), compute_uv=False)[1]  # how far they spread off a line, in all
    spread = float(np.degrees(np.arctan2(max(1.0, float(np.sqrt((errors**2).mean()))), across)))
    return Evidence("GPS", fitted.rotation[0, 2], max(1.0, spread)) if spread < DOUBTFUL else None
