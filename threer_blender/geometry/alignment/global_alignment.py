"""[R] Cameras and depth of all photos from pairwise predictions: DUSt3R's global alignment, fast. numpy and numba.

Wang et al., CVPR 2024, section 3.4. Each photo's own pointmap and each pair's similarity are fitted on a grid of
sampled pixels (`samples`, `initial_poses`); `synchronisation` combines the pairs and finds the wrong ones; `solver`
minimises the objective over all unknowns at once. Last, each pixel gets the depth along its ray that is nearest to the
pairs' predictions in the weighted sum of distances, one photo at a time. Memory grows with the number of photos, not of
pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ...model.arrays import BoolArray, Float32Array, FloatArray, IntArray
from .. import similarities
from ..kernels import compiled
from ..pairs.pairs import PairStore
from ..pointmaps import unprojected
from ..similarities import Similarities
from . import initial_poses, solver, synchronisation
from .initial_poses import Anchors, Measured
from .samples import Sampled
from .solver import FOCAL, AlignmentState

_SOLVER_ROUNDS = 25  # steps of the solver, at most
_REFIT_ROUNDS = 40  # of reweighting, in the fits of the predictions that the solver does not use
FOCAL_RATIO = 1.3  # a given focal length is used up to this ratio to the one that the predictions imply
_MIDDLE_SCALE = 0.5  # the geometric mean of all pairs' scales: the objective shrinks with the world, so DUSt3R fixes it
_NEAREST = 0.05  # the least depth to start from, where a photo's median is 1
_DEPTH_ROUNDS = 8  # of reweighting
_BAND_VALUES = 1_000_000  # pixels times predictions that are in memory at a time


@dataclass(frozen=True)
class AlignedView:
    """One photo's solution: `world_from_camera` (4, 4); `focal` in map pixels, the principal point being the map's
    middle; `depth` (H, W) float32 camera z, 0 or NaN where there is none; `confidence` (H, W) float32, the highest that
    an agreeing pair gives. `reprojection_error` and `error_before` are those of a Camera, in map pixels; None where
    nothing was measured."""

    photo: int
    world_from_camera: FloatArray
    focal: float
    depth: Float32Array
    confidence: Float32Array
    reprojection_error: float | None = None
    error_before: float | None = None

    def points(self) -> Float32Array:
        """(H, W, 3) the pointmap in the world."""
        height, width = self.depth.shape
        intrinsics = np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1]])
        local = unprojected(self.depth, intrinsics)
        world = local @ self.world_from_camera[:3, :3].T + self.world_from_camera[:3, 3]
        points: Float32Array = world.astype(np.float32)
        return points


@dataclass(frozen=True)
class Alignment:
    """The solution of all photos.

    `views` are the registered photos', in the photos' order. `pair_numbers` are the numbers in the store of the
    predictions whose two photos are registered. `pairs` are their similarities: world from the frame of the prediction,
    which is that of its first photo's camera. `disagreeing` are the numbers of the predictions that the solution
    contradicts. `disconnected` are the unregistered photos: no prediction that agrees connects them to the rest.
    `refuted_focals` are the photos whose given focal length the predictions contradict; it was not used.
    """

    views: list[AlignedView]
    pairs: Similarities
    pair_numbers: IntArray
    disagreeing: list[int]
    disconnected: list[int]
    refuted_focals: list[int]


NOTHING = Alignment([], similarities.identities(0), np.zeros(0, np.int64), [], [], [])
"""The alignment before any prediction."""


def align(
    store: PairStore,
    count: int,
    focals: Sequence[float | None] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
    before: Alignment = NOTHING,
) -> Alignment:
    """Brings `count` photos into one world by the predictions in `store`.

    `focals` are known focal lengths in map pixels, or None. Where some photos do not connect, the largest connected
    part is solved. `before` is an alignment of an earlier state of the store: the photos that it registered keep pose
    and depth, and only predictions that involve a photo which it did not register are read. So adding photos
    costs as much as their own pairs. `progress(share)` is called now and then and may raise.

    Raises Unconnected where no two photos connect, or the pairs contradict each other.
    """
    old = {view.photo: view for view in before.views}
    numbers = [n for n, edge in enumerate(store.edges) if edge.first not in old or edge.second not in old]
    sampled = Sampled(store, count, np.array(numbers, np.int64))
    camera_points = [sampled.camera_points(photo) for photo in range(count)]
    anchors = _anchors(sampled, camera_points, old)
    unchanged = replace(before, disconnected=sorted(set(range(count)) - set(old)))
    if old and not len(anchors.photos):
        return unchanged
    measured = initial_poses.measure(sampled, camera_points)
    registered, views = initial_poses.estimate(count, measured, anchors)
    photos = np.flatnonzero(registered)
    if old and set(photos) <= set(old):
        return unchanged
    progress(0.3)
    agreeing = _agreeing(measured, registered, views)
    used = np.flatnonzero(agreeing)
    focal, held, refuted_focals = _focals(sampled, camera_points, photos, focals, old)
    start = _start(photos, camera_points, views, focal, measured, used)
    if old:
        start = _with_old(start, held, sampled, photos, old)
    state = solver.minimise(sampled.samples(photos, used), start, held, _SOLVER_ROUNDS)
    inside = np.flatnonzero(registered[measured.ends].all(1))
    pairs = _all_pairs(sampled, state, photos, used, inside)
    if not old:
        state, pairs = _at_middle_scale(state, pairs)
    progress(0.7)
    new = []
    for number, photo in enumerate(photos):
        if int(photo) not in old:
            new.append(_dense_view(sampled, int(photo), number, state, used))
        progress(0.7 + 0.3 * (number + 1) / len(photos))
    aligned = sorted([*before.views, *new], key=lambda view: view.photo)
    return Alignment(
        aligned,
        similarities.joined(before.pairs, pairs),
        np.concatenate([before.pair_numbers, sampled.numbers[inside]]),
        sorted({*before.disagreeing, *sampled.numbers[~agreeing].tolist()} - {*sampled.numbers[agreeing].tolist()}),
        sorted(set(range(count)) - {view.photo for view in aligned}),
        sorted({*before.refuted_focals, *refuted_focals}),
    )


def _anchors(sampled: Sampled, camera_points: list[FloatArray], old: dict[int, AlignedView]) -> Anchors:
    """The registered photos that new predictions involve. Their entries of `camera_points` are replaced by those of
    their solved depth."""
    photos = np.array([photo for photo in old if sampled.sides[photo]], np.int64)
    scale, rotation, centre = np.ones(len(photos)), np.zeros((len(photos), 3, 3)), np.zeros((len(photos), 3))
    for at, photo in enumerate(photos):
        view = old[int(photo)]
        depth, slopes = sampled.depths(photo, view.depth), sampled.grids[photo].pixels() / view.focal
        scale[at] = np.median(depth[depth > 0])
        camera_points[photo] = depth[:, None] / scale[at] * np.concatenate([slopes, np.ones((len(depth), 1))], axis=1)
        rotation[at], centre[at] = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]
    return Anchors(photos, Similarities(scale, rotation, centre))


def _with_old(
    state: AlignmentState, held: BoolArray, sampled: Sampled, photos: IntArray, old: dict[int, AlignedView]
) -> AlignmentState:
    """The state with the old photos exactly where they were. Sets `held` (N, 8), in place, so that they stay there."""
    rotation, centre, focal, depth = state.rotation.copy(), state.centre.copy(), state.focal.copy(), list(state.depth)
    for at, photo in enumerate(photos):
        if int(photo) in old:
            view = old[int(photo)]
            rotation[at], centre[at] = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]
            focal[at], depth[at] = view.focal, sampled.depths(photo, view.depth)
            held[at] = True
    return AlignmentState(rotation, centre, focal, depth, state.pairs)


def _agreeing(measured: Measured, registered: BoolArray, views: Similarities) -> BoolArray:
    """(E,) bool: the predictions of overlapping, registered photos that agree with the `views`."""
    agreeing = measured.usable & registered[measured.ends].all(1)
    agreeing[agreeing] = synchronisation.agreeing(measured.ends[agreeing], measured.first_from_second[agreeing], views)
    return agreeing


def _focals(
    sampled: Sampled,
    camera_points: list[FloatArray],
    photos: IntArray,
    focals: Sequence[float | None] | None,
    old: Container[int],
) -> tuple[FloatArray, BoolArray, list[int]]:
    """Focal lengths (N,) to start from, the unknowns (N, 8) that the solver holds, and the photos whose given focal
    length is refuted. Old photos are left alone."""
    new = np.array([int(photo) not in old for photo in photos])
    estimated = np.array(
        [
            sampled.focal(int(photo), camera_points[photo]) if fresh else 1.0
            for photo, fresh in zip(photos, new, strict=True)
        ]
    )
    given = np.array([np.nan if focals is None else focals[photo] or np.nan for photo in photos], float)
    known = np.abs(np.log(given / estimated)) < np.log(FOCAL_RATIO)
    held = np.zeros((len(photos), 8), bool)
    held[:, FOCAL] = known
    return np.where(known, given, estimated), held, photos[np.isfinite(given) & ~known & new].tolist()


def _start(
    photos: IntArray,
    camera_points: list[FloatArray],
    views: Similarities,
    focal: FloatArray,
    measured: Measured,
    used: IntArray,
) -> AlignmentState:
    """The solver's start: photos at their initial poses, pairs at the pose of their first photo."""
    first = views[measured.ends[used, 0]]
    depth = [views.scale[photo] * np.maximum(camera_points[photo][:, 2], _NEAREST) for photo in photos]
    pairs = Similarities(first.scale / measured.units[used], first.rotation, first.translation)
    return AlignmentState(views.rotation[photos], views.translation[photos], focal, depth, pairs)


