"""[R] Captures longer than a network takes at once: overlapping chunks of photos are solved and brought into one frame.

Chunks follow the photos' order. Neighbouring chunks share photos; a robust similarity between the points that both
predict for these takes one chunk's frame to the other's. Where a photo resembles a much earlier one, an extra chunk of
the photos around both closes the loop, and the frames of all chunks are adjusted at once (as in VGGT-Long, Deng et al.,
2025). A photo that two chunks predict gets the average, blended from one chunk to the other along the overlap.
Predictions are kept on disk, so memory does not grow with the number of photos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...model.arrays import Array, FloatArray
from ...model.errors import UserError
from ...model.similarity import IDENTITY, Similarity
from .. import rotations
from ..levenberg_marquardt import Options, levenberg_marquardt
from ..robust_losses import Cauchy
from ..view_prediction import ViewPrediction, robust_similarity

Predict = Callable[[Sequence[int]], Iterable[ViewPrediction]]
"""Indices of photos -> the network's predictions of them, in a frame and unit that these photos share.

They may come one by one, while the network sees the photos: then only one is in memory.
"""

Arrived = Callable[[int, int, ViewPrediction], bool]
"""A chunk's number, a photo's index and its prediction, as it comes -> whether to end the work with it."""

POINTS = 2000  # of a shared photo; where there are k times as many, every k-th is compared
FEWEST_POINTS = 10  # that two chunks must share
LEAST_AGREEMENT = 0.6  # share of points that must agree within TOLERANCE, or a loop is not used
TOLERANCE = 0.1  # of a point's depth
# Of the length of a loop's error (radians, units, logarithm of scale), so that a false loop counts little.
LOOP_LOSS = Cauchy(0.1)
CLOSING = Options("closing of loops", trials=30, tolerance=1e-12, first_damping=1e-6)
DERIVATIVE_STEP = 1e-6  # the step of the numerical derivatives
AROUND = 4  # a chunk that closes a loop: two photos that resemble each other, and so many on either side of each
LOOP_PHOTOS = 2 * (2 * AROUND + 1)  # of a chunk that closes a loop, at most


@dataclass(frozen=True)
class ChunkSettings:
    """A chunk has `size` photos; at least `overlap` of them are also in the next one."""

    size: int
    overlap: int


@dataclass(frozen=True)
class ChunkEdge:
    """The `measured` similarity: chunk `first`'s frame from chunk `second`'s. One from a `loop` may be wrong."""

    first: int
    second: int
    measured: Similarity
    loop: bool


def plan(count: int, settings: ChunkSettings) -> list[range]:
    """The chunks of `count` photos: as few as possible, all of the same size, evenly spaced."""
    if count <= settings.size:
        return [range(count)]
    number = -(-(count - settings.overlap) // (settings.size - settings.overlap))
    starts = np.linspace(0, count - settings.size, number).round().astype(int)
    return [range(start, start + settings.size) for start in starts]


class ChunkedViews:
    """The predictions of all photos in one frame; each is read from disk when it is accessed.

    `agreement` is the smallest ChunkAlignment.agreement of neighbouring chunks; 1 for a single chunk.
    """

    def __init__(self, store: _Store, chunks: list[range], frames: list[Similarity], agreement: float) -> None:
        self._store, self._chunks, self._frames = store, chunks, frames
        self.agreement = agreement

    def __len__(self) -> int:
        return self._chunks[-1].stop

    def __getitem__(self, index: int) -> ViewPrediction:
        """The prediction of the photo with this index."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        weighted_views = [
            (
                _blend_weight(index, chunk, self._chunks),
                self._store.read(number, index).transformed(self._frames[number]),
            )
            for number, chunk in enumerate(self._chunks)
            if index in chunk
        ]
        return _averaged(weighted_views)


def solve(
    count: int,
    predict: Predict,
    settings: ChunkSettings,
    folder: Path,
    loops: Sequence[tuple[int, int]] = (),
    report: Callable[[int, int], None] = lambda _done, _total: None,
    arrived: Arrived = lambda _chunk, _index, _view: False,
) -> ChunkedViews:
    """Predicts `count` photos chunk by chunk and brings them into the first chunk's frame and unit.

    The predictions are written to `folder`, which must exist while the result is used. `loops` are pairs of photos that
    may show the same place. `report(done, total)` counts photos and may raise. Where `arrived` ends the work early, the
    result is of the photos up to there, with loops left open. Raises UserError where two neighbouring chunks share
    fewer than FEWEST_POINTS.
    """
    chunks = plan(count, settings)
    store = _Store(folder)
    edges, agreement = [], 1.0
    done, total = 0, sum(map(len, chunks)) + len(loops) * LOOP_PHOTOS
    for number, chunk in enumerate(chunks):
        report(done, total)
        for position, (index, view) in enumerate(zip(chunk, predict(chunk), strict=True), 1):
            store.write(number, index, view)
            report(done + position, total)
            if ends_early := arrived(number, index, view):
                has_new = not number or index >= chunks[number - 1].stop  # photos that the chunk before it lacks
                chunks, loops = chunks[:number] + has_new * [range(chunk.start, index + 1)], []
                break
        if 0 < number < len(chunks):
            shared = [index for index in chunk if index in chunks[number - 1]]
            before = [store.read(number - 1, index) for index in shared]
            aligned = align([store.read(number, index) for index in shared], before)
            if aligned is None:
                raise UserError(
                    f"The photos around number {shared[0] + 1} show no surface by which the capture's parts could be "
                    "brought together; leave out photos of sky alone or of blur."
                )
            edges.append(ChunkEdge(number - 1, number, aligned.similarity, loop=False))
            agreement = min(agreement, aligned.agreement)
        if ends_early:
            break
        done += len(chunk)
    for first, second in loops:
        report(done, total)
        edges += _loop_edges(first, second, chunks, predict, store)
        done += LOOP_PHOTOS
    report(total, total)
    return ChunkedViews(store, chunks, adjusted(len(chunks), edges), agreement)


