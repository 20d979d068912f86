"""[R] Cameras and depth of all photos from predictions and matches of pairs: MASt3R-SfM, fast. numpy and numba.

Duisterhof et al., "MASt3R-SfM: a Fully-Integrated Solution for Unconstrained Structure-from-Motion" (3DV 2025),
section 4. Each photo gets one canonical pointmap, the confidence-weighted mean of its predictions. Where they stand is
found coarsely by bringing matching points together in space, then exactly by bundle adjustment of the matches in the
pictures, which the canonical depths support. Both stages are second-order, not Adam; the coarse one starts from pairs'
similarities brought together by `synchronisation`, where wrong pairs show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np

from ...model.reconstruction import Array, Camera, FloatArray
from .. import similarities
from ..adjustment.bundle_adjustment import Refined, Settings, refine
from ..adjustment.tracks import PairMatches, Tracks, link
from ..focal import focal_from_points
from ..pairs.pairs import Matches, PairStore
from ..similarities import Similarities
from . import initial_poses, synchronisation
from .global_alignment import FOCAL_RATIO, AlignedView, Alignment
from .initial_poses import Measured

GAMMA = 1.5  # the power of distances that the coarse stage minimises
COARSE_ROUNDS, COARSE_MATCHES = 20, 200  # the latter of a pair
LEAST_MATCHES = 15  # of a pair
NEAR, LEAST_NEAR = 0.15, 0.5  # of the distance: matches of a pair so near each other fit it, and so many must
LEAST_BELIEVED = 0.3  # of all matches, by confidence, those of pairs that fit; else what fits does so by chance
# Of the median confidence of a pair's matches: bundle adjustment sees none that is less sure. That is never more than
# half of them, however the network's confidences are spread, so no photo is lost by it.
SURE = 0.5
OBSERVATIONS = 2000  # of a photo, about, that bundle adjustment sees: more take time and tell nothing new
ENOUGH = 1e-4  # relative fall of its cost in a step: of thousands of observations, less than chance moves it
GUESS = 0.999  # the confidence below which the network says nothing


@dataclass(frozen=True)
class Canonical:
    """A photo's own pointmap: `depth` (H, W) float32, median 1, NaN where nothing is known, `focal` in map pixels of a
    camera whose principal point is the map's middle; `units` the unit of each of its predictions, by their number."""

    depth: Array
    focal: float
    units: dict[int, float]

    def points(self, pixels: Array) -> FloatArray:
        """(M, 3) in the camera's frame of map pixels (M, 2); NaN outside and where nothing is known."""
        height, width = self.depth.shape
        column, row = np.floor(pixels).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        depth = np.where(inside, self.depth[row.clip(0, height - 1), column.clip(0, width - 1)], np.nan)
        slopes = (np.asarray(pixels, np.float64) - (width / 2, height / 2)) / self.focal
        found: FloatArray = np.concatenate([slopes, np.ones_like(slopes[:, :1])], axis=1) * depth[:, None]
        return found


def align(
    store: PairStore,
    count: int,
    focals: Sequence[float | None],
    progress: Callable[[float], None] = lambda _share: None,
    *,
    matches: Sequence[Matches],
    lenses: Sequence[int],
) -> Alignment:
    """Brings `count` photos into one world by their predictions, both orders of each pair, and `matches`.

    `focals` are known focal lengths in map pixels; photos with the same number in `lenses` share theirs. Photos that do
    not connect are left out. Raises Unconnected where no two do, or where the pairs contradict each other altogether.
    """
    maps = {photo: canonical(store, photo) for photo in range(count)}
    own, misjudged = _with_focals({photo: one for photo, one in maps.items() if one is not None}, focals, lenses)
    progress(0.2)
    pairs = _pairs(matches)
    measured, points = measure(pairs, own)
    sure = np.array([pair.confidence.sum() for pair in pairs])
    if sure[measured.usable].sum() < LEAST_BELIEVED * sure.sum():
        raise initial_poses.Unconnected(
            "What the matches of these photos say contradicts itself; take photos that overlap by more than half, "
            "of things that do not look alike from different places."
        )
    placed, views = initial_poses.place(count, measured)
    agreeing = measured.usable & placed[measured.ends].all(axis=1)
    agreeing[agreeing] = synchronisation.agreeing(measured.ends[agreeing], measured.moves[agreeing], views)
    first, second, weights = (part[agreeing] for part in points)
    views = coarse(measured.ends[agreeing], first, second, weights, placed, views)
    progress(0.4)
    photos = np.flatnonzero(placed)
    used = [pair for pair, agrees in zip(pairs, agreeing, strict=True) if agrees]
    cameras = [_camera(own[photo], views, photo) for photo in photos]
    tracks = _tracks(used, own, views, photos)
    numbers = np.unique(np.asarray(lenses)[photos], return_inverse=True)[1].ravel()
    settings = Settings(tuple(numbers.tolist()), enough=ENOUGH)
    refined = refine(cameras, tracks, settings, lambda: progress(0.5))
    progress(0.9)
    return _alignment(store, own, views, photos, used, refined, misjudged)


