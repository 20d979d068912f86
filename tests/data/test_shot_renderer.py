"""The renderer of the benchmark's shots: what it calls true is where its pictures show it."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.data import shot_renderer
from threer_blender.geometry import rotations
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion
from threer_blender.model.reconstruction import Camera

WIDTH, HEIGHT = 96, 64
COLORS, SCALES = np.full((1, 4, 3), 0.5), np.ones(1)


def board(half: float, depth: float, cells: int = 16) -> SimpleNamespace:
    """A flat square of small triangles before the camera."""
    side = np.linspace(-half, half, cells + 1)
    vertices = np.stack([*np.meshgrid(side, side, indexing="ij"), np.full((cells + 1, cells + 1), depth)], axis=-1)
    first = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    corners = np.concatenate(
        [np.stack([first, first + 1, first + cells + 2], 1), np.stack([first, first + cells + 2, first + cells + 1], 1)]
    )
    vertices = vertices.reshape(-1, 3)
    return SimpleNamespace(
        vertices=vertices,
        normals=np.tile([0.0, 0.0, -1.0], (len(vertices), 1)),
        texture=vertices,
        tone=np.zeros(len(vertices)),
        corners=corners.astype(np.int32),
        paint=np.zeros(len(corners), np.int32),
    )


def pose(rotation_vector: tuple[float, float, float], centre: tuple[float, float, float]) -> Array:
    matrix = np.eye(4)
    matrix[:3, :3] = rotations.from_vectors(np.array([rotation_vector]))[0]
    matrix[:3, 3] = centre
    return matrix


@pytest.mark.parametrize(("k1", "k2", "aspect"), [(0.0, 0.0, 1.0), (-0.25, 0.05, 1.0), (0.05, 0.0, 2.0)])
def test_points_project_to_the_samples_that_show_them(k1: float, k2: float, aspect: float) -> None:
    lens = shot_renderer.Lens(WIDTH, HEIGHT, (70.0 / aspect, 70.0), (50.0, 30.0), k1, k2)
    stand = pose((0.1, -0.2, 0.05), (0.1, 0.05, -0.2))
    rendered = shot_renderer.render(board(3.0, 2.0), COLORS, SCALES, lens, np.repeat(stand[None], HEIGHT, axis=0))
    y, x = np.nonzero(np.isfinite(rendered.depth))
    assert len(y) > WIDTH * HEIGHT / 2
    points = rendered.points(y, x)
    np.testing.assert_allclose(points[:, 2], 2.0, atol=1e-9)
    camera = Camera("", WIDTH, HEIGHT, *lens.focal, *lens.centre, stand, Distortion("RADIAL", (k1, k2)))
    samples = np.stack([x, y], axis=1) + shot_renderer.SAMPLES[0]
    np.testing.assert_allclose(camera.project(points), samples, atol=1e-6)


def test_the_edge_of_a_board_is_where_the_lens_puts_it() -> None:
    """The share of the picture that the board covers is that of its true, curved outline."""
    lens = shot_renderer.Lens(WIDTH, HEIGHT, (70.0, 70.0), (48.0, 32.0), -0.2)
    rows = np.repeat(np.eye(4)[None], HEIGHT, axis=0)
    covered = (shot_renderer.render(board(0.7, 2.0), COLORS, SCALES, lens, rows).surface >= 0).mean()
    fine = (np.stack(np.meshgrid(np.arange(960), np.arange(640)), axis=-1) + 0.5) / 10
    ideal = lens.undistorted(fine)
    assert covered == pytest.approx((np.abs(ideal) < 0.35).all(axis=-1).mean(), abs=0.002)


def test_each_row_of_a_rolling_shutter_is_seen_from_its_own_place() -> None:
    lens = shot_renderer.Lens(WIDTH, HEIGHT, (70.0, 70.0), (48.0, 32.0))
    rows = np.stack([pose((0.0, 0.002 * row, 0.0), (0.01 * row, 0.0, 0.0)) for row in range(HEIGHT)])
    rendered = shot_renderer.render(board(4.0, 2.0, 40), COLORS, SCALES, lens, rows)
    y, x = np.nonzero(np.isfinite(rendered.depth))
    points = rendered.points(y, x)
    for row in (3, 31, 60):
        camera = Camera("", WIDTH, HEIGHT, 70.0, 70.0, 48.0, 32.0, rows[row])
        chosen = y == row
        samples = np.stack([x[chosen], y[chosen]], axis=1) + shot_renderer.SAMPLES[0]
        assert chosen.sum() > WIDTH / 2
        np.testing.assert_allclose(camera.project(points[chosen]), samples, atol=1e-6)


def test_the_nearer_of_two_boards_is_seen() -> None:
    near, far = board(0.3, 1.0), board(2.0, 2.0)
    count = len(near.vertices)
    both = SimpleNamespace(
        **{
            name: np.concatenate([getattr(far, name), getattr(near, name)])
            for name in ("vertices", "normals", "texture", "tone", "paint")
        },
        corners=np.concatenate([far.corners, near.corners + count]),
    )
    lens = shot_renderer.Lens(WIDTH, HEIGHT, (70.0, 70.0), (48.0, 32.0))
    rendered = shot_renderer.render(both, COLORS, SCALES, lens, np.repeat(np.eye(4)[None], HEIGHT, axis=0))
    assert rendered.depth[32, 48] == pytest.approx(1.0)
    assert rendered.depth[32, 4] == pytest.approx(2.0)
    assert rendered.surface[32, 48, 0] >= len(far.corners) > rendered.surface[32, 4, 0]
