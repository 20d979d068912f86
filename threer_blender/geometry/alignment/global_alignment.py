"""[R] Cameras and depth of all photos from pairwise predictions: DUSt3R's global alignment, fast. numpy and numba.

Wang et al., CVPR 2024, section 3.4, on a PairStore. Each photo's own pointmap and each pair's similarity are fitted on
a grid of sampled pixels, pairs are brought together by `synchronisation` (where wrong ones show), `alignment_solver`
minimises the objective over everything at once, and then every pixel's depth is the weighted median along its ray of
what the pairs say, one photo at a time. Memory grows with photos, not with pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from .. import similarities
from ..pairs.pairs import PairStore
from ..pointmaps import unprojected
from ..similarities import Similarities
from . import initial_poses, solver, synchronisation
from .initial_poses import Anchors, Measured
from .samples import Sampled
from .solver import FOCAL, State

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

_SOLVER_ROUNDS, _REFIT_ROUNDS = 25, 40
FOCAL_RATIO = 1.3  # a focal length given beforehand is believed up to this ratio to what the predictions show
_MIDDLE_SCALE = 0.5  # of all pairs: the objective shrinks with the world, so DUSt3R fixes this, and so do we
_NEAREST = 0.05  # least depth to start from, of a photo whose median is 1
_DEPTH_ROUNDS = 8
_BAND_VALUES = 1_000_000  # pixels times predictions that are held at a time


@dataclass(frozen=True)
class AlignedView:
    """One photo's solution: `world_from_camera` (4, 4); `focal` in map pixels, the principal point in the map's middle;
    `depth` (H, W) float32 camera z; `confidence` (H, W) float32, the highest that an agreeing pair gives.
    `reprojection_error` and `error_before` as a Camera has them, in map pixels; None where nothing was measured."""

    photo: int
    world_from_camera: Float
    focal: float
    depth: Float32
    confidence: Float32
    reprojection_error: float | None = None
    error_before: float | None = None

    def points(self) -> Float32:
        """(H, W, 3) in the world."""
        height, width = self.depth.shape
        intrinsics = np.array([[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1]])
        local = unprojected(self.depth, intrinsics)
        world = local @ self.world_from_camera[:3, :3].T + self.world_from_camera[:3, 3]
        found: Float32 = world.astype(np.float32)
        return found


@dataclass(frozen=True)
class Alignment:
    """`views` in order of photo. `pairs`: world from the frame of each prediction in the store whose two photos are
    placed; `pair_numbers` says which those are. `disagreeing` are those predictions that the solution contradicts.
    `apart` lists photos without a place: connected to the rest by nothing that agrees. `misjudged` are photos whose
    given focal length the predictions contradict; it was not used."""

    views: list[AlignedView]
    pairs: Similarities
    pair_numbers: Int
    disagreeing: list[int]
    apart: list[int]
    misjudged: list[int]


NOTHING = Alignment([], similarities.identities(0), np.zeros(0, np.int64), [], [], [])
"""What is known before any prediction."""


def align(
    store: PairStore,
    count: int,
    focals: Sequence[float | None] | None = None,
    progress: Callable[[float], None] = lambda _share: None,
    before: Alignment = NOTHING,
) -> Alignment:
    """Brings the predictions about `count` photos into one world.

    `focals` are known focal lengths in map pixels. Where some photos do not connect, the largest connected part is
    solved. Photos that have a place in `before`, made from an earlier state of the store, keep it, with their depth;
    only predictions that concern other photos are read, so adding photos costs what their own pairs cost.

    Raises Unconnected where no two photos connect, or all pairs contradict each other.
    """
    old = {view.photo: view for view in before.views}
    numbers = [n for n, edge in enumerate(store.edges) if edge.first not in old or edge.second not in old]
    seen = Sampled(store, count, np.array(numbers, np.int64))
    own = [seen.own_points(photo) for photo in range(count)]
    anchors = _anchors(seen, own, old)
    unchanged = replace(before, apart=sorted(set(range(count)) - set(old)))
    if old and not len(anchors.photos):
        return unchanged
    measured = initial_poses.measure(seen, own)
    placed, views = initial_poses.place(count, measured, anchors)
    photos = np.flatnonzero(placed)
    if old and set(photos) <= set(old):
        return unchanged
    progress(0.3)
    agreeing = _agreeing(measured, placed, views)
    used = np.flatnonzero(agreeing)
    focal, held, misjudged = _focals(seen, own, photos, focals, old)
    start = _start(photos, own, views, focal, measured, used)
    if old:
        start = _with_old(start, held, seen, photos, old)
    state = solver.minimise(seen.samples(photos, used), start, held, _SOLVER_ROUNDS)
    inside = np.flatnonzero(placed[measured.ends].all(1))
    pairs = _all_pairs(seen, state, photos, used, inside)
    if not old:
        state, pairs = _at_middle_scale(state, pairs)
    progress(0.7)
    new = []
    for number, photo in enumerate(photos):
        if int(photo) not in old:
            new.append(_dense_view(seen, int(photo), number, state, used))
        progress(0.7 + 0.3 * (number + 1) / len(photos))
    found = sorted([*before.views, *new], key=lambda view: view.photo)
    return Alignment(
        found,
        similarities.joined(before.pairs, pairs),
        np.concatenate([before.pair_numbers, seen.numbers[inside]]),
        sorted({*before.disagreeing, *seen.numbers[~agreeing].tolist()} - {*seen.numbers[agreeing].tolist()}),
        sorted(set(range(count)) - {view.photo for view in found}),
        sorted({*before.misjudged, *misjudged}),
    )


def _anchors(seen: Sampled, own: list[Float], old: dict[int, AlignedView]) -> Anchors:
    """The photos with a place that new predictions concern. Their `own` points become those of their solved depth."""
    photos = np.array([photo for photo in old if seen.sides[photo]], np.int64)
    scale, rotation, centre = np.ones(len(photos)), np.zeros((len(photos), 3, 3)), np.zeros((len(photos), 3))
    for at, photo in enumerate(photos):
        view = old[int(photo)]
        depth, slopes = seen.depths(photo, view.depth), seen.grids[photo].pixels() / view.focal
        scale[at] = np.median(depth[depth > 0])
        own[photo] = depth[:, None] / scale[at] * np.concatenate([slopes, np.ones((len(depth), 1))], axis=1)
        rotation[at], centre[at] = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]
    return Anchors(photos, Similarities(scale, rotation, centre))


def _with_old(state: State, held: Bool, seen: Sampled, photos: Int, old: dict[int, AlignedView]) -> State:
    """The state with old photos exactly where they were; `held` (N, 8) is set to keep them there."""
    rotation, centre, focal, depth = state.rotation.copy(), state.centre.copy(), state.focal.copy(), list(state.depth)
    for at, photo in enumerate(photos):
        if int(photo) in old:
            view = old[int(photo)]
            rotation[at], centre[at] = view.world_from_camera[:3, :3], view.world_from_camera[:3, 3]
            focal[at], depth[at] = view.focal, seen.depths(photo, view.depth)
            held[at] = True
    return State(rotation, centre, focal, depth, state.pairs)


def _agreeing(measured: Measured, placed: Bool, views: Similarities) -> Bool:
    """(E,) the predictions that overlap and that the placed views bear out."""
    found = measured.usable & placed[measured.ends].all(1)
    found[found] = synchronisation.agreeing(measured.ends[found], measured.moves[found], views)
    return found


def _focals(
    seen: Sampled, own: list[Float], photos: Int, focals: Sequence[float | None] | None, old: Container[int]
) -> tuple[Float, Bool, list[int]]:
    """Focal lengths (N,) to start from, what the solver is to hold (N, 8), and photos whose given one is refuted.

    Those of old photos are not looked at.
    """
    new = np.array([int(photo) not in old for photo in photos])
    found = np.array(
        [seen.focal(int(photo), own[photo]) if fresh else 1.0 for photo, fresh in zip(photos, new, strict=True)]
    )
    given = np.array([np.nan if focals is None else focals[photo] or np.nan for photo in photos], float)
    known = np.abs(np.log(given / found)) < np.log(FOCAL_RATIO)
    held = np.zeros((len(photos), 8), bool)
    held[:, FOCAL] = known
    return np.where(known, given, found), held, photos[np.isfinite(given) & ~known & new].tolist()


def _start(photos: Int, own: list[Float], views: Similarities, focal: Float, measured: Measured, used: Int) -> State:
    """The solver's start: photos where `placement` put them, pairs where their first photo stands."""
    first = views[measured.ends[used, 0]]
    depth = [views.scale[photo] * np.maximum(own[photo][:, 2], _NEAREST) for photo in photos]
    pairs = Similarities(first.scale / measured.units[used], first.rotation, first.translation)
    return State(views.rotation[photos], views.translation[photos], focal, depth, pairs)


