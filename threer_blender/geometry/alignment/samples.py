"""[R] A grid of pixels of every photo, and each prediction's values there: the input of the alignment. numpy only.

The more predictions there are of a photo, the fewer of its pixels are sampled, so that memory grows with the number of
photos, not of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...model.arrays import Float32Array, FloatArray, IntArray
from ..focal import focal_from_points
from ..pairs.pairs import Edge, PairSide, PairStore
from .solver import Samples

CONFIDENT = 1.5
"""Confidence above which a pixel has a counterpart in the other photo. The networks' confidences begin at 1."""
_PIXELS_OF_ALL = 12_000  # sampled in a photo, times the number of its predictions: the aim, within the limits below
_MOST_PIXELS, _LEAST_PIXELS = 400, 64  # limits of the number of pixels sampled in a photo, before its stride is rounded
_MEDIAN_ROUNDS = 8  # of reweighting


@dataclass(frozen=True)
class Grid:
    """Every `stride`-th pixel, from `start` on, of both axes of a map (`height`, `width`): `rows` times `columns`
    pixels."""

    start: int
    stride: int
    rows: int
    columns: int
    height: int
    width: int

    @classmethod
    def of(cls, edges: Sequence[Edge], sides: list[tuple[int, int]]) -> Grid:
        """The grid of a photo whose predictions are `sides`, as in Sampled, of the `edges`."""
        if not sides:
            return cls(0, 1, 0, 0, 0, 0)
        edge = edges[sides[0][0]]
        height, width = edge.shape_second if sides[0][1] else edge.shape_first
        wanted = np.clip(_PIXELS_OF_ALL / len(sides), _LEAST_PIXELS, _MOST_PIXELS)
        stride = max(1, round(float(np.sqrt(height * width / wanted))))
        start = stride // 2
        return cls(start, stride, len(range(start, height, stride)), len(range(start, width, stride)), height, width)

    @property
    def principal_point(self) -> tuple[float, float]:
        """x and y of the map's middle in pixels of the grid, the first one's centre being at (0.5, 0.5)."""
        shift = self.start + 0.5 - 0.5 * self.stride
        return (self.width / 2 - shift) / self.stride, (self.height / 2 - shift) / self.stride

    def pixels(self) -> FloatArray:
        """(S, 2) x and y of the sampled pixels from the map's middle, in map pixels."""
        x = self.start + 0.5 + self.stride * np.arange(self.columns) - self.width / 2
        y = self.start + 0.5 + self.stride * np.arange(self.rows) - self.height / 2
        return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


class Sampled:
    """A grid of pixels of each of `count` photos, and the values there of the predictions `numbers` (E,) of a store.

    From here on, predictions are numbered by their index in `numbers`. `sides[photo]` lists the k predictions of a
    photo as (prediction, side), the side being 0 where it is the pair's first photo, else 1. `points[photo]` (k, S, 3)
    are their values at the photo's S sampled pixels, in the prediction's frame. `weights[photo]` (k, S) are the
    logarithms of their confidence, times the number of map pixels that a sample stands for.

    For both sides of each prediction, `confident_share` (E, 2) is the share of samples whose confidence exceeds
    CONFIDENT, and `mean_weight` (E, 2) the mean logarithm of the confidence.
    """

    def __init__(self, store: PairStore, count: int, numbers: IntArray) -> None:
        self.numbers = numbers
        self.edges = [store.edges[number] for number in numbers]
        self.sides: list[list[tuple[int, int]]] = [[] for _ in range(count)]
        for index, edge in enumerate(self.edges):
            self.sides[edge.first].append((index, 0))
            self.sides[edge.second].append((index, 1))
        self._store = store
        self.points: list[FloatArray] = []
        self.weights: list[FloatArray] = []
        self.grids = [Grid.of(self.edges, sides) for sides in self.sides]
        self.confident_share = np.zeros((len(numbers), 2))
        self.mean_weight = np.zeros((len(numbers), 2))
        for sides, grid in zip(self.sides, self.grids, strict=True):
            points = np.zeros((len(sides), grid.rows * grid.columns, 3))
            weights = np.zeros(points.shape[:2])
            for row, (index, side) in enumerate(sides):
                side_values = self.read(index, side)
                at_grid = side_values.points[grid.start :: grid.stride, grid.start :: grid.stride].reshape(-1, 3)
                confidence = side_values.confidence[grid.start :: grid.stride, grid.start :: grid.stride].ravel()
                usable = np.isfinite(at_grid).all(1) & np.isfinite(confidence) & (confidence > 1)
                points[row, usable] = at_grid[usable]
                weights[row, usable] = np.log(confidence[usable])
                self.confident_share[index, side] = (confidence[usable] > CONFIDENT).sum() / len(usable)
                self.mean_weight[index, side] = weights[row].mean()
            self.points.append(points)
            self.weights.append(weights * grid.stride**2)

    def read(self, index: int, side: int, rows: slice = slice(None)) -> PairSide:
        """One side of a prediction: all pixels of the `rows`."""
        return self._store.read(int(self.numbers[index]), side, rows)

    def camera_points(self, photo: int) -> FloatArray:
        """(S, 3) the photo's sampled points in its own frame: the spatial median of its predictions, each scaled to a
        median depth of 1.

        All zero where there is no prediction, or no camera could see such points.
        """
        rows = [row for row, (_, side) in enumerate(self.sides[photo]) if side == 0]
        points, weights = self.points[photo][rows], self.weights[photo][rows]
        counted = weights > 0
        for row in np.flatnonzero(counted.any(1)):
            depth = np.median(points[row, counted[row], 2])
            points[row] /= max(depth, 1e-12)
            weights[row] *= depth > 0  # a prediction that lies behind its own camera does not count
        irls_weight = weights
        median = np.zeros(points.shape[1:])
        for _ in range(_MEDIAN_ROUNDS):
            median = (irls_weight[..., None] * points).sum(0) / np.maximum(irls_weight.sum(0), 1e-12)[:, None]
            irls_weight = weights / np.maximum(np.linalg.norm(points - median, axis=-1), 1e-3)
        try:
            self.focal(photo, median)
        except ValueError:
            return np.zeros_like(median)
        return median

    def focal(self, photo: int, camera_points: FloatArray) -> float:
        """The focal length in map pixels that the photo's `camera_points` (S, 3) imply. Raises ValueError where they
        imply none."""
        grid = self.grids[photo]
        rows = [row for row, (_, side) in enumerate(self.sides[photo]) if side == 0]
        weight = self.weights[photo][rows].sum(0).reshape(grid.rows, grid.columns)
        return grid.stride * focal_from_points(
            camera_points.reshape(grid.rows, grid.columns, 3), weight, grid.principal_point
        )

    def depths(self, photo: int, depth: Float32Array) -> FloatArray:
        """(S,) a photo's depth map (H, W) at its sampled pixels."""
        grid = self.grids[photo]
        return depth[grid.start :: grid.stride, grid.start :: grid.stride].ravel().astype(np.float64)

    def samples(self, photos: IntArray, used: IntArray) -> list[Samples]:
        """The solver's input for the `photos` and the predictions `used`, both renumbered in that order."""
        number = {int(pair): at for at, pair in enumerate(used)}
        views = []
        for photo in photos:
            rows = [row for row, (index, _) in enumerate(self.sides[photo]) if index in number]
            pairs = np.array([number[self.sides[photo][row][0]] for row in rows], np.int64)
            views.append(
                Samples(self.grids[photo].pixels(), pairs, self.points[photo][rows], self.weights[photo][rows])
            )
        return views
