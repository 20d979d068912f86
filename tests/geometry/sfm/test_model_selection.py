"""Input without hope is recognised from matches alone, and the best believable model is chosen."""

import numpy as np
import pytest

from threer_blender.geometry.sfm.model_selection import TIE, Pair, ScoredModel, choose, refuse_hopeless
from threer_blender.model.errors import UserError


def pair(unmoved: bool = False, rotated_only: bool = False) -> Pair:
    return Pair((0, 1), np.zeros((20, 2)), np.zeros((20, 2)), unmoved, rotated_only)


def model(name: str, score: float, fault: str = "") -> ScoredModel:
    return ScoredModel(name, None, frozenset({0, 1}), score, 0.5, fault)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([], "overlap"),
        ([pair(unmoved=True)] * 3 + [pair()], "stood still"),
        ([pair(rotated_only=True)] * 3 + [pair()], "only turned"),
    ],
)
def test_matches_without_hope_are_refused_with_a_sentence(pairs: list[Pair], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        refuse_hopeless(pairs)


def test_a_few_hopeless_pairs_are_no_reason_to_refuse() -> None:
    refuse_hopeless([pair(), pair(), pair(unmoved=True)])


def test_the_highest_score_without_a_fault_is_chosen() -> None:
    best = choose([model("a", 0.5), model("b", 0.9, "no parallax"), model("c", 0.7)])
    assert best is not None
    assert best.candidate == "c"
    assert choose([model("a", 0.5, "too few points")]) is None


def test_of_nearly_equal_scores_the_first_is_chosen() -> None:
    best = choose([model("exact", 0.7), model("relaxed", 0.7 + TIE / 2)])
    assert best is not None
    assert best.candidate == "exact"