def _at_middle_scale(state: State, pairs: Similarities) -> tuple[State, Similarities]:
    """The same world, and world from all `pairs`, in the size that the objective is compared in."""
    unit = _MIDDLE_SCALE / float(np.exp(np.log(pairs.scale).mean()))
    depth = [unit * depth for depth in state.depth]
    return replace(state, centre=unit * state.centre, depth=depth, pairs=state.pairs.grown(unit)), pairs.grown(unit)


def _all_pairs(seen: Sampled, state: State, photos: Int, used: Int, inside: Int) -> Similarities:
    """World from each prediction `inside`: the solver's for those `used`, for the rest what fits the solution best.

    The objective is compared in a world in which the mean logarithm of all scales is fixed. So where one scale grows,
    the whole sum shrinks by its share, which is what predictions that fit nothing gain by.
    """
    solved = np.isin(inside, used)
    pairs = similarities.identities(len(inside))
    _put(pairs, solved, state.pairs[np.searchsorted(used, inside[solved])])
    if solved.all():
        return pairs
    said, own, weights = _matched(seen, state, photos, inside[~solved])
    fitted = similarities.fit_robust(said, own, weights)
    total = solver.objective(seen.samples(photos, used), state)
    total += float((weights * np.linalg.norm(fitted.apply(said) - own, axis=-1)).sum())
    fitted = similarities.fit_robust(said, own, weights, _REFIT_ROUNDS, total / len(inside))
    _put(pairs, ~solved, fitted)
    return pairs


