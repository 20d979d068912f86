"""The camera between solved frames, in a ray-cast world: found to a hundredth of a degree, or not given."""

import numpy as np
import pytest

from tests.runtime.synthetic import Shot, shots, sparse_points
from threer_blender.geometry.sfm import camera_tracking
from threer_blender.model.reconstruction import Camera

WIDTH, HEIGHT = 480, 320


@pytest.fixture(scope="module")
def filmed() -> list[Shot]:
    """Seven frames, two degrees of an arc apart and bobbing up and down."""
    return shots(7, WIDTH, HEIGHT, step_degrees=2.0)


@pytest.fixture(scope="module")
def positions(filmed: list[Shot]):
    return np.concatenate([points for points, _ in sparse_points(filmed[::3], 2000)])


def camera(shot: Shot) -> Camera:
    k = shot.intrinsics
    return Camera("", WIDTH, HEIGHT, k[0, 0], k[1, 1], k[0, 2], k[1, 2], shot.world_from_camera)


def grey(shot: Shot):
    return shot.image.mean(-1).astype(np.float32)


def follow(filmed: list[Shot], positions, keys=(1, 4, 7), pictures=None):
    pictures = pictures or [grey(shot) for shot in filmed]
    solved = {number: camera(filmed[number - 1]) for number in keys}
    return dict(
        camera_tracking.follow(solved, positions, lambda n: pictures[n - 1], range(1, len(filmed) + 1), lambda _: None)
    )


def off(found: Camera, shot: Shot) -> tuple[float, float]:
    """Degrees of turn and units of place by which a camera is wrong."""
    turn = found.world_from_camera[:3, :3].T @ shot.world_from_camera[:3, :3]
    degrees = np.degrees(np.linalg.norm(camera_tracking.rotation_vector(turn)))
    return degrees, float(np.linalg.norm(found.world_from_camera[:3, 3] - shot.world_from_camera[:3, 3]))


def test_frames_between_are_where_they_were(filmed, positions):
    found = follow(filmed, positions)
    assert sorted(found) == [1, 2, 3, 4, 5, 6, 7]
    for number, shot in enumerate(filmed, start=1):
        degrees, distance = off(found[number], shot)
        assert degrees < 0.05
        assert distance < 0.004  # at a distance of 4; evenly between the keys would be off by 0.02 and more


def test_frames_before_the_first_and_after_the_last_key(filmed, positions):
    found = follow(filmed, positions, keys=(3, 5))
    assert {2, 4, 6} <= set(found)
    assert max(off(found[number], filmed[number - 1])[0] for number in (2, 4, 6)) < 0.05


def test_a_frame_that_shows_something_else_has_no_camera(filmed, positions):
    pictures = [grey(shot) for shot in filmed]
    pictures[1] = np.random.default_rng(0).normal(128, 40, (HEIGHT, WIDTH)).astype(np.float32)
    found = follow(filmed, positions, pictures=pictures)
    assert sorted(found) == [1, 3, 4, 5, 6, 7]


def test_rotations_and_their_vectors():
    for vector in np.random.default_rng(1).normal(size=(20, 3)):
        turned = camera_tracking.rotation(vector)
        assert np.allclose(turned @ vector, vector)
        assert np.allclose(turned @ turned.T, np.eye(3))
        assert np.allclose(camera_tracking.rotation_vector(turned), vector) or np.linalg.norm(vector) > np.pi
    quarter = camera_tracking.rotation(np.array([0, 0, np.pi / 2]))
    assert np.allclose(quarter @ [1, 0, 0], [0, 1, 0])