def _at_middle_scale(state: AlignmentState, pairs: Similarities) -> tuple[AlignmentState, Similarities]:
    """The state, and world from all `pairs`, in the unit in which the pairs' scales have the mean _MIDDLE_SCALE."""
    unit = _MIDDLE_SCALE / float(np.exp(np.log(pairs.scale).mean()))
    depth = [unit * depth for depth in state.depth]
    return replace(state, centre=unit * state.centre, depth=depth, pairs=state.pairs.scaled(unit)), pairs.scaled(unit)


def _all_pairs(
    sampled: Sampled, state: AlignmentState, photos: IntArray, used: IntArray, inside: IntArray
) -> Similarities:
    """World from each of the predictions `inside`: the solver's for those `used`, the best fit to the solution for the
    rest.

    The fit accounts for DUSt3R's normalisation, which fixes the mean logarithm of all scales: where one scale grows,
    the world is shrunk, and the whole objective with it. So the scale of a prediction that fits badly is drawn upwards.
    """
    solved = np.isin(inside, used)
    pairs = similarities.identities(len(inside))
    _put(pairs, solved, state.pairs[np.searchsorted(used, inside[solved])])
    if solved.all():
        return pairs
    predicted, solved_points, weights = _matched(sampled, state, photos, inside[~solved])
    fitted = similarities.fit_robust(predicted, solved_points, weights)
    total = solver.objective(sampled.samples(photos, used), state)
    total += float((weights * np.linalg.norm(fitted.apply(predicted) - solved_points, axis=-1)).sum())
    fitted = similarities.fit_robust(predicted, solved_points, weights, _REFIT_ROUNDS, total / len(inside))
    _put(pairs, ~solved, fitted)
    return pairs


