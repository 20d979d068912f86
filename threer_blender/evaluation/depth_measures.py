"""[R] How well depth agrees with the true depth, as papers measure it. numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model.arrays import Array, BoolArray, FloatArray

LEAST, DELTA = 1e-3, 1.25  # the least depth, in the truth's unit; the ratio of the measure delta
MEDIAN, SCALE_SHIFT, NONE = "median", "scale_shift", "none"  # the alignments


@dataclass(frozen=True)
class DepthScores:
    """Scores of a depth map against the true one.

    `abs_rel`, `rmse` and `log_rmse` are of the pixels that both have. `delta` is the share of all true pixels whose two
    depths have a ratio below DELTA; a true pixel without a solved depth counts as a failure, and `missing` is the share
    of these. Aligned depth is `scale` × depth + `shift`. `count` is the number of pixels that both have.
    """

    abs_rel: float
    rmse: float
    log_rmse: float
    delta: float
    missing: float
    scale: float
    shift: float
    count: int


def judged(true: Array, most: float = np.inf) -> BoolArray:
    """The pixels whose true depth counts: finite, at least LEAST and below `most`."""
    with np.errstate(invalid="ignore"):
        return np.isfinite(true) & (true > LEAST) & (true < most)


def scores(solved: Array, true: Array, align: str) -> DepthScores:
    """The scores of depths of any equal shape, in the truth's unit after alignment.

    `align` is MEDIAN (by the ratio of the medians), SCALE_SHIFT (by least squares) or NONE. A depth that is not finite,
    or is 0 or below, is none.
    """
    solved, true = np.asarray(solved, np.float64), np.asarray(true, np.float64)
    visible = judged(true)
    with np.errstate(invalid="ignore"):
        both = visible & np.isfinite(solved) & (solved > 0)
    true_count, count = int(visible.sum()), int(both.sum())
    if count == 0:
        share = (0.0, 1.0) if true_count else (np.nan, np.nan)
        return DepthScores(np.nan, np.nan, np.nan, *share, np.nan, 0.0, 0)
    a, b = solved[both], true[both]
    scale, shift = fitted(a, b, align)
    a = np.maximum(scale * a + shift, LEAST)
    return DepthScores(
        abs_rel=float((np.abs(a - b) / b).mean()),
        rmse=float(np.sqrt(((a - b) ** 2).mean())),
        log_rmse=float(np.sqrt(((np.log(a) - np.log(b)) ** 2).mean())),
        delta=float((np.maximum(a / b, b / a) < DELTA).sum() / true_count),
        missing=1.0 - count / true_count,
        scale=scale,
        shift=shift,
        count=count,
    )


def fitted(solved: FloatArray, true: FloatArray, align: str) -> tuple[float, float]:
    """The scale and the shift of an alignment of depths (N,), all of which are above 0."""
    if align == NONE:
        return 1.0, 0.0
    if align == MEDIAN:
        return float(np.median(true) / np.median(solved)), 0.0
    columns = np.stack([solved, np.ones_like(solved)], axis=1)
    scale, shift = np.linalg.lstsq(columns, true, rcond=None)[0]
    return float(scale), float(shift)
