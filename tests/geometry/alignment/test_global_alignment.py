"""Global alignment finds the cameras and depths that an oracle's pairs were made from, and what does not fit. [R]"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import oracle
from tests.objective import objective
from threer_blender.geometry import rotations, similarities
from threer_blender.geometry.alignment import global_alignment
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import PairStore
from threer_blender.model.errors import UserError

SIZE = (36, 48)
EXACT = oracle.Errors()


def stored(folder: Path, views: Any, errors: Any = EXACT, pairs: Any = None, spoil: Any = None) -> Any:
    """A store of both predictions of every pair; `spoil` may change each."""
    folder.mkdir(exist_ok=True)
    store, answers = PairStore(folder), oracle.Oracle(views, errors)
    for i, j in scene_graph.complete(len(views)) if pairs is None else pairs:
        for first, second in ((i, j), (j, i)):
            answer = answers.predict(first, second)
            store.add(spoil(answer) if spoil else answer)
    return store


def pose_errors(alignment: Any, views: Any) -> Any:
    """Degrees of rotation (N,) and shares of the scene's depth (N,) that the cameras are off, after one similarity."""
    truth = np.stack([views[actual.photo].world_from_camera for actual in alignment.views])
    actual = np.stack([actual.world_from_camera for actual in alignment.views])
    depth = np.median(views[0].depth)
    # Centres, and points off them by the scene's depth along each camera axis, fix the similarity even where all
    # centres are one.
    scale = depth / np.median(alignment.views[0].depth) if alignment.views[0].photo == 0 else 1.0
    arms = np.concatenate([np.zeros((1, 3)), depth * np.eye(3)])
    source = actual[:, None, :3, 3] + arms @ actual[:, :3, :3].transpose(0, 2, 1) / scale
    target = truth[:, None, :3, 3] + arms @ truth[:, :3, :3].transpose(0, 2, 1)
    flat = source.reshape(1, -1, 3), target.reshape(1, -1, 3)
    similarity = similarities.fit(*flat, np.ones(flat[0].shape[:2]))
    centres = similarity.apply(actual[None, :, :3, 3])[0]
    turned = similarity.rotation[0] @ actual[:, :3, :3] @ truth[:, :3, :3].transpose(0, 2, 1)
    return np.degrees(rotations.angles(turned)), np.linalg.norm(centres - truth[:, :3, 3], axis=1) / depth


def depth_errors(alignment: Any, views: Any) -> Any:
    """Median relative depth error of each view, up to one scale for all."""
    ratios = [np.median(actual.depth / views[actual.photo].depth) for actual in alignment.views]
    scale = np.median(ratios)
    return np.array([np.median(np.abs(f.depth / scale / views[f.photo].depth - 1)) for f in alignment.views])


def focal_errors(alignment: Any, views: Any) -> Any:
    return np.array([abs(actual.focal / views[actual.photo].focal - 1) for actual in alignment.views])


def test_exact_predictions_give_exact_cameras(tmp_path: Path) -> None:
    views = oracle.orbit(6, SIZE, degrees=150)
    actual = global_alignment.align(stored(tmp_path, views), 6)
    angles, shifts = pose_errors(actual, views)
    assert [view.photo for view in actual.views] == list(range(6))
    assert angles.max() < 0.05
    assert shifts.max() < 0.002
    assert focal_errors(actual, views).max() < 0.001
    assert depth_errors(actual, views).max() < 0.001
    assert actual.disconnected == []


def test_noisy_predictions_are_averaged(tmp_path: Path) -> None:
    views = oracle.orbit(10, SIZE, degrees=200)
    errors = oracle.Errors(noise=0.03, outliers=0.03)
    actual = global_alignment.align(stored(tmp_path, views, errors), 10)
    angles, shifts = pose_errors(actual, views)
    assert angles.max() < 1.5
    assert shifts.max() < 0.05
    assert focal_errors(actual, views).max() < 0.02
    assert depth_errors(actual, views).mean() < 0.4 * errors.noise


