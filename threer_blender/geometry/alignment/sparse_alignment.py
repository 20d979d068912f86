"""[R] Cameras and depth of all photos from predictions and matches of pairs: MASt3R-SfM, fast. numpy.

Duisterhof et al., "MASt3R-SfM: a Fully-Integrated Solution for Unconstrained Structure-from-Motion" (3DV 2025),
section 4. Each photo gets one canonical pointmap, the mean of its predictions (`canonical_maps`). A coarse stage
brings matching points together in space; bundle adjustment of the matches, supported by the canonical depths, then
makes the cameras exact. Both stages use second-order methods instead of the paper's Adam. The coarse one starts from
the pairs' similarities: `synchronisation` combines them and finds the wrong pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.reconstruction import Camera
from .. import rotations, similarities
from ..adjustment.bundle_adjustment import AdjustmentSettings, Refined, refine
from ..adjustment.tracks import PairMatches, Tracks, link
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..pairs.pairs import Matches, PairStore
from ..robust_losses import Power
from ..similarities import Similarities
from . import initial_poses, synchronisation
from .canonical_maps import Canonical, canonical, with_focals
from .global_alignment import AlignedView, Alignment
from .initial_poses import Measured

GAMMA = 1.5  # the power of distances that the coarse stage minimises
COARSE_LOSS = Power(GAMMA, smallest=1e-4)
COARSE = Options(
    "coarse alignment",
    trials=20,
    tolerance=1e-6,
    first_damping=1e-6,
    least_damping=0.0,
    largest_damping=1e3,
    raise_factor=30,
    lower_factor=1 / 3,
)
COARSE_MATCHES = 200  # of a pair, at most, in the coarse stage
LEAST_MATCHES = 15  # of a pair, or it is not used
# Share of a point's distance from the camera. Two matching points fit their pair's similarity if it brings them nearer
# to each other than that.
NEAR = 0.15
LEAST_NEAR = 0.5  # share of a pair's matches that must fit, or it is not used
LEAST_USABLE = 0.3  # share of all confidence that must be in usable pairs; with less, these fit by chance
# Share of the median confidence of a pair's matches; bundle adjustment gets only those above it. However the network's
# confidences are spread, that drops at most half of them, so no photo is lost.
CONFIDENT = 0.5
OBSERVATIONS = 2000  # of a photo, on average, in bundle adjustment; more take time and add nothing
# Bundle adjustment ends where a step lowers its cost by a smaller share: among so many observations, that is noise.
TOLERANCE = 1e-4


def align(
    store: PairStore,
    count: int,
    focals: Sequence[float | None],
    progress: Callable[[float], None] = lambda _share: None,
    *,
    matches: Sequence[Matches],
    lenses: Sequence[int],
) -> Alignment:
    """Brings `count` photos into one world by the predictions of their pairs, in both orders, and by `matches`.

    `focals` are known focal lengths in map pixels, or None. Photos with the same number in `lenses` share one focal
    length. Photos that do not connect stay unregistered. `progress(share)` is called now and then and may raise. Raises
    Unconnected where no two photos connect, or the pairs contradict each other.
    """
    maps = {photo: canonical(store, photo) for photo in range(count)}
    canonicals, refuted_focals = with_focals(
        {photo: one for photo, one in maps.items() if one is not None}, focals, lenses
    )
    progress(0.2)
    pairs = _pairs(matches)
    measured, points = measure(pairs, canonicals)
    confidence = np.array([pair.confidence.sum() for pair in pairs])
    if confidence[measured.usable].sum() < LEAST_USABLE * confidence.sum():
        raise initial_poses.Unconnected(
            "What the matches of these photos say contradicts itself; take photos that overlap by more than half, "
            "of things that do not look alike from different places."
        )
    registered, views = initial_poses.estimate(count, measured)
    agreeing = measured.usable & registered[measured.ends].all(axis=1)
    agreeing[agreeing] = synchronisation.agreeing(measured.ends[agreeing], measured.first_from_second[agreeing], views)
    first, second, weights = (part[agreeing] for part in points)
    views = coarse(measured.ends[agreeing], first, second, weights, registered, views)
    progress(0.4)
    photos = np.flatnonzero(registered)
    used = [pair for pair, agrees in zip(pairs, agreeing, strict=True) if agrees]
    cameras = [_camera(canonicals[photo], views, photo) for photo in photos]
    tracks = _tracks(used, canonicals, views, photos)
    numbers = np.unique(np.asarray(lenses)[photos], return_inverse=True)[1].ravel()
    settings = AdjustmentSettings(tuple(numbers.tolist()), tolerance=TOLERANCE)
    refined = refine(cameras, tracks, settings, lambda: progress(0.5))
    progress(0.9)
    return _alignment(store, canonicals, views, photos, used, refined, refuted_focals)


# ----------------------------------------------------------------------------------------------- the coarse stage
def _pairs(matches: Sequence[Matches]) -> list[Matches]:
    """One Matches for each unordered pair, first < second, with the matches of both orders."""
    by_pair: dict[tuple[int, int], list[Matches]] = {}
    for one in matches:
        if one.first > one.second:
            one = Matches(one.second, one.first, one.pixels_second, one.pixels_first, one.confidence)
        if one.first != one.second:
            usable = np.isfinite(one.confidence) & (one.confidence > 0)
            parts = (one.pixels_first[usable], one.pixels_second[usable], one.confidence[usable])
            by_pair.setdefault((one.first, one.second), []).append(Matches(one.first, one.second, *parts))
    return [
        Matches(
            i,
            j,
            np.concatenate([one.pixels_first for one in both]),
            np.concatenate([one.pixels_second for one in both]),
            np.concatenate([one.confidence for one in both]),
        )
        for (i, j), both in sorted(by_pair.items())
    ]


Matched = tuple[FloatArray, FloatArray, FloatArray]
"""The matching points of K pairs: (K, M, 3) in the first photo's own frame, (K, M, 3) in the second's, and (K, M) their
weights, 0 where there is no match."""


def measure(pairs: Sequence[Matches], canonicals: Mapping[int, Canonical]) -> tuple[Measured, Matched]:
    """The measurement between two photos' own frames that each pair's matches give, and the matching points. At most
    COARSE_MATCHES of a pair are used, evenly chosen."""
    first, second = (np.zeros((len(pairs), COARSE_MATCHES, 3)) for _ in range(2))
    weights = np.zeros((len(pairs), COARSE_MATCHES))
    for row, pair in enumerate(pairs):
        if pair.first not in canonicals or pair.second not in canonicals:
            continue
        a, b = canonicals[pair.first].points(pair.pixels_first), canonicals[pair.second].points(pair.pixels_second)
        usable = np.flatnonzero(np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1))
        chosen = usable[np.linspace(0, len(usable) - 1, min(len(usable), COARSE_MATCHES)).astype(int)]
        first[row, : len(chosen)], second[row, : len(chosen)] = a[chosen], b[chosen]
        weights[row, : len(chosen)] = pair.confidence[chosen]
    enough = (weights > 0).sum(axis=1) >= LEAST_MATCHES
    first_from_second = similarities.identities(len(pairs))
    fitted = similarities.fit_robust(second[enough], first[enough], weights[enough])
    first_from_second.scale[enough], first_from_second.rotation[enough], first_from_second.translation[enough] = (
        fitted.scale,
        fitted.rotation,
        fitted.translation,
    )
    off = np.linalg.norm(first_from_second.apply(second) - first, axis=-1)
    near = (weights > 0) & (off < NEAR * np.linalg.norm(first, axis=-1))
    share = near.sum(axis=1) / np.maximum((weights > 0).sum(axis=1), 1)
    usable = enough & (share >= LEAST_NEAR) & (near.sum(axis=1) >= LEAST_MATCHES)
    ends = np.array([(pair.first, pair.second) for pair in pairs]).reshape(-1, 2)
    confidence = (weights * near).sum(axis=1) * share
    # The ones are `units`: matches give no unit of their own.
    return Measured(ends, first_from_second, np.ones(len(pairs)), confidence, usable), (first, second, weights)


def coarse(
    ends: Array, first: FloatArray, second: FloatArray, weights: FloatArray, registered: Array, views: Similarities
) -> Similarities:
    """World from the photos' own frames (N,), such that matching points come together in space:

        min  Σ_(n,m) Σ_i C_i || S_n X_i^n - S_m X_i^m ||^1.5,      the mean logarithm of scales being 0

    (MASt3R-SfM, equation 4). S_n is the similarity to the world from the frame of photo n, X_i^n its point of match i,
    C_i the weight of the match, and (n,m) a pair. `ends` (K, 2) are the photos of each pair; `first`, `second` and
    `weights` are as in Matched. `registered` (N,) bool are the photos to solve; the others get the identity. The
    descent starts at `views` (N,).
    """
    number = np.cumsum(registered) - 1
    ends = number[ends]

    def cost(frames: Similarities) -> float:
        difference = frames[ends[:, 0]].apply(first) - frames[ends[:, 1]].apply(second)
        return float((weights * COARSE_LOSS.cost(np.linalg.norm(difference, axis=-1))).sum())

    def linearise(frames: Similarities) -> Callable[[float], Similarities]:
        a, b = frames[ends[:, 0]].apply(first), frames[ends[:, 1]].apply(second)
        root = np.sqrt(weights * COARSE_LOSS.weight(np.linalg.norm(a - b, axis=-1)))
        matrix, gradient = _normal_equations(ends, a, b, root, len(frames))
        return lambda damping: _unit_mean(_stepped(frames, matrix, gradient, damping))

    solved, _ = levenberg_marquardt(views[registered], cost, linearise, COARSE)
    everyone = similarities.identities(len(views))
    everyone.scale[registered], everyone.rotation[registered], everyone.translation[registered] = (
        solved.scale,
        solved.rotation,
        solved.translation,
    )
    return everyone


def _normal_equations(
    ends: Array, a: FloatArray, b: FloatArray, root: FloatArray, count: int
) -> tuple[FloatArray, FloatArray]:
    """The normal equations' matrix (7N, 7N) and gradient (7N,) for the rotations, translations and logarithms of scale
    of `count` = N photos. The residuals are `root` (K, M) times (a - b) (K, M, 3)."""
    width = 7
    sides = [_motions_of(a) * root[..., None, None], -_motions_of(b) * root[..., None, None]]
    rows = [side.reshape(len(ends), -1, width) for side in sides]
    off = ((a - b) * root[..., None]).reshape(len(ends), -1, 1)
    matrix, gradient = np.zeros((count, count, width, width)), np.zeros((count, width))
    for p in range(2):
        np.add.at(gradient, ends[:, p], (rows[p].transpose(0, 2, 1) @ off)[..., 0])
        for q in range(2):
            np.add.at(matrix, (ends[:, p], ends[:, q]), rows[p].transpose(0, 2, 1) @ rows[q])
    return matrix.transpose(0, 2, 1, 3).reshape(count * width, count * width), gradient.ravel()


def _stepped(views: Similarities, matrix: FloatArray, gradient: FloatArray, damping: float) -> Similarities:
    """The views after the damped step."""
    damped, size = matrix.copy(), float(np.trace(matrix)) / len(matrix)
    damped[np.diag_indices_from(damped)] *= 1 + damping
    damped[np.diag_indices_from(damped)] += 1e-9 * size  # the world's position and rotation are free
    log_scales = np.arange(6, len(damped), 7)
    damped[np.ix_(log_scales, log_scales)] += size  # holds their mean: the objective falls when everything shrinks
    step = np.linalg.solve(damped, -gradient).reshape(-1, 7)
    return Similarities(np.exp(step[:, 6]), rotations.from_vectors(step[:, :3]), step[:, 3:6]).after(views)


def _motions_of(points: FloatArray) -> FloatArray:
    """(K, M, 3, 7) derivatives of points (K, M, 3) by a rotation vector, a translation and a logarithm of scale."""
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
    """The photo's camera at its coarse pose, in pixels of its map."""
    height, width = one.depth.shape
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = views.rotation[photo], views.translation[photo]
    return Camera(str(photo), width, height, one.focal, one.focal, width / 2, height / 2, pose)


