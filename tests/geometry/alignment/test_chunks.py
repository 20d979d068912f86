"""Long captures in chunks come out as one world.

An oracle predicts each chunk in a frame and unit of its own, with drift.
"""

import itertools
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.alignment import chunks
from threer_blender.geometry.features import retrieval
from threer_blender.geometry.view_prediction import ViewPrediction
from threer_blender.model.arrays import Array
from threer_blender.model.errors import UserError
from threer_blender.model.similarity import Similarity, procrustes

SETTINGS = chunks.ChunkSettings(size=60, overlap=15)


class Capture:
    """A camera carried twice around the room, and the oracle that answers about its frames."""

    def __init__(self, count: int, outliers: float = 0.0) -> None:
        self.truth = oracle.walk(count, (24, 32), laps=2)
        self.outliers = outliers
        self.asked: list[int] = []

    def predict(self, indices: Sequence[int]) -> list[ViewPrediction]:
        self.asked.append(len(indices))
        views = [self.truth[index] for index in indices]
        answers = oracle.feed_forward(views, rotation=0.5, focal=0.01, drift=0.002, noise=0.02, seed=indices[0])
        random = np.random.default_rng(indices[0])
        predictions = []
        for answer in answers:
            wild = random.random(answer.depth.shape) < self.outliers
            depth = np.where(wild, 3 * answer.depth, answer.depth).astype(np.float32)
            confidence = answer.confidence.astype(np.float32)
            predictions.append(ViewPrediction(answer.intrinsics, answer.world_from_camera, depth, confidence))
        return predictions

    def loops(self) -> list[tuple[int, int]]:
        return retrieval.revisits(alike(self.truth), least_gap=2 * SETTINGS.size)

    def errors(self, solution: Iterable[ViewPrediction]) -> Array:
        """(N,) distances of the cameras from the truth after the best similarity; the room is 10 wide."""
        actual = np.stack([view.world_from_camera[:3, 3] for view in solution])
        truth = np.stack([view.world_from_camera[:3, 3] for view in self.truth])
        return np.linalg.norm(procrustes(actual, truth, np.ones(len(truth))).apply(actual) - truth, axis=1)


def alike(views: list[oracle.View]) -> Array:
    """(N, N) correlation of small grey pictures."""
    small = np.stack([view.image.reshape(6, 4, 8, 4, 3).mean(axis=(1, 3, 4)).ravel() for view in views])
    values = small - small.mean(axis=1, keepdims=True)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return values @ values.T


def each(solution: chunks.ChunkedViews) -> Iterator[ViewPrediction]:
    """The predictions of all photos, one at a time."""
    return (solution[index] for index in range(len(solution)))


def peak(count: int, folder: Path) -> int:
    """The most bytes of memory that solving and reading a capture of `count` photos take at a time."""
    capture = Capture(count)
    loops = capture.loops()
    tracemalloc.start()
    try:
        solution = chunks.solve(count, capture.predict, SETTINGS, folder, loops)
        for _ in each(solution):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_plan_covers_every_photo_and_overlaps() -> None:
    for count in (1, 59, 60, 61, 107, 1000):
        plan = chunks.plan(count, SETTINGS)
        assert plan[0].start == 0
        assert plan[-1].stop == count
        assert max(map(len, plan)) <= SETTINGS.size
        for first, second in itertools.pairwise(plan):
            assert first.stop - second.start >= SETTINGS.overlap


def test_a_pixel_that_one_chunk_lacks_comes_from_the_other(tmp_path: Path) -> None:
    capture = Capture(100)

    def predict(indices: Sequence[int]) -> list[ViewPrediction]:
        predictions = capture.predict(indices)
        if indices[0] > 0:  # the second chunk fails in a corner
            for prediction in predictions:
                prediction.depth[:4, :4] = np.nan
        return predictions

    solution = chunks.solve(100, predict, SETTINGS, tmp_path)
    shared = solution[50]
    assert np.isfinite(shared.depth).all()
    assert np.isfinite(shared.confidence).all()
    ratio = shared.depth / capture.truth[50].depth
    assert np.median(ratio[:4, :4]) == pytest.approx(np.median(ratio), rel=0.05)


def test_four_hundred_frames_come_out_as_one(tmp_path: Path) -> None:
    capture = Capture(400, outliers=0.1)
    loops = capture.loops()
    solution = chunks.solve(400, capture.predict, SETTINGS, tmp_path, loops)
    assert loops
    assert max(capture.asked) <= SETTINGS.size
    assert 0.6 < solution.agreement < 1
    views = list(each(solution))
    assert len(views) == 400
    error = capture.errors(views)
    assert np.sqrt((error**2).mean()) < 0.08  # of a way of 27 around a room of 10
    # No seam shows: steps from frame to frame and depths have the same scale, compared with the truth, all along.
    places = np.stack([view.world_from_camera[:3, 3] for view in views])
    truth = np.stack([view.world_from_camera[:3, 3] for view in capture.truth])
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1) / np.linalg.norm(np.diff(truth, axis=0), axis=1)
    assert np.abs(steps / np.median(steps) - 1).max() < 0.35
    scale = np.array([np.median(v.depth / t.depth) for v, t in zip(views, capture.truth, strict=True)])
    leaps = np.abs(np.diff(np.log(scale)))  # a frame's own noise makes some everywhere
    shared = np.zeros(399, bool)
    for first, second in itertools.pairwise(chunks.plan(400, SETTINGS)):
        shared[second.start - 1 : first.stop] = True
    assert leaps[shared].max() < 1.2 * leaps[~shared].max()
    assert np.abs(scale / np.median(scale) - 1).max() < 0.08