# ----------------------------------------------------------------------------------------------- canonical pointmaps
def canonical(store: PairStore, photo: int) -> Canonical | None:
    """The photo's own pointmap (MASt3R-SfM, section 4.2): the mean of what its predictions say of it in its own frame,

        X = Σ_e C^e X^e / Σ_e C^e,

    each in a unit that makes its median depth 1. One prediction is read at a time. None where there is none, or where
    no camera could see it.
    """
    sums: FloatArray | None = None
    units = {}
    for index in (index for index, side in store.sides(photo) if side == 0):
        said = store.read(index, 0)
        sums = np.zeros((*said.confidence.shape, 4)) if sums is None else sums
        unit = _add(sums, said.points, said.confidence)
        if unit > 0:
            units[index] = unit
    if sums is None or not units:
        return None
    total, weights = sums[..., :3], sums[..., 3]
    known = weights > 0
    points = np.where(known[..., None], total / np.where(known, weights, 1.0)[..., None], np.nan)
    height, width = known.shape
    try:
        focal = focal_from_points(points, weights, (width / 2, height / 2))
    except ValueError:
        return None
    return Canonical(points[..., 2].astype(np.float32), focal, units)


@numba.njit(cache=True)
def _add(sums: Array, points: Array, confidence: Array) -> float:
    """The unit of a prediction, 0 where it says nothing. Adds to `sums` (H, W, 4) its points (H, W, 3) in that unit,
    times what its confidence (H, W) is above a guess, and that."""
    told = np.zeros(confidence.shape, np.bool_)
    depths, count = np.empty(confidence.size, points.dtype), 0
    for row, column in np.ndindex(confidence.shape):
        x, y, z = points[row, column]
        sure = confidence[row, column]
        if np.isfinite(x + y + z) and z > 0 and np.isfinite(sure) and sure > GUESS:
            told[row, column] = True
            depths[count] = z
            count += 1
    if count == 0:
        return 0.0
    unit = float(np.median(depths[:count]))
    for row, column in np.ndindex(confidence.shape):
        if told[row, column]:
            weight = confidence[row, column] - GUESS
            for i in range(3):
                sums[row, column, i] += weight / unit * points[row, column, i]
            sums[row, column, 3] += weight
    return unit


def _with_focals(
    own: Mapping[int, Canonical], focals: Sequence[float | None], lenses: Sequence[int]
) -> tuple[dict[int, Canonical], list[int]]:
    """The photos with the focal lengths of their lenses, known or the median of what its photos' points show; and the
    photos whose known one their points contradict."""
    shown: dict[int, list[float]] = {}
    known: dict[int, list[float]] = {}
    misjudged = []
    for photo, one in own.items():
        given = focals[photo]
        shown.setdefault(lenses[photo], []).append(one.focal)
        if given and 1 / FOCAL_RATIO < given / one.focal < FOCAL_RATIO:
            known.setdefault(lenses[photo], []).append(given)
        elif given:
            misjudged.append(photo)
    focal = {number: float(np.median(known.get(number, found))) for number, found in shown.items()}
    return {photo: replace(one, focal=focal[lenses[photo]]) for photo, one in own.items()}, misjudged


# ----------------------------------------------------------------------------------------------- the coarse stage
def _pairs(matches: Sequence[Matches]) -> list[Matches]:
    """One Matches for each unordered pair, first < second, of what was found in either order."""
    found: dict[tuple[int, int], list[Matches]] = {}
    for one in matches:
        if one.first > one.second:
            one = Matches(one.second, one.first, one.pixels_second, one.pixels_first, one.confidence)
        if one.first != one.second:
            told = np.isfinite(one.confidence) & (one.confidence > 0)
            parts = (one.pixels_first[told], one.pixels_second[told], one.confidence[told])
            found.setdefault((one.first, one.second), []).append(Matches(one.first, one.second, *parts))
    return [
        Matches(
            i,
            j,
            np.concatenate([one.pixels_first for one in both]),
            np.concatenate([one.pixels_second for one in both]),
            np.concatenate([one.confidence for one in both]),
        )
        for (i, j), both in sorted(found.items())
    ]


Matched = tuple[FloatArray, FloatArray, FloatArray]
"""(K, M, 3) points of the first photo in its own frame and of the second in its, (K, M) weights, 0 where there is no
match."""


