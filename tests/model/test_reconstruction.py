"""The vocabulary's geometry: projection and its inverse, map pixels, moving a whole reconstruction."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from threer_blender.model import reconstruction as vocabulary
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera, Photo, Reconstruction
from threer_blender.model.reconstruction_transform import transformed

LENSES = [
    Distortion("PINHOLE"),
    Distortion("SIMPLE_RADIAL", (-0.12,)),
    Distortion("RADIAL", (-0.28, 0.09)),
    Distortion("OPENCV", (-0.31, 0.12, 1.5e-3, -8e-4)),
    Distortion("OPENCV_FISHEYE", (-0.02, 0.004, -0.003, 0.0005)),
]


def rotation(seed: int) -> Array:
    """A random rotation, by QR with the signs fixed."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def camera(distortion: Distortion = LENSES[0], seed: int = 0) -> Camera:
    world_from_camera = np.eye(4)
    world_from_camera[:3, :3] = rotation(seed)
    world_from_camera[:3, 3] = np.random.default_rng(seed).normal(size=3) * 3
    return Camera("a.jpg", 1200, 800, 1000.0, 1010.0, 610.5, 391.25, world_from_camera, distortion)


def grid(of: Camera, step: int = 40) -> Array:
    """(H, W, 2) pixels all over the camera's photo, `step` apart, with its corners."""
    return np.stack(np.meshgrid(np.arange(0, of.width + 1, step), np.arange(0, of.height + 1, step)), axis=-1) * 1.0


def test_conventions() -> None:
    """A point right of, below and before an unturned camera lies right of and below the principal point."""
    unturned = Camera("a.jpg", 100, 80, 50.0, 60.0, 48.0, 41.0, np.eye(4))
    assert unturned.project(np.array([0.2, 0.1, 2.0])) == pytest.approx([48 + 50 * 0.1, 41 + 60 * 0.05])
    moved = replace(unturned, world_from_camera=np.array([[1, 0, 0, 5.0], [0, 1, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]))
    assert moved.project(np.array([5.2, 6.1, 9.0])) == pytest.approx(unturned.project(np.array([0.2, 0.1, 2.0])))
    point = np.array([0.2, 0.1, 2.0])
    homogeneous = unturned.intrinsics @ point
    assert homogeneous[:2] / homogeneous[2] == pytest.approx(unturned.project(point))


@pytest.mark.parametrize("distortion", LENSES, ids=str)
def test_rays_invert_projection(distortion: Distortion) -> None:
    solved = camera(distortion, 3)
    pixels = grid(solved)
    depth = np.random.default_rng(1).uniform(0.5, 20, pixels.shape[:-1])
    local = solved.rays(pixels) * depth[..., None]
    assert local[..., 2] == pytest.approx(depth)
    world = local @ solved.world_from_camera[:3, :3].T + solved.world_from_camera[:3, 3]
    assert np.abs(solved.project(world) - pixels).max() < 1e-6


def test_camera_from_world_is_the_inverse() -> None:
    solved = camera(seed=5)
    assert solved.camera_from_world @ solved.world_from_camera == pytest.approx(np.eye(4), abs=1e-12)


def test_what_the_lens_cannot_see_has_no_pixel() -> None:
    folding = Camera("a.jpg", 100, 80, 50.0, 50.0, 50.0, 40.0, np.eye(4), Distortion("SIMPLE_RADIAL", (-0.3,)))
    # The third point's polynomial has fallen to 0 again: by the formula alone, it would be in the photo's middle.
    points = np.array([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0], [np.sqrt(1 / 0.3), 0.0, 1.0], [0.1, 0.1, 1.0]])
    with np.errstate(all="raise"):
        pixels = folding.project(points)
    assert np.isnan(pixels[:3]).all()
    assert np.isfinite(pixels[3]).all()


