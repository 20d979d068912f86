"""The sparse cloud has the points that cameras see; the plan counts each view of a panorama."""

from __future__ import annotations

import numpy as np

from threer_blender.geometry import panoramas
from threer_blender.geometry.sfm.mapping import MappingSolution
from threer_blender.model.reconstruction import Camera, Photo
from threer_blender.pipelines import dense_points

PHOTOS = [Photo(name, f"/{name}", 640, 480, name) for name in ("c.jpg", "a.jpg", "b.jpg")]
POSITIONS = np.array([(0.0, 0, 5), (1, 0, 5), (2, 0, 5), (3, 0, 5)])


def camera(photo: str, x: float) -> Camera:
    pose = np.eye(4)
    pose[0, 3] = x
    return Camera(photo, 640, 480, 500.0, 500.0, 320.0, 240.0, pose)


def test_points_belong_to_the_first_camera_that_sees_them_and_face_it() -> None:
    cameras = [camera("a.jpg", 0.0), camera("b.jpg", 2.0)]
    colors = np.arange(12, dtype=np.uint8).reshape(4, 3)
    observed = [np.array([0, 2]), np.array([2, 3])]
    solution = MappingSolution(cameras, POSITIONS, colors, observed, [], [], 0.5, "mapper", [])
    cloud = dense_points.sparse_cloud(solution, PHOTOS)
    assert cloud.positions.tolist() == POSITIONS[[0, 2, 3]].tolist()
    assert cloud.photo.tolist() == [1, 1, 2]
    assert (cloud.colors == colors[[0, 2, 3]]).all()
    np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(cloud.normals[1], np.array((-2, 0, -5)) / np.sqrt(29), atol=1e-6)


def test_a_panorama_takes_the_time_of_all_of_its_views() -> None:
    sphere = Photo("p.jpg", "/p.jpg", 800, 400, "p", panorama=True)
    alone, both = (dense_points.plan(photos, 4.0) for photos in ([PHOTOS[0]], [PHOTOS[0], sphere]))
    assert [stage.id for stage in alone] == ["undistorting", "dense", "fusing"]
    assert [stage.weight / one.weight for stage, one in zip(both, alone, strict=True)] == [1 + len(panoramas.VIEWS)] * 3