def test_no_solution_near_the_truth_is_better(tmp_path: Path) -> None:
    views = oracle.orbit(5, SIZE, degrees=100)
    store = stored(tmp_path, views, oracle.Errors(noise=0.03))
    actual = global_alignment.align(store, 5)
    reached = objective(store, actual)
    random = np.random.default_rng(0)
    for _ in range(20):
        moved = []
        for view in actual.views:
            pose = view.world_from_camera.copy()
            pose[:3, :3] = rotations.from_vectors(0.01 * random.standard_normal((1, 3)))[0] @ pose[:3, :3]
            pose[:3, 3] += 0.01 * np.median(view.depth) * random.standard_normal(3)
            moved.append(
                replace(view, world_from_camera=pose, focal=view.focal * np.exp(0.01 * random.standard_normal()))
            )
        assert objective(store, replace(actual, views=moved)) > reached


def test_maps_as_large_as_the_networks(tmp_path: Path) -> None:
    views = oracle.orbit(3, (384, 512), degrees=40)
    actual = global_alignment.align(stored(tmp_path, views, oracle.Errors(noise=0.02, outliers=0.02)), 3)
    assert pose_errors(actual, views)[0].max() < 1
    assert focal_errors(actual, views).max() < 0.02
    assert depth_errors(actual, views).mean() < 0.01


def test_pairs_that_show_nothing_in_common_are_fitted_as_well_as_can_be(tmp_path: Path) -> None:
    """The objective counts these pairs, too: no similarity near theirs makes it less.

    Worlds are compared at the size that alignment gives them, where the geometric mean of the pairs' scales is 0.5.
    """
    views = oracle.orbit(7, SIZE)
    store = stored(tmp_path, views)
    actual = global_alignment.align(store, 7)
    assert np.log(actual.pairs.scale).mean() == pytest.approx(np.log(0.5))
    assert actual.disagreeing
    reached = objective(store, actual)
    random = np.random.default_rng(0)
    for number in actual.disagreeing:
        at = int(np.flatnonzero(actual.pair_numbers == number)[0])
        for log_scale in (0.01, -0.01):  # a larger scale alone; then a random step, with a smaller scale
            step = 0.01 * random.standard_normal(7) * (log_scale < 0)
            scale = np.exp(step[6:] + log_scale)
            near = similarities.Similarities(scale, rotations.from_vectors(step[None, :3]), step[None, 3:6])
            moved = near.after(actual.pairs[at : at + 1])
            pairs = similarities.Similarities(*(part.copy() for part in vars(actual.pairs).values()))
            pairs.scale[at], pairs.rotation[at], pairs.translation[at] = (part[0] for part in vars(moved).values())
            value = objective(store, replace(actual, pairs=pairs)) * 0.5
            assert value / np.exp(np.log(pairs.scale).mean()) > (1 - 1e-5) * reached


def test_maps_of_different_sizes(tmp_path: Path) -> None:
    views = [
        oracle.view(shot.world_from_camera, size, 50.0)
        for shot, size in zip(oracle.orbit(5, SIZE, degrees=80), [(36, 48), (48, 36), (48, 48)] * 2, strict=False)
    ]
    actual = global_alignment.align(stored(tmp_path, views), 5)
    assert [view.depth.shape for view in actual.views] == [view.depth.shape for view in views]
    assert pose_errors(actual, views)[0].max() < 0.05


@pytest.mark.parametrize("wrong", [0.1, 0.3])
def test_wrong_but_confident_pairs_are_found_out(tmp_path: Path, wrong: float) -> None:
    views = oracle.orbit(12, SIZE, degrees=180)
    errors = oracle.Errors(noise=0.02, wrong=wrong, seed=1)
    store = stored(tmp_path, views, errors)
    actual = global_alignment.align(store, 12)
    assert len(actual.views) == 12
    assert pose_errors(actual, views)[0].max() < 2.0
    liar = oracle.Oracle(views, errors)
    wrong_ones = {n for n, edge in enumerate(store.edges) if liar.is_wrong(edge.first, edge.second)}
    assert len(wrong_ones) > 5
    assert wrong_ones <= set(actual.disagreeing)