def measure(pairs: Sequence[Matches], own: Mapping[int, Canonical]) -> tuple[Measured, Matched]:
    """What the matches of each pair say of its photos' own frames, and the matching points, evenly chosen."""
    first, second = (np.zeros((len(pairs), COARSE_MATCHES, 3)) for _ in range(2))
    weights = np.zeros((len(pairs), COARSE_MATCHES))
    for row, pair in enumerate(pairs):
        if pair.first not in own or pair.second not in own:
            continue
        a, b = own[pair.first].points(pair.pixels_first), own[pair.second].points(pair.pixels_second)
        usable = np.flatnonzero(np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1))
        some = usable[np.linspace(0, len(usable) - 1, min(len(usable), COARSE_MATCHES)).astype(int)]
        first[row, : len(some)], second[row, : len(some)] = a[some], b[some]
        weights[row, : len(some)] = pair.confidence[some]
    enough = (weights > 0).sum(axis=1) >= LEAST_MATCHES
    moves = similarities.identities(len(pairs))
    fitted = similarities.fit_robust(second[enough], first[enough], weights[enough])
    moves.scale[enough], moves.rotation[enough], moves.translation[enough] = (
        fitted.scale,
        fitted.rotation,
        fitted.translation,
    )
    off = np.linalg.norm(moves.apply(second) - first, axis=-1)
    near = (weights > 0) & (off < NEAR * np.linalg.norm(first, axis=-1))
    share = near.sum(axis=1) / np.maximum((weights > 0).sum(axis=1), 1)
    usable = enough & (share >= LEAST_NEAR) & (near.sum(axis=1) >= LEAST_MATCHES)
    ends = np.array([(pair.first, pair.second) for pair in pairs]).reshape(-1, 2)
    surety = (weights * near).sum(axis=1) * share
    return Measured(ends, moves, np.ones(len(pairs)), surety, usable), (first, second, weights)


def coarse(
    ends: Array, first: FloatArray, second: FloatArray, weights: FloatArray, placed: Array, views: Similarities
) -> Similarities:
    """World from the placed photos' own frames, which brings matching points together in space:

        min  Σ_(n,m) Σ_i C_i || S_n X_i^n - S_m X_i^m ||^1.5,      the mean logarithm of scales fixed

    (MASt3R-SfM, equation 4), by Gauss-Newton on squares that are weighed anew in every round. `ends` (K, 2), the rest
    as in Matched; `views` (N,) to start from.
    """
    number = np.cumsum(placed) - 1
    ends, found = number[ends], views[placed]
    best, damping = np.inf, 1e-6
    kept = found
    for _ in range(COARSE_ROUNDS):
        a, b = found[ends[:, 0]].apply(first), found[ends[:, 1]].apply(second)
        distance = np.linalg.norm(a - b, axis=-1)
        cost = float((weights * distance**GAMMA).sum())
        if cost < best * (1 - 1e-6):
            best, kept, damping = cost, found, damping / 3
        elif cost >= best:
            damping *= 30
            found = kept
            if damping > 1e3:
                break
            continue
        else:
            break
        root = np.sqrt(weights * np.maximum(distance, 1e-4) ** (GAMMA - 2))
        step = _gauss_newton(ends, a, b, root, len(found), damping)
        moved = Similarities(np.exp(step[:, 6]), similarities.rotations(step[:, :3]), step[:, 3:6])
        found = _unit_mean(moved.after(found))
    everyone = similarities.identities(len(views))
    everyone.scale[placed], everyone.rotation[placed], everyone.translation[placed] = (
        kept.scale,
        kept.rotation,
        kept.translation,
    )
    return everyone


def _gauss_newton(
    ends: Array, a: FloatArray, b: FloatArray, root: FloatArray, count: int, damping: float
) -> FloatArray:
    """(N, 7) turns, moves and growths of the photos for residuals `root` (K, M) times (a - b) (K, M, 3)."""
    width = 7
    sides = [_moves_of(a) * root[..., None, None], -_moves_of(b) * root[..., None, None]]
    rows = [side.reshape(len(ends), -1, width) for side in sides]
    off = ((a - b) * root[..., None]).reshape(len(ends), -1, 1)
    matrix, right = np.zeros((count, count, width, width)), np.zeros((count, width))
    for p in range(2):
        np.add.at(right, ends[:, p], (rows[p].transpose(0, 2, 1) @ off)[..., 0])
        for q in range(2):
            np.add.at(matrix, (ends[:, p], ends[:, q]), rows[p].transpose(0, 2, 1) @ rows[q])
    whole = matrix.transpose(0, 2, 1, 3).reshape(count * width, count * width)
    size = float(np.trace(whole)) / len(whole)
    whole[np.diag_indices_from(whole)] *= 1 + damping
    whole[np.diag_indices_from(whole)] += 1e-9 * size  # where the world lies and which way it is turned
    growth = np.arange(6, len(whole), width)
    whole[np.ix_(growth, growth)] += size  # the objective falls where everything shrinks
    solved: FloatArray = np.linalg.solve(whole, -right.ravel()).reshape(count, width)
    return solved


