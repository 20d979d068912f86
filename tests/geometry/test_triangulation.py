"""Points from matches of two cameras, in a world whose truth is known."""

import numpy as np

from tests import oracle
from threer_blender.geometry import triangulation
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera

RANDOM = np.random.default_rng(0)


def camera(view: oracle.View) -> Camera:
    height, width = view.depth.shape
    fx, fy, (cx, cy) = view.intrinsics[0, 0], view.intrinsics[1, 1], view.intrinsics[:2, 2]
    return Camera("", width, height, fx, fy, cx, cy, view.world_from_camera)


def test_triangulation_is_exact_and_minimises_the_reprojection_errors() -> None:
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
    actual = triangulation.triangulate(noisy[0], noisy[1], first, second)
    # In units of a room up to 9 deep, seen in pictures 64 pixels wide.
    assert np.median(np.linalg.norm(actual.points - points, axis=1)) < 0.2

    def error(moved: Array) -> Array:
        return sum(((c.project(moved) - pixels) ** 2).sum(1) for c, pixels in zip((first, second), noisy, strict=True))

    for direction in np.eye(3):
        for step in (-1e-3, 1e-3):
            assert (error(actual.points) < error(actual.points + step * direction)).all()


def test_parallel_rays_and_points_behind_the_cameras_are_reported() -> None:
    """Parallel rays have an angle of 0; points behind the cameras have an infinite error."""
    views = oracle.orbit(2, degrees=25)
    first, second = map(camera, views)
    middle = np.array([[32.0, 24.0]])
    parallel = triangulation.triangulate(middle, middle, first, first)
    assert np.isfinite(parallel.points).all()
    assert parallel.angles[0] < 1e-6
    # A point behind both cameras, at the pixels where its projection through the centre would be.
    behind = views[0].world_from_camera[:3] @ (0.2, 0.1, -3, 1)
    mirrored = [
        c.intrinsics @ (c.camera_from_world @ (*behind, 1))[:3] / (c.camera_from_world @ (*behind, 1))[2]
        for c in (first, second)
    ]
    assert triangulation.triangulate(mirrored[0][None, :2], mirrored[1][None, :2], first, second).errors[0] == np.inf
