"""The guess of what is up, where the ground is and how large it all is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.blender.world import CAMERAS, camera, looking_at
from threer_blender.model.reconstruction import Camera, Reconstruction
from threer_blender.scene import axes

UP = np.array((0.0, -1.0, 0.0))  # in the test world


def degrees(a: Any, b: Any) -> Any:
    return np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))


def circle(count: int, pitch_down: float = 30.0, roll: float = 0.0, seed: int = 0) -> Any:
    """Cameras around the origin, all looking down by the same angle."""
    rng = np.random.default_rng(seed)
    cameras = []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        eye = np.array((4 * np.sin(angle), -4 * np.tan(np.radians(pitch_down)), -4 * np.cos(angle)))
        cameras.append(camera(f"{angle}.jpg", 320, 240, 300, pose=looking_at(eye, (0, 0, 0), roll=rng.normal(0, roll))))
    return cameras


def test_up_from_a_circle() -> None:
    assert degrees(axes.up_direction(circle(12)), UP) < 0.01


def test_up_from_a_quarter_circle_that_looks_down() -> None:
    """The mean of the cameras' up would be far off here; level horizons are not."""
    quarter = circle(24)[:6]
    mean = np.mean([-c.world_from_camera[:3, 1] for c in quarter], axis=0)
    assert degrees(mean, UP) > 25
    assert degrees(axes.up_direction(quarter), UP) < 5


def test_up_with_hand_held_roll() -> None:
    assert degrees(axes.up_direction(circle(12, roll=4.0)), UP) < 3


def test_up_with_photos_that_stand_sideways() -> None:
    cameras = circle(9)
    for number in (1, 5):
        cameras[number] = replace(
            cameras[number],
            world_from_camera=looking_at(cameras[number].world_from_camera[:3, 3], (0, 0, 0), roll=90),
        )
    assert degrees(axes.up_direction(cameras), UP) < 2


def test_up_where_all_cameras_look_alike() -> None:
    row = [camera(f"{x}", 320, 240, 300, pose=looking_at((x, -1, -4), (x, -1, 0))) for x in range(5)]
    assert degrees(axes.up_direction(row), UP) < 0.1


def test_up_from_one_camera_and_from_opposite_ones() -> None:
    one = camera("1", 320, 240, 300, pose=np.eye(4))
    half_turn = np.diag((-1.0, -1.0, 1.0, 1.0))
    assert degrees(axes.up_direction([one]), UP) < 0.1
    assert np.isfinite(axes.up_direction([one, camera("2", 320, 240, 300, pose=half_turn)])).all()


def in_another_world(reconstruction: Reconstruction, seed: int) -> Any:
    """The same reconstruction in another world frame, as structure from motion makes them."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    scale, shift = rng.uniform(0.1, 10), rng.normal(0, 5, 3)

    def moved(camera: Camera) -> Any:
        pose = camera.world_from_camera
        there = np.eye(4)
        there[:3, :3], there[:3, 3] = rotation @ pose[:3, :3], scale * rotation @ pose[:3, 3] + shift
        return replace(camera, world_from_camera=there)

    cloud = reconstruction.cloud
    assert cloud is not None
    positions = (scale * cloud.positions @ rotation.T + shift).astype(np.float32)
    cloud = replace(cloud, positions=positions, normals=(cloud.normals @ rotation.T).astype(np.float32))
    return replace(reconstruction, cameras=[moved(camera) for camera in reconstruction.cameras], cloud=cloud)


@pytest.mark.parametrize("seed", range(3))
def test_root(reconstruction: Reconstruction, seed: int) -> None:
    """Whatever the world frame: floor flat at z = 0, ball above it, first camera looking along +y, a handy size."""
    moved = in_another_world(reconstruction, seed)
    matrix = np.array(axes.root_matrix(moved))
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    assert moved.cloud is not None
    assert reconstruction.cloud is not None
    points = moved.cloud.positions @ matrix[:3, :3].T + matrix[:3, 3]
    on_floor = reconstruction.cloud.positions[:, 1] > -1e-4
    assert np.percentile(np.abs(points[on_floor, 2]), 90) < 0.1
    assert points[~on_floor, 2].max() > 0.3
    assert np.abs(np.median(points[:, :2], axis=0)).max() < 1e-3
    directions = matrix[:3, :3] @ moved.cameras[0].world_from_camera[:3, 2] / scale
    assert directions[1] > 0.5
    assert abs(directions[0]) < 1e-6
    distances = [np.median(axes.visible_depths(c, moved.cloud.positions)) * scale for c in moved.cameras]
    assert np.median(distances) == pytest.approx(axes.HANDY_DISTANCE, rel=0.01)


def test_floor_levels_what_cameras_left_askew() -> None:
    rng = np.random.default_rng(0)
    floor = np.array((0.1, -1.0, 0.05)) / np.linalg.norm((0.1, -1.0, 0.05))
    noisy = np.concatenate([floor + rng.normal(0, 0.05, (300, 3)), rng.normal(size=(700, 3))])
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    assert degrees(axes.levelled(UP, noisy), floor) < 1


def test_walls_do_not_level() -> None:
    walls = np.tile([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0]], (100, 1))
    assert (axes.levelled(UP, walls) == UP).all()


def test_metric_keeps_its_scale(reconstruction: Reconstruction) -> None:
    matrix = np.array(axes.root_matrix(replace(reconstruction, metric=True)))
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1, abs=1e-5)


def test_root_without_points() -> None:
    matrix = np.array(axes.root_matrix(Reconstruction("test", "", [], CAMERAS)))
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1, abs=1e-5)


def test_camera_that_looks_straight_down() -> None:
    down = camera("down", 320, 240, 300, pose=looking_at((0, -4, 1e-3), (0, 0, 0)))
    matrix = np.array(axes.root_matrix(Reconstruction("test", "", [], [down])))
    assert np.isfinite(matrix).all()
    assert np.linalg.det(matrix[:3, :3]) == pytest.approx(1, abs=1e-5)
