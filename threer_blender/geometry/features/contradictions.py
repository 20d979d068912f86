"""[R] Contradictions: where two photos show different things at the same place, and matches that a model cannot excuse.

Where things look alike, a model may lay one over the other and still explain every match. Then the photos of the one
seem to stand beside those of the other. But things that are there once only, around them, betray it: one photo shows
them, and the other shows something else at the same place. Missing matches as evidence: Zach, Irschara & Pollefeys
2008; Heinly, Dunn & Frahm 2014.

A right model does not explain all matches either. Where a pattern repeats, features are matched with their neighbours.
But then the other photo shows the same feature at its right place, too, which excuses the match.

Pictures are the photos' smaller copies in which features were searched for, and px are theirs (`features`). Photo i is
image i + 1 of the model and of the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Array, BoolArray, FloatArray, IntArray
from ..colmap import pycolmap
from .database import Matched

# Angle between the rays of two photos to a point in degrees, and factor between its distances, up to which both photos
# find its feature. SIFT fails at 30 degrees.
ANGLE, RANGE = 20.0, 1.5
MARGIN = 8.0  # px at the edge of a picture, where no feature is searched for
# Share of a picture's longer side around a point's place, in which its feature must lie: 6 px of 480; models err less.
PLACE = 1 / 80
# Product of two unit descriptors, 0.88, above which they are of one feature. Others reach 0.6 by chance.
ALIKE = float(np.cos(0.5))
BESIDE = 1 / 12  # of the longer side: the other photo's own points so near tell the depth that it shows at a place
BEHIND = 0.9  # of a point's depth: another photo's point that is nearer hides it
DEPTH_POINTS = 3  # points of a photo beside a place that tell the depth there
# Points beside a missing one that must be missing too: AREA of the compared points, and NEIGHBOURS at least. By chance,
# half of the features are missed, but not so many together.
NEIGHBOURS, AREA = 10, 1 / 20
LEAST_POINTS = 15  # that are compared between two photos; also the least that must be contradicted
MOST_POINTS = 1000  # that are compared between two photos
MOST_PAIRS = 200  # that are compared at first; each takes some milliseconds, and a photo a megabyte
UNCHECKED = 0.5  # weight of an unexplained match that nothing can excuse, since the photos look too differently at it


@dataclass(frozen=True)
class _View:
    """The contents of a registered photo: `features` (K, 2) in px with `descriptors` (K, 128) uint8, or zeros for none;
    `points` (P,) are the ids of the model's points that it observes, by the features `observed` (P,), with `positions`
    (P, 3) in the world and `depths` (P,)."""

    image: pycolmap.Image
    camera: pycolmap.Camera
    features: FloatArray
    descriptors: Array
    points: IntArray
    observed: IntArray
    positions: FloatArray
    depths: FloatArray

    @property
    def longer_side(self) -> int:
        """Of the picture, in px."""
        return int(max(self.camera.width, self.camera.height))


class Views:
    """The views of registered photos with points, by index; panoramas have none. Each is read once."""

    def __init__(self, model: pycolmap.Reconstruction, registered: Set[int], database: pycolmap.Database) -> None:
        self._model, self._registered, self._database = model, registered, database
        self._views: dict[int, _View | None] = {}

    def pair(self, first: int, second: int) -> tuple[_View, _View] | None:
        """The views of two photos, or None where one of them has none."""
        for index in {first, second} - self._views.keys():
            self._views[index] = _view(self._model, index, self._database) if index in self._registered else None
        views = self._views[first], self._views[second]
        return None if views[0] is None or views[1] is None else (views[0], views[1])


def contradicted(
    model: pycolmap.Reconstruction, registered: Set[int], matched: Matched, pairs: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], float]:
    """The share of contradicted points of each of the `pairs` of registered photos.

    A point that one photo observes must be seen by the other, if it looks from almost the same direction and distance
    and shows nothing nearer at that place. The point is contradicted where the other photo shows features with points
    of its own there, but neither this point's feature nor one of the points beside it. Pairs in which too few points
    can be compared are left out.
    """
    shares = {}
    with pycolmap.Database.open(matched.path) as database:
        views = Views(model, registered, database)
        for i, j in pairs:
            both = views.pair(i, j)
            if both is not None:
                compared = [c for c in (_compared(*both), _compared(*both[::-1])) if len(c)]
                if not compared:
                    continue
                shares[i, j] = max(float(c.mean()) if c.sum() >= LEAST_POINTS else 0.0 for c in compared)
    return shares


def unexcused(
    model: pycolmap.Reconstruction,
    registered: Set[int],
    matched: Matched,
    unexplained: Mapping[tuple[int, int], BoolArray],
) -> float:
    """The share of the matches of pairs of registered photos that the model neither explains nor excuses.

    `unexplained[pair]` (K,) says which of a pair's verified matches it does not explain. A match is excused where one
    of the two photos shows the other's feature at the place where the model expects it, too.
    """
    blame = total = 0.0
    with pycolmap.Database.open(matched.path) as database:
        views = Views(model, registered, database)
        for (i, j), wrong in unexplained.items():
            total += len(wrong)
            both = views.pair(i, j) if wrong.any() else None
            if both is not None:
                ends = database.read_two_view_geometry(i + 1, j + 1).inlier_matches[wrong].astype(np.int64)
                blame += float(_combined(_blame(*both, ends[:, 0]), _blame(*both[::-1], ends[:, 1])).sum())
    return blame / max(total, 1.0)


def _combined(first: FloatArray, second: FloatArray) -> FloatArray:
    """(N,) the blame for matches by that of their two features: none where one is excused, else that of the checked."""
    combined: FloatArray = np.where((first == 0) | (second == 0), 0.0, np.maximum(first, second))
    return combined


def _view(model: pycolmap.Reconstruction, index: int, database: pycolmap.Database) -> _View | None:
    """The view of a registered photo; None of a panorama, or where the photo has no points."""
    image = model.image(index + 1)
    camera = model.camera(image.camera_id)
    observed = np.array([k for k, point in enumerate(image.points2D) if point.has_point3D()], np.int64)
    if camera.is_spherical() or not len(observed):
        return None
    points = np.array([image.points2D[k].point3D_id for k in observed.tolist()], np.int64)
    positions = np.array([model.point3D(point).xyz for point in points.tolist()])
    features = database.read_keypoints(index + 1)[:, :2].astype(np.float64)
    descriptors = np.zeros((len(features), 128), np.uint8)
    if database.exists_descriptors(index + 1):
        described = database.read_descriptors(index + 1).data
        descriptors[: len(described)] = described
    depths = _in_camera(positions, image)[:, 2]
    return _View(image, camera, features, descriptors, points, observed, positions, depths)


def _compared(first: _View, second: _View) -> BoolArray:
    """(N,) whether `second` contradicts each of the points that `first` observes and `second` must show."""
    places, depths, visible = _expected(first, second, first.positions)
    chosen = np.flatnonzero(visible & first.descriptors[first.observed].any(1))
    if len(chosen) < LEAST_POINTS:
        return np.zeros(0, bool)
    if len(chosen) > MOST_POINTS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, MOST_POINTS).astype(int)]
    places, depths = places[chosen], depths[chosen]
    contradictions = ~np.isin(first.points[chosen], second.points)
    missing = np.flatnonzero(contradictions)
    present = _present(places[missing], first.descriptors[first.observed[chosen[missing]]], second)
    contradictions[missing[present]] = False
    missing = missing[~present]
    if len(missing):
        count = min(len(chosen), 1 + max(NEIGHBOURS, int(AREA * len(chosen))))
        nearest = np.argpartition(_distances(places[missing], places), count - 1, axis=1)[:, :count]
        together = contradictions[nearest].all(1)
        contradictions[missing] = together & _behind(places[missing], depths[missing], second)
    return contradictions


def _blame(first: _View, second: _View, features: IntArray) -> FloatArray:
    """(N,) 0 where `second` shows the `features` (N,) of `first` at the places where the model expects them, else 1, or
    UNCHECKED where it looks too differently at them to tell."""
    places = first.features[features]
    depths = first.depths[_distances(places, first.features[first.observed]).argmin(axis=1)]
    rays = np.asarray(first.camera.cam_from_img(places))
    world_from_camera = first.image.cam_from_world().inverse().matrix()
    positions = np.append(rays, np.ones((len(rays), 1)), axis=1) * depths[:, None]
    positions = positions @ world_from_camera[:, :3].T + world_from_camera[:, 3]
    places, _, visible = _expected(first, second, positions)
    visible &= first.descriptors[features].any(1)
    blame = np.where(visible, 1.0, UNCHECKED)
    checked = np.flatnonzero(visible)
    blame[checked[_present(places[checked], first.descriptors[features[checked]], second)]] = 0.0
    return blame


def _in_camera(positions: FloatArray, image: pycolmap.Image) -> FloatArray:
    """(N, 3) positions in the world, seen from the photo."""
    camera_from_world = image.cam_from_world().matrix()
    local: FloatArray = positions @ camera_from_world[:, :3].T + camera_from_world[:, 3]
    return local


def _expected(first: _View, second: _View, positions: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    """The places (N, 2) in px and depths (N,) of `positions` (N, 3) in `second`, and whether it must show there what
    `first` shows (N,)."""
    local = _in_camera(positions, second.image)
    places = np.asarray(second.camera.img_from_cam(local))
    rays = [positions - view.image.projection_center() for view in (first, second)]
    lengths = [np.linalg.norm(ray, axis=1) for ray in rays]
    size = np.array([second.camera.width, second.camera.height])
    with np.errstate(invalid="ignore", divide="ignore"):
        close = (rays[0] * rays[1]).sum(1) > np.cos(np.radians(ANGLE)) * lengths[0] * lengths[1]
        close &= np.abs(np.log(lengths[0] / lengths[1])) < np.log(RANGE)
        inside = ((places > MARGIN) & (places < size - MARGIN)).all(1)
    return places, local[:, 2], (local[:, 2] > 0) & inside & close


def _present(places: FloatArray, descriptors: Array, view: _View) -> BoolArray:
    """(N,) whether the view has a feature like each of the `descriptors` (N, 128) at its place (N, 2)."""
    order, radius = np.argsort(view.features[:, 0]), PLACE * view.longer_side
    columns = view.features[order, 0]
    starts, ends = np.searchsorted(columns, places[:, 0] - radius), np.searchsorted(columns, places[:, 0] + radius)
    counts = ends - starts
    rows = np.repeat(np.arange(len(places)), counts)
    candidates = order[np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - starts, counts)]
    near = np.linalg.norm(view.features[candidates] - places[rows], axis=1) < radius
    rows, candidates = rows[near], candidates[near]
    alike = (_units(descriptors[rows]) * _units(view.descriptors[candidates])).sum(1) > ALIKE
    present: BoolArray = np.bincount(rows[alike], minlength=len(places)) > 0
    return present


def _units(descriptors: Array) -> FloatArray:
    """(N, 128) descriptors of length 1; zeros stay."""
    descriptors = descriptors.astype(np.float64)
    units: FloatArray = descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1.0)
    return units


def _behind(places: FloatArray, depths: FloatArray, view: _View) -> BoolArray:
    """(N,) whether the view's own points beside the `places` (N, 2) all lie at the `depths` (N,) or behind."""
    distances = _distances(places, view.features[view.observed])
    nearest = np.argpartition(distances, min(DEPTH_POINTS, distances.shape[1]) - 1, axis=1)[:, :DEPTH_POINTS]
    beside = np.take_along_axis(distances, nearest, axis=1) < BESIDE * view.longer_side
    hidden = beside & (view.depths[nearest] < BEHIND * depths[:, None])
    behind: BoolArray = beside.any(1) & ~hidden.any(1)
    return behind


def _distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """(N, M) distances between pixels (N, 2) and (M, 2)."""
    x, y = (first[:, None, axis] - second[None, :, axis] for axis in (0, 1))
    distances: FloatArray = np.sqrt(x * x + y * y)  # a third of the time of hypot
    return distances
