"""Cleaning removes what is no surface, says why, keeps what is, and merges what several photos show. [R]"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests import oracle
from threer_blender.geometry.clouds import cleaning
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, PhotoFromMap, PointMap

SIZE = (72, 96)


def solved(views: Any, noise: float = 0.0, seed: int = 0) -> Any:
    """Cameras, PointMaps and pictures of views. The cameras' photos are twice as large as the maps.

    `noise` is the standard deviation of depth, as a share of it.
    """
    random = np.random.default_rng(seed)
    cameras, maps, pictures = [], [], []
    for number, view in enumerate(views):
        height, width = view.depth.shape
        pose, focal = view.world_from_camera, 2 * view.focal
        cameras.append(Camera(f"{number}.jpg", 2 * width, 2 * height, focal, focal, width, height, pose))
        points = view.camera_points * (1 + noise * random.standard_normal((height, width, 1)))
        world = (points @ pose[:3, :3].T + pose[:3, 3]).astype(np.float32)
        confidence, mask = np.full((height, width), 5, np.float32), np.ones((height, width), bool)
        maps.append(PointMap(f"{number}.jpg", world, confidence, mask, PhotoFromMap(2, 2, 0, 0)))
        pictures.append(view.image)
    return cameras, maps, pictures


def reasons(pointmap: PointMap) -> Array:
    """(H, W) the reason why each pixel was removed. 0 means that it was not."""
    assert pointmap.removed is not None
    return pointmap.removed


def share_removed(cleaned: list[PointMap]) -> float:
    return float(np.mean([(reasons(one) > 0).mean() for one in cleaned]))


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_true_surfaces_stay(noise: float) -> None:
    cleaned = cleaning.clean(*solved(oracle.orbit(6, SIZE, degrees=100), noise))
    assert share_removed(cleaned) < 0.03
    assert all(one.confidence[one.mask].mean() > 4.5 for one in cleaned)


def test_every_pixel_is_kept_or_has_a_reason() -> None:
    cameras, maps, pictures = solved(oracle.orbit(4, SIZE, degrees=60), 0.03)
    cleaned = cleaning.clean(cameras, maps, pictures)
    assert all(((reasons(one) > 0) != one.mask).all() for one in cleaned)
    cloud, merged = cleaning.merge(cameras, cleaned, pictures, range(4))
    for number, (one, before) in enumerate(zip(merged, cleaned, strict=True)):
        gone = reasons(before) > 0
        assert (reasons(one)[gone] == reasons(before)[gone]).all()
        assert (reasons(one) == 0).sum() == (cloud.photo == number).sum()


def test_flyers_between_two_surfaces_are_removed() -> None:
    view = oracle.orbit(6, SIZE)[0]
    depth = view.depth.copy()
    step = np.abs(np.log(depth[:, 1:] / depth[:, :-1])) > 0.2
    row, column = np.nonzero(step[:, 2:-2])
    column += 2
    depth[row, column] = np.sqrt(view.depth[row, column] * view.depth[row, column + 1])  # halfway
    actual = cleaning.edges(depth)
    assert len(row) > 20
    assert actual[row, column].mean() > 0.9
    assert cleaning.edges(view.depth).mean() < 0.02


def test_points_that_other_photos_see_through_are_removed_and_no_others() -> None:
    views = oracle.orbit(6, SIZE, degrees=100)
    cameras, maps, pictures = solved(views)
    ghost = np.zeros(SIZE, bool)
    ghost[20:40, 30:60] = True
    centre = views[2].world_from_camera[:3, 3]
    points = maps[2].points.copy()
    points[ghost] = centre + 0.5 * (points[ghost] - centre)  # a board in mid air, half way
    maps[2] = replace(maps[2], points=points.astype(np.float32))
    cleaned = cleaning.clean(cameras, maps, pictures)
    gone = reasons(cleaned[2]) > 0
    assert gone[ghost].mean() > 0.95
    assert (reasons(cleaned[2]) == cleaning.FREE_SPACE)[ghost].mean() > 0.7
    assert gone[~ghost].mean() < 0.03
    others = cleaned[:2] + cleaned[3:]
    assert share_removed(others) < 0.03


def test_a_confident_photo_is_not_overruled_by_doubtful_ones() -> None:
    views = oracle.orbit(3, SIZE, degrees=40)
    cameras, maps, pictures = solved(views)
    for other in (0, 2):  # both place everything too far, but are not sure of it
        centre = cameras[other].world_from_camera[:3, 3]
        points = centre + 1.5 * (maps[other].points - centre)
        maps[other] = replace(maps[other], points=points.astype(np.float32), confidence=maps[other].confidence * 0.3)
    cleaned = cleaning.clean(cameras, maps, pictures)
    assert (reasons(cleaned[1]) == cleaning.FREE_SPACE).mean() < 0.02


def test_sky_is_removed_and_a_white_ceiling_is_not() -> None:
    rows = np.arange(72)[:, None] * np.ones((1, 96))
    picture = np.full((72, 96, 3), (90, 80, 60), np.uint8)
    picture[(rows < 30)] = (150, 180, 230)
    picture[10:14, 40:60] = (240, 240, 245)  # a cloud in it, with a hard border
    depth = np.where(rows < 30, 60.0, 5.0)
    actual = cleaning.sky(depth, picture)
    assert actual[:9].all()
    assert actual[16:29].all()
    assert not actual[30:].any()
    assert not cleaning.sky(np.where(rows < 30, 5.5, 5.0), picture).any()


def test_a_surface_that_two_photos_show_is_merged_to_one() -> None:
    views = oracle.orbit(2, SIZE, degrees=1)
    cameras, maps, pictures = solved(views, 0.005)
    alone, _ = cleaning.merge(cameras[:1], maps[:1], pictures[:1], [0])
    both, _ = cleaning.merge(cameras, maps, pictures, [4, 7])
    assert len(alone) == 72 * 96
    assert len(both) < 1.2 * len(alone)
    assert set(np.unique(both.photo)) == {4, 7}


def test_merging_lowers_noise_and_opens_no_holes() -> None:
    views = oracle.orbit(6, SIZE, degrees=30)
    cameras, maps, pictures = solved(views, 0.01)
    cloud, _ = cleaning.merge(cameras, maps, pictures, list(range(6)))
    assert len(cloud) < 0.5 * sum(one.mask.sum() for one in maps)
    # Seen from a camera in the middle, every pixel of the true surface has a point near it.
    middle = views[2]
    camera = np.linalg.inv(middle.world_from_camera)
    local = cloud.positions @ camera[:3, :3].T + camera[:3, 3]
    pixel = local @ middle.intrinsics.T
    x, y = np.floor(pixel[:, 0] / pixel[:, 2]).astype(int), np.floor(pixel[:, 1] / pixel[:, 2]).astype(int)
    inside = (local[:, 2] > 0) & (x >= 0) & (y >= 0) & (x < SIZE[1]) & (y < SIZE[0])
    covered = np.zeros((SIZE[0] // 3, SIZE[1] // 3), bool)
    covered[y[inside] // 3, x[inside] // 3] = True
    assert covered.mean() > 0.99
    error = local[inside, 2] / middle.depth[y[inside], x[inside]] - 1
    assert np.median(np.abs(error)) < 0.75 * 0.6745 * 0.01  # 0.6745 standard deviations: the median without merging
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-3)
