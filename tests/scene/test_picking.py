"""A click means the front-most point near it, in the free view and through a camera; only what is visible counts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from threer_blender.model.reconstruction import Reconstruction
from threer_blender.scene import build, cameras, picking, points
from threer_blender.scene.identity import CLOUD, ROLE
from threer_blender.scene.look import THRESHOLD

SIZE = (800, 600)


def perspective(focal: float = 1.5, near: float = 0.1, far: float = 100.0) -> Any:
    """A view along -z from the origin; y is up."""
    a, b = (far + near) / (near - far), 2 * far * near / (near - far)
    return np.array([(focal * 0.75, 0, 0, 0), (0, focal, 0, 0), (0, 0, a, b), (0, 0, -1, 0)])


def on_screen(matrix: Any, point: Sequence[float]) -> Any:
    clip = matrix @ (*point, 1.0)
    return (clip[:2] / clip[3] + 1) / 2 * SIZE


@pytest.mark.parametrize("matrix", [perspective(), np.diag((0.2, 0.25, -0.02, 1.0))], ids=["free", "orthographic"])
def test_the_front_most_surface_then_the_nearest_in_the_picture(matrix: Any) -> None:
    wall = np.array([(0.01, 0.0, -9.0), (0.0, 0.0, -9.0)])
    table = np.array([(0.03, 0.0, -4.0), (0.012, 0.0, -4.01), (0.0, 1.5, -4.0)])
    world = np.concatenate([wall, table])
    mouse = on_screen(matrix, (0.0, 0.0, -4.0))
    assert picking.pick(world, matrix, SIZE, mouse, 14) == 3
    assert picking.pick(world, matrix, SIZE, on_screen(matrix, (0.0, 1.5, -4.0)), 14) == 4
    assert picking.pick(world, matrix, SIZE, (5, 5), 14) == -1
    assert picking.pick(world[:0], matrix, SIZE, mouse, 14) == -1


def test_a_floor_at_a_low_angle_is_picked_under_the_mouse() -> None:
    z = -np.arange(3.0, 6.0, 0.01)
    floor = np.stack([np.zeros_like(z), np.full_like(z, -0.05), z], axis=1)
    matrix = perspective()
    mouse = on_screen(matrix, floor[150])
    nearest = on_screen(matrix, floor[0]) - mouse
    assert np.hypot(*nearest) < 14  # where the frontmost point of the floor is near the mouse, too
    assert picking.pick(floor, matrix, SIZE, mouse, 14) == 150


def test_what_is_under_the_mouse_goes_before_what_is_in_front_beside_it() -> None:
    matrix, stone, floor = perspective(), (0.0, 0.0, -4.0), (0.06, 0.0, -5.0)
    world, mouse = np.array([stone, floor]), on_screen(perspective(), floor)
    assert 5 < np.hypot(*(on_screen(matrix, stone) - mouse)) < 14
    assert picking.pick(world, matrix, SIZE, mouse, 14) == 1
    assert picking.pick(world[:1], matrix, SIZE, mouse, 14) == 0


def test_points_behind_the_view_are_not_picked() -> None:
    matrix = perspective()
    behind = np.array([(0.0, 0.0, 4.0)])
    assert picking.pick(behind, matrix, SIZE, on_screen(matrix, (0.0, 0.0, 4.0)), 50) == -1


def test_a_point_of_millions_is_found() -> None:
    rng = np.random.default_rng(0)
    world = rng.uniform((-3, -3, -9), (3, 3, -5), (picking.CHUNK + 1000, 3)).astype(np.float32)
    world[-1] = (0.5, 0.2, -4.0)
    matrix = perspective()
    assert picking.pick(world, matrix, SIZE, on_screen(matrix, world[-1]), 10) == len(world) - 1


def test_through_a_camera_on_its_plate(reconstruction: Reconstruction, tmp_path: Path) -> None:
    """The matrix that Blender has for a camera: a click on a pixel of the photo picks what the photo shows there."""
    root = build.build(reconstruction, tmp_path)
    scene = bpy.context.scene
    world = picking.visible_points(root)
    for obj in build.solved_cameras(root)[:5]:
        cameras.use_camera(scene, obj)
        width, height = scene.render.resolution_x, scene.render.resolution_y
        depsgraph = bpy.context.evaluated_depsgraph_get()
        aspect = {"scale_x": scene.render.pixel_aspect_x, "scale_y": scene.render.pixel_aspect_y}
        window = obj.calc_matrix_camera(depsgraph, x=width, y=height, **aspect)
        matrix = np.array(window @ obj.matrix_world.inverted())
        camera = reconstruction.camera(obj[cameras.PHOTO])
        pointmap = next(each for each in reconstruction.pointmaps if each.photo == obj[cameras.PHOTO])
        assert camera is not None
        row, column = np.argwhere(pointmap.mask)[len(np.argwhere(pointmap.mask)) // 2]
        x, y = camera.project(pointmap.points[row, column])
        index = picking.pick(world, matrix, (width, height), (x, height - y), 3.0)
        there = np.array(root.matrix_world) @ (*pointmap.points[row, column], 1)
        assert np.linalg.norm(world[index] - there[:3]) < 0.1


def test_what_is_hidden_is_not_picked(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    cloud = next(child for child in root.children if child.get(ROLE) == CLOUD)
    everything = len(picking.visible_points(root))
    points.set_input(cloud.modifiers[0], THRESHOLD, 5.0)
    assert reconstruction.cloud is not None
    confident = int((reconstruction.cloud.confidence >= 5.0).sum())
    assert len(picking.visible_points(root)) == confident < everything


def test_points_are_where_blender_shows_them(reconstruction: Reconstruction, tmp_path: Path) -> None:
    root = build.build(reconstruction, tmp_path)
    before = picking.visible_points(root)
    root.matrix_world = Matrix.Translation((1, 2, 3)) @ root.matrix_world
    bpy.context.view_layer.update()
    assert np.abs(picking.visible_points(root) - before - (1, 2, 3)).max() < 1e-4