def _put(pairs: Similarities, where: Bool, some: Similarities) -> None:
    pairs.scale[where], pairs.rotation[where], pairs.translation[where] = some.scale, some.rotation, some.translation


def _matched(seen: Sampled, state: State, photos: Int, pairs: Int) -> tuple[Float, Float, Float]:
    """What predictions (K,) say of both their photos (K, S, 3), where the solution has that (K, S, 3), weights (K, S),
    which are 0 where there is no more."""
    solved = {int(photo): state.points(at, seen.grids[photo].pixels()) for at, photo in enumerate(photos)}
    size = 2 * max(map(len, solved.values()))
    said, own, weights = np.zeros((len(pairs), size, 3)), np.zeros((len(pairs), size, 3)), np.zeros((len(pairs), size))
    for row, index in enumerate(pairs.tolist()):
        start = 0
        for side, photo in enumerate((seen.edges[index].first, seen.edges[index].second)):
            place, some = seen.sides[photo].index((index, side)), slice(start, start + len(solved[photo]))
            said[row, some], own[row, some] = seen.points[photo][place], solved[photo]
            weights[row, some] = seen.weights[photo][place]
            start = some.stop
    return said, own, weights


def _dense_view(seen: Sampled, photo: int, view: int, state: State, used: Int) -> AlignedView:
    """Depth of every pixel of a photo from the predictions `used`, a band of rows at a time."""
    number = {int(pair): at for at, pair in enumerate(used)}
    sides = [(index, side) for index, side in seen.sides[photo] if index in number]
    pairs = state.pairs[[number[index] for index, _ in sides]]
    height, width = seen.grids[photo].height, seen.grids[photo].width
    depth, confidence = np.empty((height, width), np.float32), np.empty((height, width), np.float32)
    band = max(1, _BAND_VALUES // (len(sides) * width))
    matrix = pairs.scale[:, None, None] * pairs.rotation
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        said = [seen.read(index, side, rows) for index, side in sides]
        _depth_along_rays(
            np.stack([one.points for one in said]),
            np.stack([one.confidence for one in said]),
            matrix,
            pairs.translation,
            state.rotation[view],
            state.centre[view],
            state.focal[view],
            (top - height / 2, -width / 2),
            depth[rows],
            confidence[rows],
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = state.rotation[view], state.centre[view]
    return AlignedView(photo, pose, float(state.focal[view]), depth, confidence)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _depth_along_rays(
    points: Float32, sure: Float32, matrix: Float, shift: Float, rotation: Float, centre: Float, focal: float,
    corner: tuple[float, float], depth: Float32, confidence: Float32,
) -> None:  # fmt: skip
    """For each pixel the depth whose point is at the least weighted sum of distances from what the pairs say.

    `points` (k, H, W, 3) and `sure` (k, H, W) are the pairs', `matrix` (k, 3, 3) and `shift` (k, 3) take them to the
    world; `corner` is the top-left pixel's corner from the principal point, y and x. The sum is convex in depth;
    reweighted least squares descends it. Where no pair says anything, depth and confidence are 0.
    """
    count, height, width = sure.shape
    said = np.empty((count, 3))
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
                if np.isfinite(a + b + z) and np.isfinite(sure[k, y, x]) and sure[k, y, x] > 1:
                    weight[k] = np.log(sure[k, y, x])
                    highest = max(highest, sure[k, y, x])
                    for c in range(3):
                        moved = matrix[k, c, 0] * a + matrix[k, c, 1] * b + matrix[k, c, 2] * z
                        said[k, c] = moved + shift[k, c] - centre[c]
            length = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
            best = 0.0
            for step in range(_DEPTH_ROUNDS):
                along, total = 0.0, 0.0
                for k in range(count):
                    if weight[k] > 0:
                        pull = weight[k]
                        if step > 0:
                            distance = 0.0
                            for c in range(3):
                                distance += (best * ray[c] - said[k, c]) ** 2
                            pull /= max(np.sqrt(distance), 1e-4 * abs(best))
                        for c in range(3):
                            along += pull * ray[c] * said[k, c]
                        total += pull * length
                best = along / total if total > 0 else 0.0
            depth[y, x] = max(best, 0.0)
            confidence[y, x] = highest