def _moves_of(points: FloatArray) -> FloatArray:
    """(K, M, 3, 7) how points (K, M, 3) move with a turn, a move and a growth."""
    x, y, z = np.moveaxis(points, -1, 0)
    zero, one = np.zeros_like(x), np.ones_like(x)
    rows = [
        [zero, z, -y, one, zero, zero, x],
        [-z, zero, x, zero, one, zero, y],
        [y, -x, zero, zero, zero, one, z],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _unit_mean(views: Similarities) -> Similarities:
    """The views in the world in which the mean logarithm of their scales is 0."""
    mean = np.exp(np.log(views.scale).mean())
    return Similarities(views.scale / mean, views.rotation, views.translation / mean)


# ----------------------------------------------------------------------------------------------- bundle adjustment
def _camera(one: Canonical, views: Similarities, photo: int) -> Camera:
    height, width = one.depth.shape
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = views.rotation[photo], views.translation[photo]
    return Camera(str(photo), width, height, one.focal, one.focal, width / 2, height / 2, pose)


def _tracks(used: Sequence[Matches], own: Mapping[int, Canonical], views: Similarities, photos: Array) -> Tracks:
    """Tracks of the pairs' sure matches, evenly chosen, with depths of the photos' canonical maps in world units."""
    number = {int(photo): index for index, photo in enumerate(photos)}
    share = max(LEAST_MATCHES, OBSERVATIONS * len(photos) // (2 * max(1, len(used))))
    sure = [np.flatnonzero(m.confidence >= SURE * np.median(m.confidence)) for m in used]
    chosen = [those[np.linspace(0, len(those) - 1, min(len(those), share)).astype(int)] for those in sure]
    seen: list[list[FloatArray]] = [[] for _ in photos]
    for pair, some in zip(used, chosen, strict=True):
        seen[number[pair.first]].append(pair.pixels_first[some])
        seen[number[pair.second]].append(pair.pixels_second[some])
    places, numbers = [], []
    for pixels in seen:  # a pixel that several pairs match is one keypoint
        place, which = np.unique(np.concatenate([np.empty((0, 2)), *pixels]), axis=0, return_inverse=True)
        places.append(place)
        numbers.append(iter(np.split(which.reshape(-1), np.cumsum([len(some) for some in pixels])[:-1])))
    pairs = [
        PairMatches(
            number[pair.first],
            number[pair.second],
            next(numbers[number[pair.first]]),
            next(numbers[number[pair.second]]),
            float(pair.confidence.sum()),
        )
        for pair in used
    ]
    tracks = link(places, pairs)
    depth = np.full(len(tracks.depth), np.nan)
    for index, photo in enumerate(photos):
        mine = tracks.camera == index
        depth[mine] = own[int(photo)].points(tracks.pixels[mine])[:, 2] * views.scale[photo]
    return replace(tracks, depth=np.where(depth > 0, depth, np.nan))


# ----------------------------------------------------------------------------------------------- the result
def _alignment(
    store: PairStore,
    own: Mapping[int, Canonical],
    views: Similarities,
    photos: Array,
    used: Sequence[Matches],
    refined: Refined,
    misjudged: list[int],
) -> Alignment:
    agreed = {(pair.first, pair.second) for pair in used}
    good = {n for n, edge in enumerate(store.edges) if tuple(sorted((edge.first, edge.second))) in agreed}
    aligned = []
    scales = {}
    for index, photo in enumerate(photos.tolist()):
        one, camera = own[photo], refined.cameras[index]
        scales[photo] = float(views.scale[photo]) * refined.depth_factor(index)
        said = [store.confidence(number, side) for number, side in store.sides(photo) if number in good]
        sure = np.max(np.nan_to_num(np.stack(said)), axis=0)
        aligned.append(
            AlignedView(
                photo,
                camera.world_from_camera,
                camera.fx,
                (one.depth * scales[photo]).astype(np.float32),
                np.where(one.depth > 0, sure, 0).astype(np.float32),
                camera.reprojection_error,
                float(refined.before[index]) if np.isfinite(refined.before[index]) else None,
            )
        )
    inside = [n for n in sorted(good) if n in own[store.edges[n].first].units]
    poses = {view.photo: view.world_from_camera for view in aligned}
    first = [store.edges[number].first for number in inside]
    placed = Similarities(
        np.array([scales[photo] / own[photo].units[n] for photo, n in zip(first, inside, strict=True)]),
        np.array([poses[photo][:3, :3] for photo in first]).reshape(-1, 3, 3),
        np.array([poses[photo][:3, 3] for photo in first]).reshape(-1, 3),
    )
    apart = [photo for photo in range(len(views)) if photo not in scales]
    return Alignment(aligned, placed, np.array(inside), sorted(set(range(len(store))) - good), apart, misjudged)
