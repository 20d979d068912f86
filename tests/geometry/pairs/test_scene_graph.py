"""Graphs join the photos that overlap, with few pairs, always the same ones. [R]"""

from typing import Any

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.pairs import scene_graph
from threer_blender.model.reconstruction import Photo

SIZE = (24, 32)


def local_features(views: Any, seed: int = 0, count: int = 1000, size: int = 64) -> Any:
    """(M, `size`) for each view: noisy descriptors of those of `count` landmarks that it sees. All are much alike."""
    random = np.random.default_rng(seed)
    points = np.concatenate([view.points[::2, ::2].reshape(-1, 3) for view in views])
    places = points[random.choice(len(points), min(count, len(points)), replace=False)]
    words = random.standard_normal((len(places), size))
    common = 4 * random.standard_normal(size)
    stretch = np.exp(random.standard_normal(size))  # some directions vary more than others, and distinguish less
    features = []
    for view in views:
        near = [np.linalg.norm(places - point, axis=1).argmin() for point in view.points[1::3, 1::3].reshape(-1, 3)]
        noise = 0.7 * random.standard_normal((len(near), size))
        features.append(((words[near] + noise) * stretch + common).astype(np.float32))
    return features


def connected(pairs: Any, count: int) -> Any:
    groups = list(range(count))
    for i, j in pairs:
        a, b = groups[i], groups[j]
        groups = [a if group == b else group for group in groups]
    return len(set(groups)) == 1


def test_small_graphs_are_what_they_say() -> None:
    assert scene_graph.complete(4) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert scene_graph.window(5, 2) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]
    assert scene_graph.window(5, 1, cyclic=True) == [(0, 1), (0, 4), (1, 2), (2, 3), (3, 4)]
    assert scene_graph.log_window(6, 3) == [
        (0, 1),
        (0, 2),
        (0, 4),
        (1, 2),
        (1, 3),
        (1, 5),
        (2, 3),
        (2, 4),
        (3, 4),
        (3, 5),
        (4, 5),
    ]
    assert (0, 4) in scene_graph.log_window(8, 3, cyclic=True)
    assert (0, 6) in scene_graph.log_window(8, 3, cyclic=True)
    assert scene_graph.one_reference(4, 2) == [(0, 2), (1, 2), (2, 3)]


@pytest.mark.parametrize("count", [2, 3, 12, 13, 40, 200])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_automatic_joins_all_photos_with_few_pairs(count: int, ordered: bool, known: bool) -> None:
    random = np.random.default_rng(count)
    vectors = random.standard_normal((count, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = scene_graph.automatic(count, ordered, (vectors @ vectors.T).astype(np.float32) if known else None)
    assert connected(pairs, count)
    if count <= scene_graph.FEW:
        assert pairs == scene_graph.complete(count)
    else:
        assert len(pairs) <= 45 + 12 * count  # 45 are those of ten anchors
    if ordered:
        assert {(i, i + step) for step in (1, 2, 3, 4, 8, 16) for i in range(count - step)} <= set(pairs)


def test_retrieval_finds_the_photos_that_overlap() -> None:
    views = oracle.walk(40, SIZE)
    order = np.random.default_rng(1).permutation(len(views))  # the photos come in no order
    shuffled = [views[i] for i in order]
    alike = scene_graph.similarity(local_features(shuffled))
    overlap = np.array([[oracle.overlap(a, b).mean() for b in shuffled] for a in shuffled])
    np.fill_diagonal(alike, -1)
    np.fill_diagonal(overlap, -1)
    actual = np.argsort(-alike, axis=1)[:, :4]
    assert np.take_along_axis(overlap, actual, 1).mean() > 0.85 * np.sort(overlap, axis=1)[:, -4:].mean()
    pairs = scene_graph.automatic(len(views), False, alike)
    assert len(pairs) < 0.4 * len(scene_graph.complete(len(views)))
    assert connected([(i, j) for i, j in pairs if min(overlap[i, j], overlap[j, i]) > 0.3], len(views))


def test_similarity_beats_the_mean_feature() -> None:
    views = oracle.walk(40, SIZE)
    features = local_features(views)
    overlap = np.array([[oracle.overlap(a, b).mean() for b in views] for a in views])
    mean = np.stack([local.mean(0) for local in features])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    np.fill_diagonal(overlap, -1)

    def share(alike: Any) -> Any:
        alike = alike - 2 * np.eye(len(views))
        return np.take_along_axis(overlap, np.argsort(-alike, axis=1)[:, :4], 1).mean()

    assert share(scene_graph.similarity(features)) > 1.5 * share(mean @ mean.T)


def test_similarity_repeats_exactly() -> None:
    features = local_features(oracle.walk(14, SIZE))
    np.testing.assert_array_equal(scene_graph.similarity(features), scene_graph.similarity(features))


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        ([f"IMG_{i:04d}.JPG" for i in range(98, 120)], True),
        ([f"20240101_12050{i}.jpg" for i in range(9)] + [f"20240101_1206{i}0.jpg" for i in range(5)], True),
        ([f"clip.mp4 {i:04d}" for i in range(1, 90, 7)] + [f"other.mp4 {i:04d}" for i in range(1, 90, 7)], True),
        ([f"IMG_{i:04d}.JPG" for i in (7, 3, 12, 1, 9, 2)], False),
        (["door.png", "left.png", "window.png"], False),
        (["alone 1.png"], False),
    ],
    ids=["camera", "clock", "two videos", "shuffled", "words", "one"],
)
def test_photos_whose_names_count_up_are_in_order(names: Any, ordered: bool) -> None:
    assert scene_graph.in_order([Photo(name, name, 8, 8, "") for name in names]) == ordered


def test_photos_in_order_are_compared_with_the_next_ones_too() -> None:
    alike = np.eye(30, dtype=np.float32)
    neighbours = set(scene_graph.window(30))
    for names, ordered in (("{:03d}.jpg", True), ("{}.jpg", False)):
        photos = [Photo(names.format(i if ordered else "abcdef"[i % 6] * (i + 1)), "", 8, 8, "") for i in range(30)]
        pairs = scene_graph.chosen("auto", photos, alike)
        assert (neighbours <= set(pairs)) == ordered
        assert len(pairs) < 13 * 30