def _put(pairs: Similarities, where: BoolArray, values: Similarities) -> None:
    """Writes the similarities `values` into `pairs` at the true places of `where`."""
    pairs.scale[where], pairs.rotation[where] = values.scale, values.rotation
    pairs.translation[where] = values.translation


def _matched(
    sampled: Sampled, state: AlignmentState, photos: IntArray, pairs: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The points of both photos of the predictions `pairs` (K,): as predicted (K, S, 3) and as solved (K, S, 3), and
    their weights (K, S), 0 where a row has no more points."""
    solved = {int(photo): state.points(at, sampled.grids[photo].pixels()) for at, photo in enumerate(photos)}
    size = 2 * max(map(len, solved.values()))
    predicted, solved_points, weights = (
        np.zeros((len(pairs), size, 3)),
        np.zeros((len(pairs), size, 3)),
        np.zeros((len(pairs), size)),
    )
    for row, index in enumerate(pairs.tolist()):
        start = 0
        for side, photo in enumerate((sampled.edges[index].first, sampled.edges[index].second)):
            row_of, columns = sampled.sides[photo].index((index, side)), slice(start, start + len(solved[photo]))
            predicted[row, columns], solved_points[row, columns] = sampled.points[photo][row_of], solved[photo]
            weights[row, columns] = sampled.weights[photo][row_of]
            start = columns.stop
    return predicted, solved_points, weights


def _dense_view(sampled: Sampled, photo: int, view: int, state: AlignmentState, used: IntArray) -> AlignedView:
    """The photo's view with the depth of every pixel, from the predictions `used`, a band of rows at a time. `view` is
    the photo's number in the state."""
    number = {int(pair): at for at, pair in enumerate(used)}
    sides = [(index, side) for index, side in sampled.sides[photo] if index in number]
    pairs = state.pairs[[number[index] for index, _ in sides]]
    height, width = sampled.grids[photo].height, sampled.grids[photo].width
    depth, confidence = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    band = max(1, _BAND_VALUES // (len(sides) * width))
    matrix = pairs.scale[:, None, None] * pairs.rotation
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        bands = [sampled.read(index, side, rows) for index, side in sides]
        points, confidences = np.stack([one.points for one in bands]), np.stack([one.confidence for one in bands])
        predictions = PairPredictions(points, confidences, matrix, pairs.translation)
        camera = BandCamera(state.rotation[view], state.centre[view], state.focal[view], (top - height / 2, -width / 2))
        _depth_along_rays(predictions, camera, depth[rows], confidence[rows])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = state.rotation[view], state.centre[view]
    return AlignedView(photo, pose, float(state.focal[view]), depth, confidence)


class PairPredictions(NamedTuple):
    """The `points` (k, H, W, 3) that k pairs predict, their `confidence` (k, H, W), and the `matrix` (k, 3, 3) and
    `shift` (k, 3) that take them to the world."""

    points: Float32Array
    confidence: Float32Array
    matrix: FloatArray
    shift: FloatArray


class BandCamera(NamedTuple):
    """A camera's `rotation` (3, 3) and `centre` (3,), world from camera, its `focal` length in pixels, and the top-left
    `corner` of a band of its picture, y and x from the principal point."""

    rotation: FloatArray
    centre: FloatArray
    focal: float
    corner: tuple[float, float]


@compiled()
def _depth_along_rays(
    predictions: PairPredictions, camera: BandCamera, depth: Float32Array, confidence: Float32Array
) -> None:
    """Fills `depth` (H, W): for each pixel, the depth whose point has the least weighted sum of distances from the
    pairs' predictions. Fills `confidence` (H, W) with the highest of the pairs.

    The sum is convex in depth, and reweighted least squares descends it. Where no pair predicts anything, both are 0.
    """
    points, pair_confidence, matrix, shift = predictions
    rotation, centre, focal, corner = camera
    count, height, width = pair_confidence.shape
    predicted = np.empty((count, 3))
    weight = np.empty(count)
    ray = np.empty(3)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                across, down = (corner[1] + x + 0.5) / focal, (corner[0] + y + 0.5) / focal
                ray[c] = rotation[c, 0] * across + rotation[c, 1] * down + rotation[c, 2]
            highest = 0.0
            for k in range(count):
                weight[k] = 0.0
                a, b, z = points[k, y, x, 0], points[k, y, x, 1], points[k, y, x, 2]
                if np.isfinite(a + b + z) and np.isfinite(pair_confidence[k, y, x]) and pair_confidence[k, y, x] > 1:
                    weight[k] = np.log(pair_confidence[k, y, x])
                    highest = max(highest, pair_confidence[k, y, x])
                    for c in range(3):
                        rotated = matrix[k, c, 0] * a + matrix[k, c, 1] * b + matrix[k, c, 2] * z
                        predicted[k, c] = rotated + shift[k, c] - centre[c]
            ray_square = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
            best = 0.0  # depth
            for step in range(_DEPTH_ROUNDS):
                along, total = 0.0, 0.0
                for k in range(count):
                    if weight[k] > 0:
                        irls_weight = weight[k]
                        if step > 0:
                            square = 0.0
                            for c in range(3):
                                square += (best * ray[c] - predicted[k, c]) ** 2
                            irls_weight /= max(np.sqrt(square), 1e-4 * abs(best))
                        for c in range(3):
                            along += irls_weight * ray[c] * predicted[k, c]
                        total += irls_weight * ray_square
                best = along / total if total > 0 else 0.0
            depth[y, x] = max(best, 0.0)
            confidence[y, x] = highest