def _tracks(used: Sequence[Matches], canonicals: Mapping[int, Canonical], views: Similarities, photos: Array) -> Tracks:
    """Tracks of the used pairs' confident matches, evenly chosen. The depths are those of the photos' canonical maps,
    in world units; a track's `camera` is an index into `photos`."""
    number = {int(photo): index for index, photo in enumerate(photos)}
    matches_per_pair = max(LEAST_MATCHES, OBSERVATIONS * len(photos) // (2 * max(1, len(used))))
    confident = [np.flatnonzero(m.confidence >= CONFIDENT * np.median(m.confidence)) for m in used]
    chosen = [
        those[np.linspace(0, len(those) - 1, min(len(those), matches_per_pair)).astype(int)] for those in confident
    ]
    matched_pixels: list[list[FloatArray]] = [[] for _ in photos]
    for pair, indices in zip(used, chosen, strict=True):
        matched_pixels[number[pair.first]].append(pair.pixels_first[indices])
        matched_pixels[number[pair.second]].append(pair.pixels_second[indices])
    # Of each photo: its keypoints, and an iterator over the numbers of those that each of its pairs matches.
    keypoints, keypoint_numbers = [], []
    for pixels in matched_pixels:  # a pixel that several pairs match is one keypoint
        unique, keypoint_of_pixel = np.unique(np.concatenate([np.empty((0, 2)), *pixels]), axis=0, return_inverse=True)
        keypoints.append(unique)
        keypoint_numbers.append(
            iter(np.split(keypoint_of_pixel.reshape(-1), np.cumsum([len(places) for places in pixels])[:-1]))
        )
    pairs = [
        PairMatches(
            number[pair.first],
            number[pair.second],
            next(keypoint_numbers[number[pair.first]]),
            next(keypoint_numbers[number[pair.second]]),
            float(pair.confidence.sum()),
        )
        for pair in used
    ]
    tracks = link(keypoints, pairs)
    depth = np.full(len(tracks.depth), np.nan)
    for index, photo in enumerate(photos):
        mine = tracks.camera == index
        depth[mine] = canonicals[int(photo)].points(tracks.pixels[mine])[:, 2] * views.scale[photo]
    return replace(tracks, depth=np.where(depth > 0, depth, np.nan))


# ----------------------------------------------------------------------------------------------- the result
def _alignment(
    store: PairStore,
    canonicals: Mapping[int, Canonical],
    views: Similarities,
    photos: Array,
    used: Sequence[Matches],
    refined: Refined,
    refuted_focals: list[int],
) -> Alignment:
    """The result: refined cameras, canonical depths in world units, and world from each used prediction."""
    used_pairs = {(pair.first, pair.second) for pair in used}
    used_predictions = {
        n for n, edge in enumerate(store.edges) if tuple(sorted((edge.first, edge.second))) in used_pairs
    }
    aligned = []
    scales = {}
    for index, photo in enumerate(photos.tolist()):
        one, camera = canonicals[photo], refined.cameras[index]
        scales[photo] = float(views.scale[photo]) * refined.depth_factor(index)
        given = [store.confidence(number, side) for number, side in store.sides(photo) if number in used_predictions]
        confidence = np.max(np.nan_to_num(np.stack(given)), axis=0)
        aligned.append(
            AlignedView(
                photo,
                camera.world_from_camera,
                camera.fx,
                (one.depth * scales[photo]).astype(np.float32),
                np.where(one.depth > 0, confidence, 0).astype(np.float32),
                camera.reprojection_error,
                float(refined.before[index]) if np.isfinite(refined.before[index]) else None,
            )
        )
    # `units`: the median depth by which the first photo's canonical map divided each of its predictions.
    with_unit = [n for n in sorted(used_predictions) if n in canonicals[store.edges[n].first].units]
    poses = {view.photo: view.world_from_camera for view in aligned}
    first = [store.edges[number].first for number in with_unit]
    world_from_prediction = Similarities(
        np.array([scales[photo] / canonicals[photo].units[n] for photo, n in zip(first, with_unit, strict=True)]),
        np.array([poses[photo][:3, :3] for photo in first]).reshape(-1, 3, 3),
        np.array([poses[photo][:3, 3] for photo in first]).reshape(-1, 3),
    )
    disconnected = [photo for photo in range(len(views)) if photo not in scales]
    return Alignment(
        aligned,
        world_from_prediction,
        np.array(with_unit),
        sorted(set(range(len(store))) - used_predictions),
        disconnected,
        refuted_focals,
    )
