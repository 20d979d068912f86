"""Correspondences, triangulation and the pointmap of a depth map, in a world whose truth is known."""

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry import kd_tree, pointmaps, triangulation
from threer_blender.geometry.pairs import correspondences
from threer_blender.geometry.pairs.pairs import Matches, PairPrediction
from threer_blender.model.reconstruction import Camera

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 9, 300])
@pytest.mark.parametrize("spread", [(1, 1, 1), (1, 1e-9, 0), (0, 0, 0)], ids=["cloud", "line", "one place"])
def test_the_tree_finds_the_nearest(count: int, spread: tuple[float, float, float]) -> None:
    points = np.round(RANDOM.standard_normal((count, 3)), 1) * spread  # many equal coordinates
    queries = np.r_[2 * RANDOM.standard_normal((200, 3)), points]
    apart = np.linalg.norm(queries[:, None] - points, axis=-1)
    index, distance = kd_tree.Tree(points).nearest(queries)
    np.testing.assert_allclose(distance, apart.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(apart[np.arange(len(queries)), index], apart.min(axis=1), atol=1e-12)


def test_mutual_nearest_is_the_definition() -> None:
    first, second = RANDOM.standard_normal((80, 3)), RANDOM.standard_normal((120, 3))
    first[7], second[9] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        apart = np.nan_to_num(np.linalg.norm(first[:, None] - second, axis=-1), nan=np.inf)
    apart[:, 9] = np.inf
    expected = [
        (i, j) for i in range(80) for j in range(120) if apart[i, j] == apart[i].min() == apart[:, j].min() < np.inf
    ]
    assert correspondences.mutual_nearest(first, second).tolist() == [list(pair) for pair in expected]
    assert correspondences.mutual_nearest(np.full((4, 3), np.nan), second).shape == (0, 2)


def test_matches_from_pointmaps_are_true() -> None:
    views = oracle.orbit(2, (72, 96), degrees=20)
    matches = correspondences.from_pointmaps(oracle.Oracle(views).predict(0, 1))
    column, row = (matches.pixels_first - 0.5).astype(int).T
    reprojected, seen = oracle._seen(views[0].points[row, column], views[1], 0.03)
    assert seen.sum() > 2000
    off = np.linalg.norm(reprojected - matches.pixels_second, axis=1)[seen]
    assert np.median(off) < 0.5  # they are pixels' centres: half a pixel is what they can be off
    assert (off < 1.5).mean() > 0.98
    # Those of points that only one photo sees are less sure.
    assert np.median(matches.confidence[seen]) > 1.3 * np.median(matches.confidence[~seen])


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


def test_a_photo_corresponds_to_itself() -> None:
    seen = oracle.orbit(1)[0]
    ones = np.ones(seen.depth.shape)
    same = PairPrediction(3, 4, seen.camera_points, seen.camera_points, ones, 4 * ones)
    matches = correspondences.from_pointmaps(same)
    np.testing.assert_array_equal(matches.pixels_first, matches.pixels_second)
    assert len(matches.pixels_first) == seen.depth.size
    assert (matches.first, matches.second) == (3, 4)
    np.testing.assert_array_equal(matches.confidence, 2)


def camera(seen: oracle.View) -> Camera:
    height, width = seen.depth.shape
    fx, fy, (cx, cy) = seen.intrinsics[0, 0], seen.intrinsics[1, 1], seen.intrinsics[:2, 2]
    return Camera("", width, height, fx, fy, cx, cy, seen.world_from_camera)


def test_triangulation_is_exact_and_least_in_the_pictures() -> None:
    views = oracle.orbit(2, degrees=25)
    first, second = map(camera, views)
    points = views[0].points[::6, ::6].reshape(-1, 3)
    both = np.isfinite(second.project(points)).all(axis=1)
    points = points[both]
    exact = triangulation.triangulate(first.project(points), second.project(points), first, second)
    np.testing.assert_allclose(exact.points, points, atol=1e-7)
    assert exact.errors.max() < 1e-6
    towards = [(points - c.world_from_camera[:3, 3]) for c in (first, second)]
    cosine = (towards[0] * towards[1]).sum(axis=1) / np.prod([np.linalg.norm(t, axis=1) for t in towards], axis=0)
    np.testing.assert_allclose(exact.angles, np.arccos(cosine), atol=1e-7)

    noisy = [c.project(points) + 0.5 * RANDOM.standard_normal((len(points), 2)) for c in (first, second)]
    found = triangulation.triangulate(*noisy, first, second)
    assert np.median(np.linalg.norm(found.points - points, axis=1)) < 0.2  # a picture of 64 pixels, 9 deep

    def error(moved: np.ndarray) -> np.ndarray:
        return sum(((c.project(moved) - seen) ** 2).sum(1) for c, seen in zip((first, second), noisy, strict=True))

    for direction in np.eye(3):
        for step in (-1e-3, 1e-3):
            assert (error(found.points) < error(found.points + step * direction)).all()


def test_triangulation_says_what_cannot_be_told() -> None:
    views = oracle.orbit(2, degrees=25)
    first, second = map(camera, views)
    middle = np.array([[32.0, 24.0]])
    parallel = triangulation.triangulate(middle, middle, first, first)
    assert np.isfinite(parallel.points).all()
    assert parallel.angles[0] < 1e-6
    behind = views[0].world_from_camera[:3] @ (0.2, 0.1, -3, 1)
    mirrored = [
        c.intrinsics @ (c.camera_from_world @ (*behind, 1))[:3] / (c.camera_from_world @ (*behind, 1))[2]
        for c in (first, second)
    ]
    assert triangulation.triangulate(mirrored[0][None, :2], mirrored[1][None, :2], first, second).errors[0] == np.inf


def test_a_depth_map_becomes_its_pointmap() -> None:
    seen = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), (40, 30))
    points = pointmaps.unprojected(seen.depth, seen.intrinsics)
    np.testing.assert_allclose(points, seen.camera_points, atol=1e-12)
    np.testing.assert_array_equal(points[..., 2], seen.depth)
