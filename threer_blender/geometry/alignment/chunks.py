"""[R] Captures longer than a network takes at once: overlapping chunks, each in a frame of its own, made one.

Chunks follow the photos' order. Neighbours share photos; a robust similarity takes one's points of these to the
other's. Where a photo looks like a much earlier one, a chunk of both surroundings closes the loop, and all chunks'
frames are adjusted at once (as VGGT-Long does, Deng et al., 2025). Every photo comes out once: what two chunks say of
it is averaged by confidence, from one chunk's say to the other's along the overlap. Predictions wait on disk, so memory
does not grow with the number of photos.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...model.errors import UserError
from ...model.reconstruction import Array, FloatArray
from ..poses import Similarity
from .view_prediction import ViewPrediction, robust_similarity

Predict = Callable[[Sequence[int]], Sequence[ViewPrediction]]
"""Indices of photos -> what the network says of them, in a frame and unit that these photos share."""

POINTS = 2000  # of a shared photo, are compared
FEWEST_POINTS = 10  # that two chunks must share
LEAST_AGREEMENT = 0.6  # share of points within TOLERANCE of their depth, for a loop to be believed
TOLERANCE = 0.1
AROUND = 4  # photos on either side of a lookalike that a loop's chunk has
IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))


@dataclass(frozen=True)
class Settings:
    """`size` photos are in a chunk, `overlap` of them also in the next one."""

    size: int
    overlap: int


@dataclass(frozen=True)
class Edge:
    """Chunk `first`'s frame from chunk `second`'s, as measured. A `loop` may be wrong."""

    first: int
    second: int
    measured: Similarity
    loop: bool


def plan(count: int, settings: Settings) -> list[range]:
    """The chunks of `count` photos: as few as there can be, of about the same size."""
    if count <= settings.size:
        return [range(count)]
    number = -(-(count - settings.overlap) // (settings.size - settings.overlap))
    starts = np.linspace(0, count - settings.size, number).round().astype(int)
    return [range(start, start + settings.size) for start in starts]


class Solution:
    """All photos in one frame; each is read from disk when it is asked for.

    `agreement`: of the points that neighbouring chunks share, the least share that agrees, see Alignment; 1 for one
    chunk.
    """

    def __init__(self, store: _Store, chunks: list[range], frames: list[Similarity], agreement: float) -> None:
        self._store, self._chunks, self._frames = store, chunks, frames
        self.agreement = agreement

    def __len__(self) -> int:
        return self._chunks[-1].stop

    def __getitem__(self, index: int) -> ViewPrediction:
        """The prediction of the photo at this place in the order."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        said = [
            (_say(index, chunk, self._chunks), self._store.read(number, index).moved(self._frames[number]))
            for number, chunk in enumerate(self._chunks)
            if index in chunk
        ]
        return _averaged(said)


