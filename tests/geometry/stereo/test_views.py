"""Views for dense stereo: the choice of sources, transfers between views, and planes as depths with normals."""

from dataclasses import replace

import numpy as np

from tests.runtime import synthetic
from threer_blender.geometry.stereo.views import (
    DepthMap,
    View,
    centred,
    normals_of,
    planes_of,
    select_sources,
    transfer,
)


def views_of(true_views: list[synthetic.TrueView]) -> list[View]:
    """The views of the ray-cast world, each with the sparse points that it sees."""
    sparse = synthetic.sparse_points(true_views, 100)
    return [
        View(true_view.image, true_view.intrinsics, true_view.world_from_camera, points, ids)
        for true_view, (points, ids) in zip(true_views, sparse, strict=True)
    ]


def test_planes_survive_depth_and_normals() -> None:
    view = views_of(synthetic.true_views(3, 200, 150, 9))[1]
    random = np.random.default_rng(0)
    planes = np.empty((*view.image.shape[:2], 3), np.float32)
    planes[..., 0] = random.uniform(0.1, 0.5, planes.shape[:2])
    planes[..., 1:] = random.uniform(-0.002, 0.002, (*planes.shape[:2], 2))
    normal = normals_of(planes, centred(view.intrinsics))
    zero = np.zeros(planes.shape[:2], np.float32)
    actual = DepthMap(1 / planes[..., 0], normal, zero, zero.astype(np.uint8))
    assert np.allclose(planes_of(view, actual), planes, atol=1e-5)


def test_sources_share_points_at_a_good_angle() -> None:
    views = views_of(synthetic.true_views(6, 48, 36, 5))
    chosen = select_sources(views, 3)
    assert [len(others) for others in chosen] == [3] * 6
    assert all(i not in others for i, others in enumerate(chosen))
    assert chosen[0][0] in (2, 3)  # ten or fifteen degrees away, rather than five: most of the world is farther off
    assert chosen[5][0] in (2, 3)


def test_sources_without_points_are_neighbours() -> None:
    points, ids = np.zeros((0, 3)), np.zeros(0, np.int64)
    views = [
        replace(view, sparse_points=points, sparse_ids=ids) for view in views_of(synthetic.true_views(5, 48, 36, 10))
    ]
    assert select_sources(views[:2], 4) == [[1], [0]]
    assert set(select_sources(views, 2)[2]) == {1, 3}


def test_a_transfer_sends_a_pixel_and_its_inverse_depth_to_the_other_views_pixel() -> None:
    first, second = views_of(synthetic.true_views(2, 64, 48, 9))
    point = np.array([0.1, 0.2, 0.3])
    local = [np.linalg.inv(view.world_from_camera) @ (*point, 1) for view in (first, second)]
    pixels = [centred(view.intrinsics) @ p[:3] / p[2] for view, p in zip((first, second), local, strict=True)]
    numbers = transfer(first, second)
    homogeneous = numbers[:9].reshape(3, 3) @ pixels[0] + numbers[9:] / local[0][2]
    np.testing.assert_allclose(homogeneous[:2] / homogeneous[2], pixels[1][:2], atol=1e-9)
    np.testing.assert_allclose(1 / local[0][2] / homogeneous[2], 1 / local[1][2], rtol=1e-9)
