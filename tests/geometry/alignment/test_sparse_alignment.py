"""Sparse alignment of an oracle's predictions and matches returns the known cameras, and says so where it cannot."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests import oracle
from threer_blender.geometry import rotations, similarities
from threer_blender.geometry.alignment import sparse_alignment, synchronisation
from threer_blender.geometry.alignment.global_alignment import Alignment
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import Matches, PairPrediction, PairStore
from threer_blender.geometry.similarities import Similarities
from threer_blender.model.errors import UserError

Float = NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]
NETWORK = oracle.Errors(noise=0.03, outliers=0.02, pixels=0.4, false_matches=0.1)


def both(pairs: Pairs) -> list[tuple[int, int]]:
    return [ordered for i, j in pairs for ordered in ((i, j), (j, i))]


def solve(
    folder: Path,
    views: list[oracle.View],
    errors: oracle.Errors = NETWORK,
    pairs: Pairs | None = None,
    focals: Sequence[float | None] | None = None,
) -> Alignment:
    answers = oracle.Oracle(views, errors)
    ordered = both(scene_graph.complete(len(views)) if pairs is None else pairs)
    predictions = [(answers.predict(*pair), answers.matches(*pair)) for pair in ordered]
    return align(folder, len(views), predictions, focals)


def align(
    folder: Path,
    count: int,
    predictions: Sequence[tuple[PairPrediction, Matches]],
    focals: Sequence[float | None] | None = None,
) -> Alignment:
    store = PairStore(folder)
    for prediction, _ in predictions:
        store.add(prediction)
    matches = [matched for _, matched in predictions]
    return sparse_alignment.align(store, count, focals or [None] * count, matches=matches, lenses=[0] * count)


def rotation_errors(actual: Alignment, views: Sequence[oracle.View]) -> Float:
    """Degrees by which the relative rotations of all pairs of registered photos are off."""
    ours = np.array([view.world_from_camera[:3, :3] for view in actual.views])
    true = np.array([views[view.photo].world_from_camera[:3, :3] for view in actual.views])
    i, j = np.triu_indices(len(ours), 1)
    return np.degrees(
        rotations.angles(
            ours[i].transpose(0, 2, 1) @ ours[j] @ (true[i].transpose(0, 2, 1) @ true[j]).transpose(0, 2, 1)
        )
    )


def position_error(actual: Alignment, views: Sequence[oracle.View]) -> float:
    """The largest distance of a camera from its true place, after the best similarity, over the cameras' extent."""
    ours = np.array([view.world_from_camera[:3, 3] for view in actual.views])
    true = np.array([views[view.photo].world_from_camera[:3, 3] for view in actual.views])
    moved = similarities.fit(ours[None], true[None], np.ones((1, len(ours)))).apply(ours[None])[0]
    return float(np.linalg.norm(moved - true, axis=1).max() / np.ptp(true, axis=0).max())


def test_exact_answers_give_exact_cameras(tmp_path: Path) -> None:
    views = oracle.orbit(6, (96, 128), degrees=130)
    actual = solve(tmp_path, views, oracle.Errors())
    assert rotation_errors(actual, views).max() < 0.1
    assert position_error(actual, views) < 0.002
    for view in actual.views:
        assert view.focal == pytest.approx(views[view.photo].focal, rel=0.003)
        assert view.reprojection_error is not None
        assert view.reprojection_error < 0.05
    unit = actual.views[0].depth / views[0].depth
    assert np.ptp(unit) < 0.01 * unit.mean()


def test_a_networks_answers(tmp_path: Path) -> None:
    views = oracle.orbit(8, degrees=170)
    actual = solve(tmp_path, views)
    assert len(actual.views) == 8
    assert rotation_errors(actual, views).max() < 1
    assert position_error(actual, views) < 0.03
    assert actual.views[0].focal == pytest.approx(views[0].focal, rel=0.02)


def test_false_matches_of_low_confidence_do_not_lower_accuracy(tmp_path: Path) -> None:
    views = oracle.orbit(6, (72, 96), degrees=130)
    actual = solve(tmp_path, views, oracle.Errors(noise=0.03, pixels=0.2, false_matches=0.4))
    assert rotation_errors(actual, views).max() < 0.2
    assert position_error(actual, views) < 0.001


def test_confidence_far_from_even_loses_no_photo(tmp_path: Path) -> None:
    """Confidence spans orders of magnitude, as exp(c) can. It does not tell which matches are false."""
    views = oracle.orbit(6, (72, 96), degrees=130)
    answers = oracle.Oracle(views, oracle.Errors(noise=0.03, pixels=0.2, false_matches=0.4))
    random = np.random.default_rng(0)
    predictions = []
    for pair in both(scene_graph.complete(6)):
        matched = answers.matches(*pair)
        wild = np.exp(2 * random.standard_normal(len(matched.confidence)))
        predictions.append((answers.predict(*pair), replace(matched, confidence=wild)))
    actual = align(tmp_path, 6, predictions)
    assert len(actual.views) == 6
    assert rotation_errors(actual, views).max() < 0.5
    assert position_error(actual, views) < 0.003


