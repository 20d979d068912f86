"""Corners of rendered boards against the truth, cut off, nested and distorted; nothing where there is no board."""

import numpy as np
import pytest

from threer_blender.geometry.grids import boards, calibration
from threer_blender.model.arrays import Array
from threer_blender.model.lens import Distortion

from .rendered import HEIGHT, POSES, WIDTH, photo, pose, project


def errors(board: boards.Board, camera_from_board: Array, step: float = 1.0) -> Array:
    """(N,) distances in px from each corner found to the nearest true one. No true corner may be found twice."""
    lines = np.arange(-20, 21) * step
    true = project(camera_from_board, np.stack(np.meshgrid(lines, lines), axis=-1).reshape(-1, 2))
    distance = np.linalg.norm(board.pixels[:, None] - true, axis=2)
    assert len(set(distance.argmin(axis=1))) == len(board.pixels)
    return distance.min(axis=1)


def visible(camera_from_board: Array, columns: int, rows: int) -> int:
    """The number of true corners that lie in the picture, 25 px or more from its edge.

    The board has `columns` and `rows` of corners to each side of its middle.
    """
    plane = np.meshgrid(np.arange(-columns, columns + 1.0), np.arange(-rows, rows + 1.0))
    true = project(camera_from_board, np.stack(plane, axis=-1).reshape(-1, 2))
    return int(((true > 25) & (true < (WIDTH - 25, HEIGHT - 25))).all(axis=1).sum())


@pytest.mark.parametrize("view", POSES)
def test_corners_are_where_they_are(view: tuple[tuple[float, ...], tuple[float, ...]]) -> None:
    camera_from_board = pose(*view)
    (board,) = boards.find(photo(camera_from_board))
    assert visible(camera_from_board, 4, 3) <= len(board.cells) <= 9 * 7
    assert tuple(np.ptp(board.cells, axis=0)) in ((8, 6), (6, 8))
    off = errors(board, camera_from_board)
    assert np.sqrt((off**2).mean()) < 0.05
    assert off.max() < 0.15


def test_rows_and_columns_are_those_of_the_board() -> None:
    camera_from_board = pose(*POSES[1])
    (board,) = boards.find(photo(camera_from_board, Distortion("SIMPLE_RADIAL", (0.0,))))
    matrix = calibration.homography(board.cells.astype(float), board.pixels)
    projected = np.column_stack([board.cells, np.ones(len(board.cells))]) @ matrix.T
    assert np.linalg.norm(projected[:, :2] / projected[:, 2:] - board.pixels, axis=1).max() < 0.2


def test_a_board_that_fills_the_picture_is_taken_as_far_as_it_is_visible() -> None:
    camera_from_board = pose((0.0, 0.1, 0.2), (0.0, 0.0, 7.0))
    (board,) = boards.find(photo(camera_from_board, columns=30, rows=30))
    assert len(board.cells) >= visible(camera_from_board, 20, 20) > 25
    assert errors(board, camera_from_board).max() < 0.2


def test_a_nested_board_is_one_of_its_own() -> None:
    camera_from_board = pose((0.1, 0.1, 0.0), (0.0, 0.0, 6.0))
    both = boards.find(photo(camera_from_board, nested=True))
    fine, large = sorted(both, key=lambda board: float(np.ptp(board.pixels[:, 0])))
    assert np.percentile(errors(fine, camera_from_board, 1 / 6), 90) < 0.4  # px, of squares of about 11 px
    assert errors(large, camera_from_board).max() < 0.15


def test_pictures_without_a_board_have_none() -> None:
    random = np.random.default_rng(0)
    assert boards.find(np.full((HEIGHT, WIDTH, 3), 128, np.uint8)) == []
    assert boards.find(random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)) == []
    stripes = np.repeat(((np.arange(WIDTH) // 20) % 2 * 200).astype(np.uint8)[None], HEIGHT, axis=0)
    assert boards.find(np.repeat(stripes[..., None], 3, axis=2)) == []


def test_a_large_photo_is_refined_at_its_full_size() -> None:
    camera_from_board = pose(*POSES[2])
    (board,) = boards.find(photo(camera_from_board, scale=3))
    assert visible(camera_from_board, 4, 3) <= len(board.cells) <= 9 * 7
    scaled = boards.Board(board.cells, board.pixels / 3)
    assert errors(scaled, camera_from_board).max() < 0.15