def test_one_pair_of_no_numbers_is_passed_over(tmp_path: Path) -> None:
    views = oracle.orbit(5, SIZE, degrees=80)

    def spoil(answer: Any) -> Any:
        if (answer.first, answer.second) != (1, 2):
            return answer
        return replace(
            answer, points_first=answer.points_first * np.nan, confidence_first=answer.confidence_first * np.nan
        )

    actual = global_alignment.align(stored(tmp_path, views, spoil=spoil), 5)
    assert pose_errors(actual, views)[0].max() < 0.05
    assert len(actual.disagreeing) == 1


def test_of_two_groups_the_larger_is_solved_and_the_other_named(tmp_path: Path) -> None:
    views = oracle.orbit(5, SIZE, degrees=80)
    views += [oracle.view(oracle.look_at((0.2 * i, 0, -3), (0, 0, -9)), SIZE) for i in range(3)]
    pairs = scene_graph.complete(8)
    actual = global_alignment.align(stored(tmp_path, views, pairs=pairs), 8)
    assert [view.photo for view in actual.views] == [0, 1, 2, 3, 4]
    assert actual.disconnected == [5, 6, 7]
    assert pose_errors(actual, views)[0].max() < 0.05


def test_photos_that_share_nothing_are_refused_with_a_sentence(tmp_path: Path) -> None:
    views = [oracle.view(oracle.look_at((0, 0, 0), target), SIZE, 60) for target in ((9, 0, 0), (-9, 0, 1), (0, 0, 9))]
    with pytest.raises(UserError, match="overlap"):
        global_alignment.align(stored(tmp_path, views), 3)


@pytest.mark.parametrize("count", [3, 4, 8])
def test_pairs_that_are_all_wrong_are_refused_with_a_sentence(tmp_path: Path, count: int) -> None:
    views = oracle.orbit(count, SIZE, degrees=120)
    with pytest.raises(UserError, match="contradicts itself"):
        global_alignment.align(stored(tmp_path, views, oracle.Errors(wrong=1.0)), count)


def test_three_photos_whose_pairs_do_not_quite_meet_are_solved_all_the_same(tmp_path: Path) -> None:
    """One pair is 12 degrees off, as of photos far apart. The other two pairs give all three poses."""
    views = oracle.orbit(3, SIZE, degrees=60)
    rotation = rotations.from_vectors(np.radians([[0.0, 12.0, 0.0]]))[0]

    def spoil(answer: Any) -> Any:
        if {answer.first, answer.second} != {0, 2}:
            return answer
        points = answer.points_second @ (rotation if answer.first == 0 else rotation.T).T
        return replace(answer, points_second=points.astype(np.float32))

    actual = global_alignment.align(stored(tmp_path, views, spoil=spoil), 3)
    assert [view.photo for view in actual.views] == [0, 1, 2]
    assert pose_errors(actual, views)[0].max() < 0.05


def test_two_photos(tmp_path: Path) -> None:
    views = oracle.orbit(2, SIZE, degrees=20)
    actual = global_alignment.align(stored(tmp_path, views), 2)
    assert pose_errors(actual, views)[0].max() < 0.05
    assert depth_errors(actual, views).max() < 0.001


def test_the_same_photo_twice(tmp_path: Path) -> None:
    views = oracle.orbit(4, SIZE, degrees=60)
    views = [*views, views[1]]
    actual = global_alignment.align(stored(tmp_path, views, oracle.Errors(noise=0.01)), 5)
    angles, shifts = pose_errors(actual, views)
    assert angles.max() < 0.7
    assert shifts.max() < 0.02


def test_camera_that_only_turns(tmp_path: Path) -> None:
    targets = [(np.sin(a), 0.2, np.cos(a)) for a in np.radians([0, 15, 30, 45, 60])]
    views = [oracle.view(oracle.look_at((0, -0.3, -2), np.add((0, -0.3, -2), target)), SIZE) for target in targets]
    actual = global_alignment.align(stored(tmp_path, views, oracle.Errors(noise=0.01)), 5)
    angles, shifts = pose_errors(actual, views)
    assert angles.max() < 1.0
    assert shifts.max() < 0.02


