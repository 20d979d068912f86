"""[R] A photo's canonical pointmap: the mean of its pairs' predictions in its own camera's frame. numpy and numba.

Duisterhof et al., "MASt3R-SfM: a Fully-Integrated Solution for Unconstrained Structure-from-Motion" (3DV 2025),
section 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...model.arrays import Array, FloatArray
from ..focal import focal_from_points
from ..kernels import compiled
from ..pairs.pairs import PairStore
from .global_alignment import FOCAL_RATIO

GUESS_CONFIDENCE = 0.999  # a prediction of this confidence has no weight: the networks' confidences begin at 1


@dataclass(frozen=True)
class Canonical:
    """A photo's own pointmap: `depth` (H, W) float32 of about median 1, NaN where nothing is known; `focal` in map
    pixels, the principal point being the map's middle. `units` are the photo's predictions by their number in the
    store, each with the median depth by which it was divided."""

    depth: Array
    focal: float
    units: dict[int, float]

    def points(self, pixels: Array) -> FloatArray:
        """(M, 3) the points at map `pixels` (M, 2), in the camera's frame; NaN outside and where nothing is known."""
        height, width = self.depth.shape
        column, row = np.floor(pixels).astype(int).T
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        depth = np.where(inside, self.depth[row.clip(0, height - 1), column.clip(0, width - 1)], np.nan)
        slopes = (np.asarray(pixels, np.float64) - (width / 2, height / 2)) / self.focal
        points: FloatArray = np.concatenate([slopes, np.ones_like(slopes[:, :1])], axis=1) * depth[:, None]
        return points


def canonical(store: PairStore, photo: int) -> Canonical | None:
    """The photo's own pointmap (MASt3R-SfM, section 4.2): the weighted mean of its predictions in its own frame,

        X = Σ_e C^e X^e / Σ_e C^e,

    each scaled to a median depth of 1. One prediction is in memory at a time. None where there is no prediction, or no
    camera could see such points.
    """
    sums: FloatArray | None = None
    units = {}
    for index in (index for index, side in store.sides(photo) if side == 0):
        prediction = store.read(index, 0)
        sums = np.zeros((*prediction.confidence.shape, 4)) if sums is None else sums
        unit = _add(sums, prediction.points, prediction.confidence)
        if unit > 0:
            units[index] = unit
    if sums is None or not units:
        return None
    total, weights = sums[..., :3], sums[..., 3]
    known = weights > 0
    points = np.where(known[..., None], total / np.where(known, weights, 1.0)[..., None], np.nan)
    height, width = known.shape
    try:
        focal = focal_from_points(points, weights, (width / 2, height / 2))
    except ValueError:
        return None
    return Canonical(points[..., 2].astype(np.float32), focal, units)


@compiled()
def _add(sums: Array, points: Array, confidence: Array) -> float:
    """Adds a prediction to `sums` (H, W, 4): its points (H, W, 3) over their median depth, times their weights, and the
    weights, which are the confidence (H, W) less GUESS_CONFIDENCE. Returns the median depth; 0 where no point is
    usable."""
    usable = np.zeros(confidence.shape, np.bool_)
    depths, count = np.empty(confidence.size, points.dtype), 0
    for row, column in np.ndindex(confidence.shape):
        x, y, z = points[row, column]
        certainty = confidence[row, column]
        if np.isfinite(x + y + z) and z > 0 and np.isfinite(certainty) and certainty > GUESS_CONFIDENCE:
            usable[row, column] = True
            depths[count] = z
            count += 1
    if count == 0:
        return 0.0
    unit = float(np.median(depths[:count]))
    for row, column in np.ndindex(confidence.shape):
        if usable[row, column]:
            weight = confidence[row, column] - GUESS_CONFIDENCE
            for i in range(3):
                sums[row, column, i] += weight / unit * points[row, column, i]
            sums[row, column, 3] += weight
    return unit


def with_focals(
    canonicals: Mapping[int, Canonical], focals: Sequence[float | None], lenses: Sequence[int]
) -> tuple[dict[int, Canonical], list[int]]:
    """The `canonicals` by photo with the focal lengths of their lenses, and the photos whose known focal length, in
    `focals`, is refuted: the photo's points imply another one, beyond a ratio of FOCAL_RATIO.

    A lens' focal length is the median of the known ones that are not refuted, or else of those that its photos' points
    imply. `lenses` are the numbers of the photos' lenses.
    """
    estimated: dict[int, list[float]] = {}
    known: dict[int, list[float]] = {}
    refuted_focals = []
    for photo, one in canonicals.items():
        given = focals[photo]
        estimated.setdefault(lenses[photo], []).append(one.focal)
        if given and 1 / FOCAL_RATIO < given / one.focal < FOCAL_RATIO:
            known.setdefault(lenses[photo], []).append(given)
        elif given:
            refuted_focals.append(photo)
    focal = {number: float(np.median(known.get(number, estimates))) for number, estimates in estimated.items()}
    return {photo: replace(one, focal=focal[lenses[photo]]) for photo, one in canonicals.items()}, refuted_focals