@dataclass(frozen=True)
class ChunkAlignment:
    """The `similarity` between two chunks' frames, and the `agreement`: the share of shared points that it brings
    within TOLERANCE of their depth."""

    similarity: Similarity
    agreement: float


def align(source: Sequence[ViewPrediction], target: Sequence[ViewPrediction]) -> ChunkAlignment | None:
    """The similarity that takes the frame of `source` to that of `target`, two predictions of the same photos in the
    same order; None where they share fewer than FEWEST_POINTS."""
    pairs = [_shared_points(a, b) for a, b in zip(source, target, strict=True)]
    from_points, to_points, depth, confidence = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    if len(from_points) < FEWEST_POINTS:
        return None
    similarity, distance = robust_similarity(from_points, to_points, confidence, depth)
    return ChunkAlignment(similarity, float((distance < TOLERANCE).mean()))


def adjusted(count: int, edges: Sequence[ChunkEdge]) -> list[Similarity]:
    """The first chunk's frame from each of `count` chunks' frames, as fits the edges best. A loop that the rest
    contradicts counts little (Cauchy's loss)."""
    frames = [IDENTITY]
    steps = {edge.second: edge.measured for edge in edges if not edge.loop}
    for number in range(1, count):
        frames.append(frames[-1].after(steps[number]))
    if not any(edge.loop for edge in edges):
        return frames
    unit = float(np.median([np.linalg.norm(edge.measured.translation) for edge in edges])) + 1e-9
    return levenberg_marquardt(
        frames, lambda frames: _cost(edges, frames, unit), lambda frames: _linearised(edges, frames, unit), CLOSING
    )[0]


def _cost(edges: Sequence[ChunkEdge], frames: Sequence[Similarity], unit: float) -> float:
    """Half the sum of the squared errors of the edges, those of loops under LOOP_LOSS."""
    lengths = np.array([np.linalg.norm(_error(edge, frames, unit)) for edge in edges])
    loops = np.array([edge.loop for edge in edges])
    return float(np.where(loops, LOOP_LOSS.cost(lengths), 0.5 * lengths**2).sum())


def _linearised(
    edges: Sequence[ChunkEdge], frames: Sequence[Similarity], unit: float
) -> Callable[[float], list[Similarity]]:
    """A function that maps a damping to the frames after a step. The first frame stays."""
    count = len(frames)
    normal, gradient = np.zeros((7 * count, 7 * count)), np.zeros(7 * count)
    for edge in edges:
        error = _error(edge, frames, unit)
        weight = float(LOOP_LOSS.weight(np.array(np.linalg.norm(error)))) if edge.loop else 1.0
        jacobian = _jacobian(edge, frames, unit, error)
        unknowns = np.r_[7 * edge.first : 7 * edge.first + 7, 7 * edge.second : 7 * edge.second + 7]
        normal[np.ix_(unknowns, unknowns)] += weight * jacobian.T @ jacobian
        gradient[unknowns] += weight * jacobian.T @ error
    normal, gradient = normal[7:, 7:], gradient[7:]

    def step(damping: float) -> list[Similarity]:
        damped = normal + damping * np.diag(np.diag(normal)) + 1e-9 * np.eye(len(normal))
        nudges = np.concatenate([np.zeros(7), np.linalg.solve(damped, -gradient)]).reshape(-1, 7)
        return [_nudged(frame, nudge, unit) for frame, nudge in zip(frames, nudges, strict=True)]

    return step