def solve(
    count: int,
    predict: Predict,
    settings: Settings,
    folder: Path,
    loops: Sequence[tuple[int, int]] = (),
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Solution:
    """Predict `count` photos chunk by chunk and bring them into the first chunk's frame and unit.

    `folder` takes the predictions; `loops` are pairs of photos that may show the same place. `report` is told photos
    done and photos in all. Raises UserError where the photos that two chunks share show nothing.
    """
    chunks = plan(count, settings)
    store = _Store(folder)
    edges, agreement = [], 1.0
    done, total = 0, sum(map(len, chunks)) + len(loops) * 2 * (2 * AROUND + 1)
    for number, chunk in enumerate(chunks):
        report(done, total)
        for index, view in zip(chunk, predict(chunk), strict=True):
            store.write(number, index, view)
        if number:
            shared = [index for index in chunk if index in chunks[number - 1]]
            before = [store.read(number - 1, index) for index in shared]
            aligned = align([store.read(number, index) for index in shared], before)
            if aligned is None:
                raise UserError(
                    f"The photos around number {shared[0] + 1} show no surface by which the capture's parts could be "
                    "brought together; leave out photos of sky alone or of blur."
                )
            edges.append(Edge(number - 1, number, aligned.similarity, loop=False))
            agreement = min(agreement, aligned.agreement)
        done += len(chunk)
    for first, second in loops:
        report(done, total)
        edges += _closed(first, second, chunks, predict, store)
        done += 2 * (2 * AROUND + 1)
    report(total, total)
    return Solution(store, chunks, adjusted(len(chunks), edges), agreement)


@dataclass(frozen=True)
class Alignment:
    """`similarity` takes the second frame's points to the first's; `agreement` is the share of points that then lie
    within TOLERANCE of their depth."""

    similarity: Similarity
    agreement: float


def align(source: Sequence[ViewPrediction], target: Sequence[ViewPrediction]) -> Alignment | None:
    """The similarity that takes the frame of `source` to that of `target`, two predictions of the same photos; None
    where they have hardly a point."""
    pairs = [_pair(a, b) for a, b in zip(source, target, strict=True)]
    from_, to, depth, sure = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    if len(from_) < FEWEST_POINTS:
        return None
    similarity, distance = robust_similarity(from_, to, sure, depth)
    return Alignment(similarity, float((distance < TOLERANCE).mean()))


def adjusted(count: int, edges: Sequence[Edge]) -> list[Similarity]:
    """The first chunk's frame from each of `count` chunks': Gauss-Newton on the edges, loops weighed down where they
    disagree with the rest (Cauchy)."""
    frames = [IDENTITY]
    steps = {edge.second: edge.measured for edge in edges if not edge.loop}
    for number in range(1, count):
        frames.append(_after(frames[-1], steps[number]))
    if not any(edge.loop for edge in edges):
        return frames
    unit = np.median([np.linalg.norm(edge.measured.translation) for edge in edges]) + 1e-9
    for _ in range(30):
        normal, gradient = np.zeros((7 * count, 7 * count)), np.zeros(7 * count)
        for edge in edges:
            error = _error(edge, frames[edge.first], frames[edge.second], unit)
            weight = 1 / (1 + (error @ error) / 0.1**2) if edge.loop else 1.0
            jacobian = _jacobian(edge, frames[edge.first], frames[edge.second], unit, error)
            places = np.r_[7 * edge.first : 7 * edge.first + 7, 7 * edge.second : 7 * edge.second + 7]
            normal[np.ix_(places, places)] += weight * jacobian.T @ jacobian
            gradient[places] += weight * jacobian.T @ error
        step = np.zeros(7 * count)
        step[7:] = np.linalg.solve(normal[7:, 7:] + 1e-9 * np.eye(7 * count - 7), -gradient[7:])
        frames = [_nudged(frame, step[7 * i : 7 * i + 7], unit) for i, frame in enumerate(frames)]
        if np.abs(step).max() < 1e-8:
            break
    return frames


class _Store:
    """Predictions on disk, by chunk and photo."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, chunk: int, index: int, view: ViewPrediction) -> None:
        arrays = (view.intrinsics, view.world_from_camera, view.depth, view.confidence)
        np.savez(self._folder / f"{chunk}-{index}.npz", *arrays)

    def read(self, chunk: int, index: int) -> ViewPrediction:
        with np.load(self._folder / f"{chunk}-{index}.npz") as file:
            return ViewPrediction(*(file[f"arr_{number}"] for number in range(4)))


def _closed(first: int, second: int, chunks: Sequence[range], predict: Predict, store: _Store) -> list[Edge]:
    """The edge between the chunks of two photos that look alike, or none where their surroundings do not agree."""
    ends = []
    for index in (first, second):
        inner = [min(index - chunk.start, chunk.stop - 1 - index) for chunk in chunks]
        number = int(np.argmax(inner))
        chunk = chunks[number]
        ends.append((number, range(max(chunk.start, index - AROUND), min(chunk.stop, index + AROUND + 1))))
    (early, before), (late, after) = ends
    if early == late:
        return []
    views = predict([*before, *after])
    to_early = align(views[: len(before)], [store.read(early, index) for index in before])
    to_late = align(views[len(before) :], [store.read(late, index) for index in after])
    if to_early is None or to_late is None:
        return []
    if min(to_early.agreement, to_late.agreement) < LEAST_AGREEMENT:
        return []
    return [Edge(early, late, _after(to_early.similarity, to_late.similarity.inverse), loop=True)]


def _pair(source: ViewPrediction, target: ViewPrediction) -> tuple[Array, Array, Array, Array]:
    """Points of one photo in two frames (M, 3) each, their depth in the second, and how sure both are."""
    sure = np.sqrt(source.confidence.astype(np.float64) * target.confidence)
    rows, columns = np.nonzero((sure > 0) & (source.depth > 0) & (target.depth > 0))
    step = max(1, len(rows) // POINTS)
    rows, columns = rows[::step], columns[::step]
    depth = target.depth[rows, columns].astype(np.float64)
    return source.points(rows, columns), target.points(rows, columns), depth, sure[rows, columns]


def _say(index: int, chunk: range, chunks: Sequence[range]) -> float:
    """How much a chunk has to say about a photo: less towards its ends where it overlaps others."""
    inner = min(index - chunk.start if chunk != chunks[0] else len(chunk), len(chunk))
    outer = min(chunk.stop - 1 - index if chunk != chunks[-1] else len(chunk), len(chunk))
    return float(min(inner, outer) + 1)


def _averaged(said: Sequence[tuple[float, ViewPrediction]]) -> ViewPrediction:
    """One prediction of several, in one frame, with a weight each; depths also by confidence."""
    if len(said) == 1:
        return said[0][1]
    shares = np.array([weight for weight, _ in said]) / sum(weight for weight, _ in said)
    views = [view for _, view in said]
    left, _, right = np.linalg.svd(
        sum(share * view.world_from_camera[:3, :3] for share, view in zip(shares, views, strict=True))
    )
    pose = np.eye(4)
    pose[:3, :3] = left @ np.diag([1, 1, np.linalg.det(left @ right)]) @ right
    pose[:3, 3] = sum(share * view.world_from_camera[:3, 3] for share, view in zip(shares, views, strict=True))
    weights = np.stack([share * view.confidence for share, view in zip(shares, views, strict=True)])
    weights /= np.maximum(weights.sum(axis=0), 1e-12)
    depth = (weights * np.stack([view.depth for view in views])).sum(axis=0)
    return replace(
        views[0],
        intrinsics=sum(share * view.intrinsics for share, view in zip(shares, views, strict=True)),
        world_from_camera=pose,
        depth=depth.astype(np.float32),
        confidence=np.max([view.confidence for view in views], axis=0),
    )


def _after(outer: Similarity, inner: Similarity) -> Similarity:
    """First `inner`, then `outer`."""
    return Similarity(outer.scale * inner.scale, outer.rotation @ inner.rotation, outer.apply(inner.translation))


def _error(edge: Edge, first: Similarity, second: Similarity, unit: float) -> FloatArray:
    """(7,) what the edge's measure misses: turn in radians, shift in `unit`, logarithm of scale."""
    off = _after(edge.measured.inverse, _after(first.inverse, second))
    return np.concatenate([_turn(off.rotation), off.translation / (unit * off.scale), [np.log(off.scale)]])


def _jacobian(edge: Edge, first: Similarity, second: Similarity, unit: float, error: FloatArray) -> FloatArray:
    """(7, 14) derivatives of the error by both frames' nudges, by differences."""
    columns = []
    small = 1e-6
    for side in (0, 1):
        for axis in range(7):
            nudge = small * np.eye(7)[axis]
            ends = [first, second]
            ends[side] = _nudged(ends[side], nudge, unit)
            columns.append((_error(edge, ends[0], ends[1], unit) - error) / small)
    return np.stack(columns, axis=1)


def _nudged(frame: Similarity, step: FloatArray, unit: float) -> Similarity:
    """`frame` after a small similarity: turn, shift in `unit`, logarithm of scale."""
    return _after(frame, Similarity(float(np.exp(step[6])), _rotation(step[:3]), step[3:6] * unit))


def _rotation(vector: FloatArray) -> FloatArray:
    """(3, 3) from a rotation vector (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / max(angle, 1e-12)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation


def _turn(rotation: FloatArray) -> FloatArray:
    """Rotation vector of (3, 3)."""
    sines = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    size = float(np.linalg.norm(sines))
    angle = float(np.arctan2(size, np.trace(rotation) - 1))
    return sines * (angle / size if size > 1e-12 else 0.5)