def test_bare_wall(tmp_path: Path) -> None:
    centres = [(-1.5, 0, -1), (-0.7, 0.3, -0.5), (0, 0, -1), (0.8, -0.3, -0.5), (1.5, 0.2, -1)]
    views = oracle.planar([oracle.view(oracle.look_at(centre, (0, 0, 4)), SIZE) for centre in centres])
    actual = global_alignment.align(stored(tmp_path, views), 5)
    angles, shifts = pose_errors(actual, views)
    assert angles.max() < 0.1
    assert shifts.max() < 0.005


def test_known_focal_lengths_are_kept_and_wrong_ones_refuted(tmp_path: Path) -> None:
    views = oracle.orbit(6, SIZE, degrees=100)
    store = stored(tmp_path, views, oracle.Errors(noise=0.03))
    given: list[float | None] = [view.focal for view in views]
    given[2], given[4] = 2 * views[2].focal, None
    actual = global_alignment.align(store, 6, given)
    assert actual.refuted_focals == [2]
    assert actual.views[0].focal == pytest.approx(views[0].focal, rel=1e-9)
    assert focal_errors(actual, views).max() < 0.03
    assert pose_errors(actual, views)[0].max() < 1.5


def test_memory_of_the_solver_does_not_grow_with_pairs(tmp_path: Path) -> None:
    from threer_blender.geometry.alignment.samples import Sampled

    views = oracle.orbit(4, SIZE, degrees=40)
    few = stored(tmp_path / "few", views)
    many = stored(tmp_path / "many", views, pairs=scene_graph.complete(4) * 40)
    sizes = [sum(points.nbytes for points in Sampled(store, 4, np.arange(len(store))).points) for store in (few, many)]
    assert len(many) == 40 * len(few)
    assert sizes[1] < 10 * sizes[0]


class CountingStore(PairStore):
    """A store that notes which predictions are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read_numbers: list[int] = []

    def read(self, index: Any, side: Any, rows: Any = slice(None)) -> Any:
        self.read_numbers.append(index)
        return super().read(index, side, rows)


def test_added_photos_cost_what_their_own_pairs_cost_and_move_no_other(tmp_path: Path) -> None:
    views = oracle.orbit(12, SIZE, degrees=220)
    answers = oracle.Oracle(views, oracle.Errors(noise=0.02, wrong=0.1, seed=3))
    store = CountingStore(tmp_path)

    def add(pairs: Any) -> None:
        for i, j in pairs:
            store.add(answers.predict(i, j))
            store.add(answers.predict(j, i))

    add(scene_graph.complete(10))
    before = global_alignment.align(store, 10)
    old, store.read_numbers = len(store), []
    add([(i, j) for i in range(10) for j in (10, 11)] + [(10, 11)])
    after = global_alignment.align(store, 12, before=before)
    assert set(store.read_numbers) <= set(range(old, len(store)))
    assert len(store.read_numbers) <= 4 * (len(store) - old)
    assert [view.photo for view in after.views] == list(range(12))
    for was, now in zip(before.views, after.views[:10], strict=True):
        assert now is was
    assert pose_errors(after, views)[0].max() < 2
    assert depth_errors(after, views)[10:].max() < 0.02
    assert len(after.pair_numbers) == len(store)
    whole = global_alignment.align(store, 12)
    assert objective(store, after) < 1.3 * objective(store, whole)


def test_an_added_photo_that_shows_something_else_is_named(tmp_path: Path) -> None:
    views = oracle.orbit(4, SIZE, degrees=60)
    stranger = oracle.view(oracle.look_at((0, 0, -4), (0, 0, -9)), SIZE)
    answers = oracle.Oracle([*views, stranger])
    store, actual = PairStore(tmp_path), global_alignment.NOTHING
    for pairs, count in ((scene_graph.complete(4), 4), ([(0, 4), (2, 4)], 5)):
        for i, j in pairs:
            store.add(answers.predict(i, j))
            store.add(answers.predict(j, i))
        actual = global_alignment.align(store, count, before=actual)
    assert [view.photo for view in actual.views] == [0, 1, 2, 3]
    assert actual.disconnected == [4]