def test_closing_loops_straightens_a_long_capture(tmp_path: Path) -> None:
    capture = Capture(360)
    (tmp_path / "open").mkdir()
    (tmp_path / "closed").mkdir()
    left_open = chunks.solve(360, capture.predict, SETTINGS, tmp_path / "open")
    closed = chunks.solve(360, capture.predict, SETTINGS, tmp_path / "closed", capture.loops())
    assert (capture.errors(each(closed)) ** 2).mean() < 0.7 * (capture.errors(each(left_open)) ** 2).mean()


def test_a_false_loop_is_not_believed() -> None:
    steps = [
        chunks.ChunkEdge(n, n + 1, Similarity(1.0, np.eye(3), np.array([1.0, 0, 0])), loop=False) for n in range(4)
    ]
    false = chunks.ChunkEdge(0, 4, Similarity(2.0, np.diag([1.0, -1.0, -1.0]), np.array([9.0, 0.0, 0.0])), loop=True)
    assert np.linalg.norm(chunks.adjusted(5, [*steps, false])[4].translation - (4, 0, 0)) < 0.1
    true = chunks.ChunkEdge(0, 4, Similarity(1.0, np.eye(3), np.array([4.2, 0.0, 0.0])), loop=True)
    # The loop is 0.2 longer than the steps. Each of the five edges takes a fifth of that; four lead to the last chunk.
    assert chunks.adjusted(5, [*steps, true])[4].translation[0] == pytest.approx(4.16, abs=0.05)


class Jumbled(Capture):
    """A Capture whose photos are out of order. Photos that no overlap connects to a chunk's first have wrong poses."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.truth = oracle.walk(count, (24, 32))
        mixed = np.random.default_rng(1).permutation(count)
        self.truth = [self.truth[index] for index in mixed]
        self.order = list(range(count))

    def predict(self, indices: Sequence[int]) -> list[ViewPrediction]:
        taken = [self.order[index] for index in indices]
        predictions = dict(zip(taken, super().predict(taken), strict=True))
        reached, lone = [taken[0]], set(taken[1:])
        for one in reached:
            overlapping = {other for other in lone if oracle.overlap(self.truth[one], self.truth[other]).mean() > 0.3}
            reached += sorted(overlapping)
            lone -= overlapping
        for index in lone:
            lost = Similarity(1.5, oracle.look_at((0, 0, 0), (1, 2, 3))[:3, :3], np.array([5.0, -3, index]))
            predictions[index] = predictions[index].transformed(lost)
        return [predictions[index] for index in taken]

    def in_this_order(self, solution: chunks.ChunkedViews) -> list[ViewPrediction]:
        """The predictions in the order of `truth`, where the solution is in that of `order`."""
        return [solution[index] for index in np.argsort(self.order)]


def test_photos_out_of_order_are_sorted_by_similarity(tmp_path: Path) -> None:
    capture = Jumbled(80)
    (tmp_path / "jumbled").mkdir()
    (tmp_path / "sorted").mkdir()
    settings = chunks.ChunkSettings(size=24, overlap=6)
    jumbled = chunks.solve(80, capture.predict, settings, tmp_path / "jumbled")
    assert capture.errors(capture.in_this_order(jumbled)).max() > 1
    assert jumbled.agreement < 0.5
    shared = np.array([[oracle.overlap(a, b).mean() for b in capture.truth] for a in capture.truth])
    capture.order = retrieval.in_order(np.minimum(shared, shared.T))
    actual = chunks.solve(80, capture.predict, settings, tmp_path / "sorted")
    assert capture.errors(capture.in_this_order(actual)).max() < 0.4  # of a room of 10
    assert actual.agreement > 0.8


def test_parts_that_share_nothing_but_sky_are_refused(tmp_path: Path) -> None:
    capture = Capture(90)

    def predict(indices: Sequence[int]) -> list[ViewPrediction]:
        prediction = capture.predict(indices)
        return [
            replace(s, confidence=0 * s.confidence) if 25 < i < 65 else s
            for i, s in zip(indices, prediction, strict=True)
        ]

    with pytest.raises(UserError, match=r"photos around number 31 show no surface"):
        chunks.solve(90, predict, SETTINGS, tmp_path)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """The least of two runs counts: garbage of earlier tests and other threads add to a run's peak."""
    peaks = {}
    for count in (120, 240):
        folders = [tmp_path / f"{count} {run}" for run in range(2)]
        for folder in folders:
            folder.mkdir()
        peaks[count] = min(peak(count, folder) for folder in folders)
    assert peaks[240] < 1.1 * peaks[120]


@pytest.mark.parametrize("last", [0, 12, 20, 30, 47])
def test_work_that_ends_early_gives_the_photos_up_to_there(last: int, tmp_path: Path) -> None:
    """Chunks are 0 to 23, 12 to 35 and 24 to 47. Photo 20 arrives twice, and the work ends at the second time."""
    settings = chunks.ChunkSettings(size=24, overlap=12)
    capture = Capture(48)
    arrivals: list[tuple[int, int]] = []

    def arrived(chunk: int, index: int, _view: ViewPrediction) -> bool:
        arrivals.append((chunk, index))
        return index == last and (last != 20 or chunk == 1)

    solution = chunks.solve(48, capture.predict, settings, tmp_path, [(0, 47)], arrived=arrived)
    assert arrivals[-1][1] == last
    assert len(solution) == (24 if last == 20 else last + 1)
    if len(solution) > 2:
        capture.truth = capture.truth[: len(solution)]
        assert capture.errors(list(each(solution))).max() < 0.3
    with pytest.raises(IndexError):
        solution[len(solution)]
