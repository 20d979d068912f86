"""Centres of rendered dots against the truth, symmetric and asymmetric, dark and bright, cut off and distorted."""

import numpy as np
import pytest

from threer_blender.geometry.grids import boards, calibration, dots
from threer_blender.model import lens
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion

from .rendered import BARREL, CENTRE, FOCAL, HEIGHT, POSES, WIDTH, photo, pose, project

RADIUS = 0.28  # of a step


def dotted(camera_from_board: Array, asymmetric: bool = False, bright: bool = False, columns: int = 10) -> Array:
    """(H, W, 3) uint8 picture of a grid of dots, one unit apart, whose edges are a pixel wide."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    plane = lens.undistort(BARREL, (np.stack([x, y], axis=-1) - CENTRE) / FOCAL)
    rays = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)
    board = rays @ np.linalg.inv(camera_from_board[:, [0, 1, 3]]).T
    board = board[..., :2] / board[..., 2:]
    nearest = centres(asymmetric, board)
    half = np.array([columns / 2, 0.8 * columns / 2])
    distance = np.linalg.norm(board - nearest, axis=-1)
    # A pixel's length is measured on the board, along the line to the nearest dot's centre. The dot's edge cuts the
    # pixel there, and the dot covers this `share` of it.
    steps = np.hypot(*np.gradient(board[..., 0])), np.hypot(*np.gradient(board[..., 1]))
    direction = np.abs(board - nearest) / np.maximum(distance, 1e-9)[..., None]
    pixel_length = np.hypot(direction[..., 0] * steps[0], direction[..., 1] * steps[1])
    share = ((RADIUS - distance) / pixel_length + 0.5).clip(0, 1) * (np.abs(nearest) < half).all(axis=-1)
    grey = 210 - 170 * share if not bright else 40 + 170 * share
    grey = grey + 1.5 * np.random.default_rng(0).standard_normal(share.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def centres(asymmetric: bool, board: Array) -> Array:
    """The dots nearest to places (..., 2) of the board: on a square lattice, or on one that lies diagonally."""
    if not asymmetric:
        return np.round(board)
    diagonal = np.stack([board[..., 0] + board[..., 1], board[..., 0] - board[..., 1]], axis=-1) / 2**0.5
    near = np.round(diagonal)
    return np.stack([near[..., 0] + near[..., 1], near[..., 0] - near[..., 1]], axis=-1) / 2**0.5


def errors(grid: boards.Board, camera_from_board: Array, asymmetric: bool) -> Array:
    """(N,) px from each dot of the `grid` to the nearest true one. No true dot may be nearest to two."""
    lines = np.arange(-20, 21) / (2**0.5 if asymmetric else 1)
    places = np.stack(np.meshgrid(lines, lines), axis=-1).reshape(-1, 2)
    true = project(camera_from_board, places)
    if asymmetric:
        true = true[np.isclose(centres(True, places), places).all(axis=1)]
    distance = np.linalg.norm(grid.pixels[:, None] - true, axis=2)
    assert len(set(distance.argmin(axis=1))) == len(grid.pixels)
    return distance.min(axis=1)


@pytest.mark.parametrize("asymmetric", [False, True])
@pytest.mark.parametrize("view", POSES[1:])
def test_centres_are_where_they_are(view: tuple[tuple[float, ...], tuple[float, ...]], asymmetric: bool) -> None:
    camera_from_board = pose(*view)
    (grid,) = dots.find(dotted(camera_from_board, asymmetric, bright=asymmetric))
    assert len(grid.cells) > 50
    off = errors(grid, camera_from_board, asymmetric)
    assert np.sqrt((off**2).mean()) < 0.05
    assert off.max() < 0.2


def test_a_grid_that_fills_the_picture_is_taken_as_far_as_it_is_visible() -> None:
    camera_from_board = pose((0.0, 0.2, 0.2), (0.0, 0.0, 12.0))
    (grid,) = dots.find(dotted(camera_from_board, columns=40))
    assert len(grid.cells) > 90
    assert errors(grid, camera_from_board, False).max() < 0.3


def test_the_lens_is_the_one_that_filmed_the_dots() -> None:
    for asymmetric in (False, True):
        grids = [dots.find(dotted(pose(*view), asymmetric))[0] for view in POSES]
        solved = calibration.calibrate(grids, (WIDTH, HEIGHT), None)
        assert solved.focal == pytest.approx(FOCAL, rel=0.004)
        assert solved.centre == pytest.approx(CENTRE, abs=1.5)
        assert solved.distortion.params[0] == pytest.approx(BARREL.params[0], abs=0.03)
        assert solved.rms < 0.08


def test_pictures_without_dots_have_none() -> None:
    random = np.random.default_rng(0)
    assert dots.find(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)) == []
    assert dots.find(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)) == []
    # Upright bars, broken along a slope: the first rows of a shrunk checkerboard, enlarged again, mostly in height.
    coarse = photo(pose(*POSES[0]), Distortion("SIMPLE_RADIAL", (0.0,)))[::4, ::4]
    assert dots.find(np.repeat(np.repeat(coarse[:6], 40, axis=0), 4, axis=1)) == []
