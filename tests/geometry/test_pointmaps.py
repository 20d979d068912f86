"""Pointmaps of depth maps, and the ideal picture of a photo with a lens."""

import numpy as np

from tests import oracle
from threer_blender.geometry import pointmaps
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera


def test_a_depth_map_becomes_its_pointmap() -> None:
    view = oracle.view(oracle.look_at((0, 0, -3), (0, 0.5, 0)), (40, 30))
    points = pointmaps.unprojected(view.depth, view.intrinsics)
    np.testing.assert_allclose(points, view.camera_points, atol=1e-12)
    np.testing.assert_array_equal(points[..., 2], view.depth)


def test_depth_in_the_ideal_picture_comes_back_to_the_photos_pixels() -> None:
    """A slanted plane, seen through a lens: every point of the PointMap lies on it and on its pixel's ray."""
    pose = oracle.look_at((0.2, -0.1, -3), (0, 0.5, 0))
    camera = Camera("a", 320, 240, 260.0, 270.0, 155.0, 124.0, pose, Distortion("RADIAL", (-0.2, 0.05)))
    intrinsics, (width, height) = pointmaps.ideal_picture(camera, 160)
    normal, distance = np.array([0.2, -0.1, -1.0]) / np.linalg.norm([0.2, -0.1, -1.0]), 4.0
    y, x = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    rays = np.stack(
        [(x - intrinsics[0, 2]) / intrinsics[0, 0], (y - intrinsics[1, 2]) / intrinsics[1, 1], 0 * x + 1], -1
    )
    depth = -distance / (rays @ normal)
    ones = np.ones((height, width), np.float32)
    actual = pointmaps.from_ideal(
        camera, intrinsics, depth, np.broadcast_to(normal, rays.shape), ones, long_side=160, least=0.5
    )
    assert actual.mask.mean() > 0.99  # all of the photo lies inside the ideal picture
    local = (actual.points[actual.mask] - pose[:3, 3]) @ pose[:3, :3]
    np.testing.assert_allclose(local @ normal, -distance, atol=1e-5)
    pixels = actual.photo_pixels()[actual.mask]
    np.testing.assert_allclose(camera.project(actual.points[actual.mask].astype(np.float64)), pixels, atol=1e-3)
