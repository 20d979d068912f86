"""The shots of the benchmark: the truth that is written beside a frame is that of its picture."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.data import make_shots
from tests.data.shot_moves import Shot, constant
from tests.data.test_shot_renderer import COLORS, SCALES, board
from threer_blender.model.reconstruction import Camera


def test_the_points_of_a_frame_lie_where_its_camera_shows_them() -> None:
    shot = Shot("small", "free", 2, lambda _: np.eye(4), constant(70.0), 96, 64, pixel_aspect=2.0, centre=(3.0, -2.0))
    flat = board(3.0, 2.0)
    world: Any = SimpleNamespace(
        at=lambda *_: flat, colors=COLORS, scales=SCALES, first_walker_triangle=len(flat.corners)
    )
    pixels, mask, record = make_shots.frame(world, shot, 0)
    assert pixels.shape == (64, 96, 3)
    assert mask is None
    assert (record["fx"], record["fy"], record["cx"], record["cy"]) == (35.0, 70.0, 51.0, 30.0)
    pose = np.array(record["world_from_camera"])
    camera = Camera("", 96, 64, record["fx"], record["fy"], record["cx"], record["cy"], pose)
    projected = camera.project(np.array(record["points"]))
    columns, rows = (np.arange(count) + 0.5 for count in make_shots.GRID)
    x, y = np.meshgrid(np.floor(columns / len(columns) * 96) + 0.5, np.floor(rows / len(rows) * 64) + 0.5)
    # Each point's distance from the nearest centre of a pixel of the grid. Below half a pixel, it is inside that pixel.
    distance = np.abs(projected[:, None] - np.stack([x.ravel(), y.ravel()], axis=1)).max(axis=2).min(axis=1)
    assert len(projected) > 60
    assert distance.max() < 0.5
