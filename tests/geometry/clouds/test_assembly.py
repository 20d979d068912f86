"""Solved depth maps become cameras and pointmaps in the photo's own pixels and a sane unit."""

import numpy as np
import pytest

from threer_blender.geometry.clouds import assembly
from threer_blender.model.reconstruction import MEDIAN_DEPTH, Photo, PhotoFromMap

PHOTO = Photo("a.jpg", "/a.jpg", 400, 300, "")
FROM_MAP = PhotoFromMap(10.0, 10.0, 0.0, 0.0)


def view(depth: float = 2.0) -> assembly.View:
    pose = np.eye(4)
    pose[:3, 3] = (1, 2, 3)
    camera = assembly.camera(PHOTO, FROM_MAP, (40, 30), 35.0, pose)
    depths = np.full((30, 40), depth)
    depths[0, 0], depths[1, 1], depths[2, 2] = np.nan, -1.0, np.inf
    return assembly.View(0, camera, FROM_MAP, np.zeros((30, 40, 3), np.uint8), depths, np.ones((30, 40)))


def test_the_camera_is_the_photos_own() -> None:
    camera = view().camera
    assert (camera.width, camera.height) == (400, 300)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == pytest.approx((350, 350, 200, 150))


def test_points_lie_on_their_pixels_rays_at_their_depth() -> None:
    one = view()
    pointmap = one.pointmap(0.5)
    assert pointmap.mask.sum() == 30 * 40 - 3
    projected = one.camera.project(pointmap.points[pointmap.mask].astype(np.float64))
    np.testing.assert_allclose(projected, pointmap.photo_pixels()[pointmap.mask], atol=1e-3)
    np.testing.assert_allclose(pointmap.depth(one.camera)[pointmap.mask], 2.0, rtol=1e-6)


def test_the_median_depth_becomes_that_of_all_reconstructions() -> None:
    (scaled,) = assembly.at_median_depth([view(0.01)], 0.5)
    assert np.nanmedian(scaled.depth[np.isfinite(scaled.depth)]) == pytest.approx(MEDIAN_DEPTH)
    np.testing.assert_allclose(scaled.camera.world_from_camera[:3, 3], np.array([1, 2, 3]) * MEDIAN_DEPTH / 0.01)


def test_trusted_pixels_decide_the_unit() -> None:
    one = view(2.0)
    one.depth[:10], one.confidence[:10] = 50.0, 0.1
    (scaled,) = assembly.at_median_depth([one], 0.5)
    assert scaled.depth[20, 20] == pytest.approx(MEDIAN_DEPTH)
