"""The store gives back what was put in, and the oracle's answers are about the world that it knows. [R]"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.pairs.pairs import Matches, PairStore

SIZE = (24, 32)


def test_store_returns_each_side_to_half_precision(tmp_path: Path) -> None:
    views = oracle.orbit(3, SIZE)
    answers = [oracle.Oracle(views).predict(*pair) for pair in ((0, 1), (1, 0), (2, 0))]
    # Units of a thousandth of a millimetre and of a thousand kilometres: neither fits half precision as it is.
    answers[1] = replace(
        answers[1], points_first=answers[1].points_first * 1e6, points_second=answers[1].points_second * 1e6
    )
    answers[2] = replace(
        answers[2], points_first=answers[2].points_first * 1e-6, points_second=answers[2].points_second * 1e-6
    )
    store = PairStore(tmp_path)
    for answer in answers:
        store.add(answer)
    assert store.sides(0) == [(0, 0), (1, 1), (2, 1)]
    for index, (answer, back) in enumerate(zip(answers, store, strict=True)):
        assert (back.first, back.second) == (answer.first, answer.second)
        size = np.abs(answer.points_first).max()
        assert np.abs(back.points_first - answer.points_first).max() < 1e-3 * size
        assert np.abs(back.confidence_second / answer.confidence_second - 1).max() < 1e-3
        np.testing.assert_array_equal(store.read(index, 1).points, back.points_second)
        np.testing.assert_array_equal(store.confidence(index, 0), back.confidence_first)
        np.testing.assert_array_equal(store.confidence(index, 1), back.confidence_second)


def test_store_keeps_what_is_not_finite(tmp_path: Path) -> None:
    answer = oracle.Oracle(oracle.orbit(2, SIZE)).predict(0, 1)
    answer.points_first[3, 4] = np.nan
    store = PairStore(tmp_path)
    store.add(answer)
    broken = ~np.isfinite(store.read(0, 0).points).all(-1)
    assert np.argwhere(broken).tolist() == [[3, 4]]


def test_oracle_without_errors_is_the_truth() -> None:
    views = oracle.orbit(12, SIZE)
    answer = oracle.Oracle(views, oracle.Errors(scale=0)).predict(0, 1)
    np.testing.assert_allclose(answer.points_first, views[0].camera_points, rtol=1e-5)
    world = answer.points_second @ views[0].world_from_camera[:3, :3].T + views[0].world_from_camera[:3, 3]
    np.testing.assert_allclose(world, views[1].points, atol=1e-4)


def test_oracle_is_sure_of_what_both_see_and_not_of_strangers() -> None:
    views = oracle.orbit(12, SIZE)
    near = oracle.Oracle(views).predict(0, 1)
    back = oracle.view(oracle.look_at((0, 0, -4), (0, 0, -5)), SIZE)
    far = oracle.Oracle([views[0], back]).predict(0, 1)
    shared = oracle.overlap(views[0], views[1]).astype(bool)
    assert shared.mean() > 0.5
    assert near.confidence_second[shared].mean() > 1.5 * near.confidence_second[~shared].mean()
    assert far.confidence_second.max() < 1.5


def test_wrong_pairs_are_wrong_both_ways_alike() -> None:
    views = oracle.orbit(4, SIZE)
    liar = oracle.Oracle(views, oracle.Errors(wrong=1.0, scale=0))
    there, back = liar.predict(0, 1), liar.predict(1, 0)
    # (1, 0) tells camera 1's points in its own frame, (0, 1) tells them in camera 0's: `motion` leads there, wrongly.
    # Undone, it must bring camera 0's own points to where (1, 0) tells them.
    ones = np.concatenate([back.points_first.reshape(-1, 3), np.ones((np.prod(SIZE), 1))], 1)
    motion = np.linalg.lstsq(ones, there.points_second.reshape(-1, 3), rcond=None)[0].T
    truth = (np.linalg.inv(views[0].world_from_camera) @ views[1].world_from_camera)[:3]
    assert np.abs(motion - truth).max() > 0.5
    first = there.points_first.reshape(-1, 3)
    undone = (first - motion[:, 3]) @ motion[:, :3]
    np.testing.assert_allclose(undone, back.points_second.reshape(-1, 3), atol=1e-3)


@pytest.mark.parametrize("pixels", [0.0, 0.5])
def test_matches_show_the_same_point(pixels: float) -> None:
    views = oracle.orbit(12, (96, 128))
    actual = oracle.Oracle(views, oracle.Errors(pixels=pixels)).matches(0, 1)
    column, row = np.floor(actual.pixels_first).astype(int).T
    camera = np.linalg.inv(views[1].world_from_camera)
    local = views[0].points[row, column] @ camera[:3, :3].T + camera[:3, 3]
    there = (local @ views[1].intrinsics.T)[:, :2] / local[:, 2:]
    assert len(actual.confidence) > 100
    assert np.std(actual.pixels_second - there) == pytest.approx(pixels, abs=0.1)


def test_feed_forward_is_off_by_what_was_asked_and_repeats() -> None:
    views = oracle.walk(200, (12, 16))
    answers = oracle.feed_forward(views, rotation=1.5, focal=0.03)
    again = oracle.feed_forward(views, rotation=1.5, focal=0.03)
    assert all((a.depth == b.depth).all() for a, b in zip(answers, again, strict=True))
    start = views[0].world_from_camera[:3, :3]
    angles = []
    for truth, answer in zip(views, answers, strict=True):
        off = truth.world_from_camera[:3, :3].T @ start @ answer.world_from_camera[:3, :3]
        angles.append(np.degrees(np.arccos(np.clip((np.trace(off) - 1) / 2, -1, 1))))
    assert 1.0 < np.mean(angles) < 2.0
    focals = [answer.intrinsics[0, 0] / truth.focal for truth, answer in zip(views, answers, strict=True)]
    assert np.std(np.log(focals)) == pytest.approx(0.03, abs=0.006)


def test_fewer_matches_are_evenly_chosen() -> None:
    columns = np.arange(100.0)
    matches = Matches(1, 2, np.stack([columns, columns + 1], 1), np.stack([columns, columns + 2], 1), columns + 3)
    few = matches.thinned(12)
    assert len(few.confidence) == 12
    assert (few.first, few.second, few.pixels_first[0, 0], few.pixels_first[-1, 0]) == (1, 2, 0, 99)
    assert set(np.diff(few.pixels_first[:, 0])) <= {8, 9, 10}
    np.testing.assert_array_equal(few.pixels_second[:, 1], few.pixels_first[:, 0] + 2)
    np.testing.assert_array_equal(few.confidence, few.pixels_first[:, 0] + 3)
    assert len(matches.thinned(1000).confidence) == 100
    assert len(few.thinned(0).confidence) == 0
