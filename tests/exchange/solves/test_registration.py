"""Solves in pixels of stored pictures become cameras of displayed ones; what is missing or does not fit is named."""

from pathlib import Path

import numpy as np
import pytest

from threer_blender.exchange.solves import registration
from threer_blender.exchange.solves.registration import Pictured
from threer_blender.exchange.solves.solve import Lens, Solve, View, points
from threer_blender.geometry import rotations
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo

LENS = Lens(
    500,
    510,
    (330, 228),
    centred=False,
    width=640,
    height=480,
    distortion=Distortion("OPENCV", (-0.1, 0.02, 2e-3, -1e-3)),
)
POSE = np.eye(4)
POSE[:3, :3] = rotations.from_vectors(np.array([0.1, -0.2, 0.3]))


@pytest.mark.parametrize("orientation", [6, 8])
def test_a_quarter_turn_by_exif(orientation: int) -> None:
    """A point's pixel in the displayed picture is that in the stored one, turned."""
    view = View("a.jpg", LENS, POSE)
    solve = Solve("COLMAP", [view])
    photo = Photo("a.jpg", "a.jpg", 480, 640, "0")
    stored = Camera("a.jpg", 640, 480, 500, 510, 330, 228, POSE, LENS.distortion)
    (turned,) = registration.reconstruction(solve, [Pictured(view, photo, orientation)], []).cameras
    world = np.random.default_rng(0).normal(size=(20, 3)) * 0.5 + POSE[:3, 2] * 4
    x, y = stored.project(world).T
    expected = np.stack([480 - y, x] if orientation == 6 else [y, 640 - x], axis=1)
    assert np.allclose(turned.project(world), expected, atol=1e-9)
    assert np.isclose(np.linalg.det(turned.world_from_camera[:3, :3]), 1)


def test_a_smaller_copy_of_the_photo() -> None:
    view = View("a.jpg", LENS, POSE)
    photo = Photo("a.jpg", "a.jpg", 320, 240, "0")
    (camera,) = registration.reconstruction(Solve("COLMAP", [view]), [Pictured(view, photo)], []).cameras
    assert (camera.width, camera.fx, camera.fy, camera.cx, camera.cy) == (320, 250, 255, 165, 114)


def test_other_proportions_are_named_and_not_shown() -> None:
    view = View("a.jpg", LENS, POSE)
    photo = Photo("a.jpg", "/photos/a.jpg", 500, 500, "0")
    result = registration.reconstruction(Solve("COLMAP", [view]), [Pictured(view, photo)], [])
    assert result.cameras[0].width == 640
    assert not Path(result.photos[0].path).is_absolute()
    assert "other proportions" in result.notes[0]
    assert "a.jpg" in result.notes[0]


def test_a_photo_that_is_gone_and_whose_size_nobody_knows() -> None:
    views = [View("a.jpg", Lens(500, 500), POSE), View("b.jpg", Lens(500, 500), POSE, (630, 470))]
    result = registration.reconstruction(Solve("NVM", views), [Pictured(view) for view in views], [])
    assert [camera.photo for camera in result.cameras] == ["b.jpg"]
    assert (result.cameras[0].width, result.cameras[0].cx) == (630, 315)
    assert [entry.photo for entry in result.unregistered] == ["a.jpg"]


def test_coordinates_of_a_map_are_counted_from_nearby() -> None:
    pose = POSE.copy()
    pose[:3, 3] = 523_456.25, 5_412_345.5, 210
    view = View("a.jpg", LENS, pose)
    cloud = points(np.random.default_rng(0).normal(size=(100, 3)) * 3 + pose[:3, 3])
    result = registration.reconstruction(Solve("RealityCapture", [view], cloud), [Pictured(view)], [])
    assert result.cloud is not None
    assert cloud is not None
    distance = np.linalg.norm(result.cloud.positions - result.cameras[0].world_from_camera[:3, 3], axis=1)
    assert np.allclose(distance, np.linalg.norm(cloud.positions - pose[:3, 3], axis=1), atol=1e-5)
    assert "count from" in " ".join(result.notes)


def test_points_that_nobody_claims_go_to_the_nearest_camera() -> None:
    poses = [np.eye(4), np.eye(4)]
    poses[1][0, 3] = 10
    views = [View(name, LENS, pose) for name, pose in zip("ab", poses, strict=True)]
    cloud = points(np.array([[0.0, 0, 3], [9, 0, 3]]))
    result = registration.reconstruction(Solve("PLY", views, cloud), [Pictured(view) for view in views], [])
    assert result.cloud is not None
    assert result.cloud.photo.tolist() == [0, 1]
    assert np.allclose(result.cloud.normals[0], (0, 0, -1))
