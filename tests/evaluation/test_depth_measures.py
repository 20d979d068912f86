"""Errors of depth are what a plain loop over pixels gives."""

import math

import numpy as np
import pytest

from threer_blender.evaluation import depth_measures
from threer_blender.evaluation.depth_measures import MEDIAN, NONE, SCALE_SHIFT

RANDOM = np.random.default_rng(0)
TRUE = 1 + 4 * RANDOM.random((12, 15))
SOLVED = (TRUE - 0.3) / 1.7 + 0.1 * RANDOM.standard_normal(TRUE.shape)
TRUE[RANDOM.random(TRUE.shape) < 0.1] = 0
SOLVED[RANDOM.random(SOLVED.shape) < 0.1] = np.nan


def fitted(pairs: list[tuple[float, float]], align: str) -> tuple[float, float]:
    solved, true = [a for a, _ in pairs], [b for _, b in pairs]
    if align == MEDIAN:
        return float(np.median(true)) / float(np.median(solved)), 0.0
    if align == SCALE_SHIFT:  # the normal equations of a line
        n, sx, sy = len(pairs), sum(solved), sum(true)
        sxx, sxy = sum(a * a for a in solved), sum(a * b for a, b in pairs)
        scale = (n * sxy - sx * sy) / (n * sxx - sx * sx)
        return scale, (sy - scale * sx) / n
    return 1.0, 0.0


@pytest.mark.parametrize("align", [MEDIAN, SCALE_SHIFT, NONE])
def test_scores(align: str) -> None:
    pairs, visible = [], 0
    for solved, true in zip(SOLVED.ravel().tolist(), TRUE.ravel().tolist(), strict=True):
        visible += true > 0
        if true > 0 and not math.isnan(solved) and solved > 0:
            pairs.append((solved, true))
    scale, shift = fitted(pairs, align)
    aligned = [(max(scale * a + shift, 1e-3), b) for a, b in pairs]
    scores = depth_measures.scores(SOLVED, TRUE, align)
    assert scores.abs_rel == pytest.approx(sum(abs(a - b) / b for a, b in aligned) / len(aligned), abs=1e-9)
    assert scores.rmse == pytest.approx(math.sqrt(sum((a - b) ** 2 for a, b in aligned) / len(aligned)), abs=1e-9)
    assert scores.delta == pytest.approx(sum(max(a / b, b / a) < 1.25 for a, b in aligned) / visible, abs=1e-12)
    assert scores.missing == pytest.approx(1 - len(pairs) / visible, abs=1e-12)
    assert (scores.scale, scores.shift) == pytest.approx((scale, shift), abs=1e-9)


def test_depth_that_is_right_up_to_its_alignment() -> None:
    assert depth_measures.scores(3 * TRUE, TRUE, MEDIAN).abs_rel < 1e-12
    assert depth_measures.scores(3 * TRUE + 1, TRUE, SCALE_SHIFT).abs_rel < 1e-12
    assert depth_measures.scores(1.1 * TRUE, TRUE, NONE).abs_rel == pytest.approx(0.1)


def test_no_depth_at_all() -> None:
    scores = depth_measures.scores(np.zeros_like(TRUE), TRUE, MEDIAN)
    assert math.isnan(scores.abs_rel)
    assert (scores.delta, scores.missing) == (0, 1)
