"""[R] Merges points of many overlapping views into one cloud, view by view: one point for each filled cube. numpy only.

Where views agree, their points fall into one cube and are averaged by confidence, so an overlap does not appear twice.
Memory grows with the surface, not with the number of views.
"""

from __future__ import annotations

import numpy as np

from ...model.arrays import Array
from ...model.reconstruction import PointCloud

_BITS = 21  # of each coordinate in a key


class Voxels:
    """Collects points in cubes of this `side`, in the points' unit. Whenever there are more than `most` filled cubes,
    their side is doubled."""

    def __init__(self, side: float, most: int = 5_000_000) -> None:
        self.side, self._most = side, most
        self._keys = np.empty(0, np.int64)
        # Sums over a cube's points, weighted by confidence: position 3, normal 3, colour 3, weight.
        self._sums = np.empty((0, 10), np.float64)
        self._best = np.empty(0, np.float32)
        self._photo = np.empty(0, np.int32)

    def add(self, points: Array, normals: Array, colors: Array, confidence: Array, photo: int) -> None:
        """Adds `points` (N, 3) of the photo numbered `photo`, with `normals` (N, 3), `colors` (N, 3) uint8, and
        `confidence` (N,) above 0."""
        weight = confidence.astype(np.float64)[:, None]
        sums = np.concatenate([weight * points, weight * normals, weight * colors, weight], axis=1)
        new = _keys(points, self.side), sums, confidence.astype(np.float32), np.full(len(points), photo, np.int32)
        self._merge(*new)
        while len(self._keys) > self._most:
            self.side *= 2
            self._keys = _keys(self._sums[:, :3] / self._sums[:, 9:], self.side)
            self._merge(*(part[:0] for part in new))  # no new points: joins the cubes that now have the same key

    def _merge(self, keys: Array, sums: Array, best: Array, photo: Array) -> None:
        """Adds points, or sums of points, by the `keys` of their cubes. Cubes with the same key become one."""
        keys = np.concatenate([self._keys, keys])
        best, photo = np.concatenate([self._best, best]), np.concatenate([self._photo, photo])
        order = np.lexsort((-best, keys))  # a cube's most confident point comes first
        starts = np.flatnonzero(np.diff(keys[order], prepend=np.int64(-1)))
        best_of_cube = order[starts]
        self._sums = np.add.reduceat(np.concatenate([self._sums, sums])[order], starts) if len(order) else self._sums
        self._keys, self._best, self._photo = keys[best_of_cube], best[best_of_cube], photo[best_of_cube]

    def cloud(self) -> PointCloud:
        """One point per cube: the mean position, normal and colour of its points, weighted by confidence; the
        confidence and photo of the most confident one."""
        mean = self._sums[:, :9] / self._sums[:, 9:]
        length = np.linalg.norm(mean[:, 3:6], axis=1, keepdims=True)
        return PointCloud(
            positions=mean[:, :3].astype(np.float32),
            normals=(mean[:, 3:6] / np.maximum(length, 1e-12)).astype(np.float32),
            colors=np.rint(mean[:, 6:]).astype(np.uint8),
            confidence=self._best,
            photo=self._photo,
        )


def _keys(points: Array, side: float) -> Array:
    """(N,) int64 the key of the cube of each point; points beyond a million cubes from the origin share the outermost
    cubes."""
    half = 1 << (_BITS - 1)
    cubes = np.clip(np.floor(points / side), -half, half - 1).astype(np.int64) + half
    return (cubes[:, 0] << 2 * _BITS) | (cubes[:, 1] << _BITS) | cubes[:, 2]