def test_the_coarse_stage_minimises_its_objective() -> None:
    """Matching points differ by noise. No similarities nearby of the same mean scale have a lower `cost`."""
    random = np.random.default_rng(0)
    ends = np.array([(0, 1), (1, 2), (0, 2), (2, 3), (1, 3)])
    true = Similarities(
        np.exp(0.2 * random.standard_normal(4)),
        rotations.from_vectors(0.5 * random.standard_normal((4, 3))),
        random.standard_normal((4, 3)),
    )
    world = random.standard_normal((5, 60, 3)) + (0, 0, 3)
    first, second = (
        true[ends[:, side]].inverse().apply(world) + 0.05 * random.standard_normal(world.shape) for side in range(2)
    )
    weights = random.random((5, 60))

    def cost(views: Similarities) -> float:
        distances = np.linalg.norm(views[ends[:, 0]].apply(first) - views[ends[:, 1]].apply(second), axis=-1)
        return float((weights * distances**1.5).sum())

    start = synchronisation.synchronise(4, ends, similarities.fit(second, first, weights), np.ones(len(ends)))
    actual = sparse_alignment.coarse(ends, first, second, weights, np.ones(4, bool), start)
    assert np.log(actual.scale).mean() == pytest.approx(0, abs=1e-9)
    for _ in range(200):
        step = 1e-3 * random.standard_normal((4, 7))
        step[:, 6] -= step[:, 6].mean()
        near = Similarities(np.exp(step[:, 6]), rotations.from_vectors(step[:, :3]), step[:, 3:6]).after(actual)
        assert cost(near) > cost(actual) * (1 - 1e-7)


def test_two_photos(tmp_path: Path) -> None:
    views = oracle.orbit(2, degrees=25)
    actual = solve(tmp_path, views)
    assert rotation_errors(actual, views).max() < 2


def test_duplicated_photos(tmp_path: Path) -> None:
    views = oracle.orbit(4, degrees=80)
    twice = [*views, views[1]]
    actual = solve(tmp_path, twice)
    assert len(actual.views) == 5
    assert rotation_errors(actual, twice).max() < 1.5
    assert position_error(actual, twice) < 0.05


def test_wrong_pairs_of_repeated_structure_are_outvoted(tmp_path: Path) -> None:
    views = oracle.orbit(9, degrees=150)
    errors = replace(NETWORK, wrong=0.25, seed=3)
    answers = oracle.Oracle(views, errors)
    wrong = [pair for pair in scene_graph.complete(9) if answers.is_wrong(*pair)]
    assert len(wrong) > 4
    actual = solve(tmp_path, views, errors)
    assert len(actual.views) == 9
    assert rotation_errors(actual, views).max() < 2
    ordered = both(scene_graph.complete(9))
    assert {tuple(sorted(ordered[index])) for index in actual.disagreeing} >= set(wrong)


def test_what_does_not_connect_is_named(tmp_path: Path) -> None:
    views = oracle.orbit(8, degrees=140)
    pairs = [*scene_graph.complete(5), (5, 6), (5, 7), (6, 7)]
    actual = solve(tmp_path, views, pairs=pairs)
    assert [view.photo for view in actual.views] == [0, 1, 2, 3, 4]
    assert actual.disconnected == [5, 6, 7]
    assert rotation_errors(actual, views).max() < 1.5


@pytest.mark.parametrize("count", [3, 6])
def test_pairs_that_are_all_wrong_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(UserError, match="contradicts itself"):
        solve(tmp_path, oracle.orbit(count, degrees=120), replace(NETWORK, wrong=1.0))


def test_photos_that_share_nothing_are_refused(tmp_path: Path) -> None:
    targets = ((9, 0, 0), (-9, 0, 1), (0, 0, 9))
    views = [oracle.view(oracle.look_at((0, 0, 0), target), (36, 48), 60) for target in targets]
    with pytest.raises(UserError, match="overlap"):
        solve(tmp_path, views)


def test_one_pair_without_numbers(tmp_path: Path) -> None:
    views = oracle.orbit(5, degrees=100)
    answers = oracle.Oracle(views, NETWORK)
    predictions = [(answers.predict(*pair), answers.matches(*pair)) for pair in both(scene_graph.complete(5))]
    prediction, matched = predictions[3]
    nothing = np.full_like(prediction.points_first, np.nan)
    predictions[3] = (
        replace(prediction, points_first=nothing, confidence_first=nothing[..., 0]),
        replace(matched, confidence=np.full_like(matched.confidence, np.nan)),
    )
    actual = align(tmp_path, 5, predictions)
    assert len(actual.views) == 5
    assert rotation_errors(actual, views).max() < 1.5
    assert all(np.isfinite(view.depth).all() for view in actual.views)


def test_a_camera_that_only_turns(tmp_path: Path) -> None:
    views = [
        oracle.view(oracle.look_at((0, 0, -3.0), (4 * np.sin(a), 0.3, 4 * np.cos(a))))
        for a in np.linspace(-0.5, 0.5, 5)
    ]
    actual = solve(tmp_path, views)
    assert rotation_errors(actual, views).max() < 1.5
    centres = np.array([view.world_from_camera[:3, 3] for view in actual.views])
    depth = np.median(np.concatenate([view.depth.ravel() for view in actual.views]))
    assert np.linalg.norm(centres - centres.mean(axis=0), axis=1).max() < 0.05 * depth


def test_a_flat_wall(tmp_path: Path) -> None:
    poses = [oracle.look_at((x, 0.3 * np.cos(2 * x), -1.0), (0.3 * x, 0, 4)) for x in np.linspace(-1.5, 1.5, 6)]
    views = oracle.planar([oracle.view(pose, (96, 128)) for pose in poses])
    actual = solve(tmp_path, views)
    assert rotation_errors(actual, views).max() < 2
    assert position_error(actual, views) < 0.05


@pytest.mark.parametrize("focals", [[2.0], [2.0] * 5, [0.5] * 5])
def test_a_focal_length_known_wrong_by_two_is_not_believed(tmp_path: Path, focals: list[float]) -> None:
    views = oracle.orbit(5, degrees=100)
    known = [wrong * views[0].focal for wrong in focals]
    actual = solve(tmp_path, views, focals=[*known, *[None] * (5 - len(known))])
    assert actual.refuted_focals == list(range(len(known)))
    assert actual.views[0].focal == pytest.approx(views[0].focal, rel=0.02)
