"""[R] A pairwise network's prediction of two photos, and a store that keeps predictions on disk. numpy only.

DUSt3R's output (Wang et al., CVPR 2024, eq. 1): two pointmaps, both in the frame of the first photo's camera, in a unit
that differs from pair to pair. MASt3R adds matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...model.arrays import AnyFloatArray, Float32Array

_POINT_BYTES, _CONFIDENCE_BYTES = 6, 2  # of a pixel in the store: three half-precision coordinates, one confidence


@dataclass(frozen=True)
class PairPrediction:
    """Pointmaps of the photos with the indices `first` and `second`, both in camera `first`'s frame with OpenCV axes.

    `points_first` (H1, W1, 3) and `points_second` (H2, W2, 3) are in the prediction's own unit. `confidence_first`
    (H1, W1) and `confidence_second` (H2, W2) are the network's, above 1, higher being more reliable. Where the network
    failed, numbers are not finite.
    """

    first: int
    second: int
    points_first: AnyFloatArray
    points_second: AnyFloatArray
    confidence_first: AnyFloatArray
    confidence_second: AnyFloatArray


@dataclass(frozen=True)
class Matches:
    """Pixels of the photos with the indices `first` and `second` that show the same point.

    `pixels_first` (M, 2) and `pixels_second` (M, 2) are x, y in map pixels, the centre of the top-left one at
    (0.5, 0.5); `confidence` (M,) is higher for more reliable matches.
    """

    first: int
    second: int
    pixels_first: AnyFloatArray
    pixels_second: AnyFloatArray
    confidence: AnyFloatArray

    def thinned(self, most: int) -> Matches:
        """At most `most` of the matches, evenly chosen."""
        chosen = np.linspace(0, len(self.confidence) - 1, min(len(self.confidence), most)).astype(int)
        parts = self.pixels_first[chosen], self.pixels_second[chosen], self.confidence[chosen]
        return Matches(self.first, self.second, *parts)


@dataclass(frozen=True)
class Edge:
    """A prediction in the store: the indices of its photos, the shapes (H, W) of its pointmaps, and its `offset` in
    bytes in the store's file. The network's points are the stored ones times 2**`exponent`."""

    first: int
    second: int
    shape_first: tuple[int, int]
    shape_second: tuple[int, int]
    exponent: int
    offset: int


@dataclass(frozen=True)
class PairSide:
    """One side of a prediction: `points` (H, W, 3) float32 and `confidence` (H, W) float32 of one photo."""

    points: Float32Array
    confidence: Float32Array


class PairStore:
    """Predictions on disk in half precision, read one side at a time: memory does not grow with the number of pairs.

    Points are divided by a power of two before they are stored, so that their median is near 1 and 11 bits of each
    coordinate survive, whatever the network's unit. `folder` must exist; the caller removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.edges: list[Edge] = []
        self._path = folder / "predictions.f16"
        self._path.touch()
        self._size = 0

    def __len__(self) -> int:
        return len(self.edges)

    def add(self, prediction: PairPrediction) -> None:
        """Appends one prediction."""
        sides = (
            (prediction.points_first, prediction.confidence_first),
            (prediction.points_second, prediction.confidence_second),
        )
        coordinates = np.abs(np.concatenate([np.asarray(points, np.float32).ravel() for points, _ in sides]))
        coordinates = coordinates[np.isfinite(coordinates) & (coordinates > 0)]
        exponent = int(np.frexp(np.median(coordinates))[1]) if len(coordinates) else 0
        self.edges.append(
            Edge(
                prediction.first,
                prediction.second,
                _map_shape(prediction.confidence_first),
                _map_shape(prediction.confidence_second),
                exponent,
                self._size,
            )
        )
        with self._path.open("ab") as file:
            for points, confidence in sides:
                scaled = np.ldexp(np.asarray(points, np.float32), -exponent)
                for values in (scaled, np.asarray(confidence, np.float32)):
                    # A point beyond the largest half-precision number becomes infinite, which marks it as no point.
                    with np.errstate(over="ignore"):
                        half = values.astype(np.float16)
                    file.write(half.tobytes())
            self._size = file.tell()

    def read(self, index: int, side: int, rows: slice = slice(None)) -> PairSide:
        """One side of prediction `index`: 0 is the first photo's pointmap, 1 the second's, both in the first's frame.

        Only the map's `rows` are read, which must be consecutive.
        """
        height, width = self._shape(index, side)
        first, last, _ = rows.indices(height)
        start = self._start(index, side) + _POINT_BYTES * first * width
        points = np.fromfile(self._path, np.float16, 3 * (last - first) * width, offset=start)
        return PairSide(
            np.ldexp(points.astype(np.float32), self.edges[index].exponent).reshape(-1, width, 3),
            self.confidence(index, side, rows),
        )

    def confidence(self, index: int, side: int, rows: slice = slice(None)) -> AnyFloatArray:
        """As `read`, but only the confidence (rows, W) float32."""
        height, width = self._shape(index, side)
        first, last, _ = rows.indices(height)
        start = self._start(index, side) + _POINT_BYTES * height * width + _CONFIDENCE_BYTES * first * width
        values = np.fromfile(self._path, np.float16, (last - first) * width, offset=start)
        return values.astype(np.float32).reshape(-1, width)

    def _shape(self, index: int, side: int) -> tuple[int, int]:
        edge = self.edges[index]
        return edge.shape_second if side else edge.shape_first

    def _start(self, index: int, side: int) -> int:
        """The byte of the file where one side of a prediction begins."""
        height, width = self.edges[index].shape_first
        return self.edges[index].offset + ((_POINT_BYTES + _CONFIDENCE_BYTES) * height * width if side else 0)

    def sides(self, photo: int) -> list[tuple[int, int]]:
        """(index, side) of all predictions of a photo, in the order in which they were added."""
        return [
            (index, side)
            for index, edge in enumerate(self.edges)
            for side, pictured in enumerate((edge.first, edge.second))
            if pictured == photo
        ]

    def __iter__(self) -> Iterator[PairPrediction]:
        """All predictions, read one at a time, rounded to half precision."""
        for index, edge in enumerate(self.edges):
            first, second = self.read(index, 0), self.read(index, 1)
            yield PairPrediction(
                edge.first, edge.second, first.points, second.points, first.confidence, second.confidence
            )


def _map_shape(confidence: AnyFloatArray) -> tuple[int, int]:
    height, width = confidence.shape
    return height, width