class _Store:
    """Predictions in the files of a folder, by chunk and photo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, chunk: int, index: int, view: ViewPrediction) -> None:
        arrays = (view.intrinsics, view.world_from_camera, view.depth, view.confidence)
        np.savez(self._folder / f"{chunk}-{index}.npz", *arrays)

    def read(self, chunk: int, index: int) -> ViewPrediction:
        with np.load(self._folder / f"{chunk}-{index}.npz") as file:
            return ViewPrediction(*(file[f"arr_{number}"] for number in range(4)))


def _loop_edges(first: int, second: int, chunks: Sequence[range], predict: Predict, store: _Store) -> list[ChunkEdge]:
    """The edge between the chunks of two photos that resemble each other, or none where the predictions around them
    disagree."""
    ends = []
    for index in (first, second):
        from_nearer_end = [min(index - chunk.start, chunk.stop - 1 - index) for chunk in chunks]
        number = int(np.argmax(from_nearer_end))
        chunk = chunks[number]
        ends.append((number, range(max(chunk.start, index - AROUND), min(chunk.stop, index + AROUND + 1))))
    (early, early_photos), (late, late_photos) = ends
    if early == late:
        return []
    views = list(predict([*early_photos, *late_photos]))
    to_early = align(views[: len(early_photos)], [store.read(early, index) for index in early_photos])
    to_late = align(views[len(early_photos) :], [store.read(late, index) for index in late_photos])
    if to_early is None or to_late is None:
        return []
    if min(to_early.agreement, to_late.agreement) < LEAST_AGREEMENT:
        return []
    return [ChunkEdge(early, late, to_early.similarity.after(to_late.similarity.inverse), loop=True)]


def _shared_points(source: ViewPrediction, target: ViewPrediction) -> tuple[Array, Array, Array, Array]:
    """Points of one photo in both frames (M, 3) each, their depth (M,) in the target's unit, and their confidence
    (M,)."""
    confidence = np.sqrt(source.confidence.astype(np.float64) * target.confidence)
    rows, columns = np.nonzero((confidence > 0) & (source.depth > 0) & (target.depth > 0))
    step = max(1, len(rows) // POINTS)
    rows, columns = rows[::step], columns[::step]
    depth = target.depth[rows, columns].astype(np.float64)
    return source.points(rows, columns), target.points(rows, columns), depth, confidence[rows, columns]


def _blend_weight(index: int, chunk: range, chunks: Sequence[range]) -> float:
    """The weight of a chunk's prediction of a photo: it falls towards those ends of the chunk that overlap another
    one."""
    from_start = index - chunk.start if chunk != chunks[0] else len(chunk)
    to_end = chunk.stop - 1 - index if chunk != chunks[-1] else len(chunk)
    return float(min(from_start, to_end, len(chunk)) + 1)


def _averaged(weighted_views: Sequence[tuple[float, ViewPrediction]]) -> ViewPrediction:
    """The weighted mean of several predictions of a photo in one frame. Depths are weighted by confidence too."""
    if len(weighted_views) == 1:
        return weighted_views[0][1]
    shares = np.array([weight for weight, _ in weighted_views]) / sum(weight for weight, _ in weighted_views)
    views = [view for _, view in weighted_views]
    pose = sum(share * view.world_from_camera for share, view in zip(shares, views, strict=True))
    pose[:3, :3] = rotations.nearest(pose[:3, :3])
    depths, confidences = (np.stack([getattr(view, name) for view in views]) for name in ("depth", "confidence"))
    usable = np.isfinite(depths) & np.isfinite(confidences)  # a pixel that one chunk lacks is the other's
    depths, confidences = np.where(usable, depths, 0), np.where(usable, confidences, 0)
    weights = shares[:, None, None] * confidences
    weights /= np.maximum(weights.sum(axis=0), 1e-12)
    return replace(
        views[0],
        intrinsics=sum(share * view.intrinsics for share, view in zip(shares, views, strict=True)),
        world_from_camera=pose,
        depth=(weights * depths).sum(axis=0).astype(np.float32),
        confidence=confidences.max(axis=0),
    )


def _error(edge: ChunkEdge, frames: Sequence[Similarity], unit: float) -> FloatArray:
    """(7,) the deviation of the frames from the edge's measurement: a rotation vector in radians, the translation over
    `unit` and scale, the logarithm of scale."""
    off = edge.measured.inverse.after(frames[edge.first].inverse.after(frames[edge.second]))
    return np.concatenate(
        [rotations.to_vectors(off.rotation), off.translation / (unit * off.scale), [np.log(off.scale)]]
    )


def _jacobian(edge: ChunkEdge, frames: Sequence[Similarity], unit: float, error: FloatArray) -> FloatArray:
    """(7, 14) derivatives of the error by small steps of both frames, see `_nudged`, by finite differences."""
    columns = []
    for number in (edge.first, edge.second):
        for nudge in DERIVATIVE_STEP * np.eye(7):
            nudged = list(frames)
            nudged[number] = _nudged(frames[number], nudge, unit)
            columns.append((_error(edge, nudged, unit) - error) / DERIVATIVE_STEP)
    return np.stack(columns, axis=1)


def _nudged(frame: Similarity, step: FloatArray, unit: float) -> Similarity:
    """`frame` composed with a small similarity `step` (7,) of its source: rotation vector, translation in `unit`,
    logarithm of scale."""
    return frame.after(Similarity(float(np.exp(step[6])), rotations.from_vectors(step[:3]), step[3:6] * unit))