def test_photo_from_map_finds_the_photo_pixel() -> None:
    """The map is of a photo's right half, shrunk by 4. Its corners are the half's corners."""
    shape = (20, 15)
    maps = vocabulary.PointMap(
        "a.jpg",
        np.zeros((*shape, 3)),
        np.ones(shape),
        np.ones(shape, bool),
        vocabulary.PhotoFromMap(4.0, 4.0, 60.0, 0.0),
    )
    pixels = maps.photo_pixels()
    assert pixels.shape == (*shape, 2)
    assert pixels[0, 0] == pytest.approx([62, 2])
    assert pixels[-1, -1] == pytest.approx([118, 78])
    assert pixels[3, 7] == pytest.approx([60 + 7.5 * 4, 3.5 * 4])


def example() -> Reconstruction:
    """One camera whose map and cloud hold the same points, seen where the map says."""
    solved = camera(LENSES[2], 7)
    to_photo = vocabulary.PhotoFromMap(40.0, 40.0, 0.0, 0.0)
    shape = (20, 30)
    empty = vocabulary.PointMap(
        "a.jpg", np.zeros((*shape, 3), np.float32), np.ones(shape), np.ones(shape, bool), to_photo
    )
    depth = np.random.default_rng(2).uniform(2, 5, shape)
    local = solved.rays(empty.photo_pixels()) * depth[..., None]
    points = (local @ solved.world_from_camera[:3, :3].T + solved.world_from_camera[:3, 3]).astype(np.float32)
    flat = points.reshape(-1, 3)
    towards = solved.world_from_camera[:3, 3] - flat
    normals = (towards / np.linalg.norm(towards, axis=-1, keepdims=True)).astype(np.float32)
    cloud = vocabulary.PointCloud(
        flat, normals, np.zeros_like(flat, np.uint8), np.ones(len(flat)), np.zeros(len(flat), np.int32)
    )
    return Reconstruction(
        engine="test",
        licence="",
        photos=[Photo("a.jpg", "/a.jpg", 1200, 800, "")],
        cameras=[solved],
        pointmaps=[replace(empty, points=points)],
        cloud=cloud,
    )


def test_cameras_are_found_by_name() -> None:
    solved = example()
    assert solved.camera("a.jpg") is solved.cameras[0]
    assert solved.camera("b.jpg") is None


def test_another_world_shows_the_same() -> None:
    """Every camera sees every point where it saw it before. Normals turn along, and all distances grow alike."""
    before = example()
    solved = before.cameras[0]
    survey = [vocabulary.SurveyPoint("P1", (1.0, 2.0, 3.0), True, 0.5, 1.5, 3)]
    before = replace(
        before, shots=[vocabulary.Shot("clip.mp4", "/a.jpg", Fraction(25), 2, {1: solved, 2: solved})], survey=survey
    )
    matrix = np.eye(4)
    matrix[:3, :3] = 1.7 * rotation(11)
    matrix[:3, 3] = (4.0, -2.0, 9.0)
    after = transformed(before, matrix)
    assert before.cloud is not None
    assert after.cloud is not None
    pixels = solved.project(before.cloud.positions)
    for camera in (after.cameras[0], *after.shots[0].cameras.values()):
        assert np.abs(camera.project(after.cloud.positions) - pixels).max() < 1e-3
        assert camera.project(after.pointmaps[0].points).reshape(-1, 2) == pytest.approx(pixels, abs=1e-3)
    assert after.survey[0].error == pytest.approx(1.7 * 0.5)
    assert after.survey[0].pixel_error == 1.5
    towards = after.cameras[0].world_from_camera[:3, 3] - after.cloud.positions
    assert (towards * after.cloud.normals).sum(1) == pytest.approx(np.linalg.norm(towards, axis=1), rel=1e-5)
    assert after.pointmaps[0].depth(after.cameras[0]) == pytest.approx(
        1.7 * before.pointmaps[0].depth(solved), rel=1e-5
    )
