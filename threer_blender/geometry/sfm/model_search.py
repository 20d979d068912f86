"""[R] The search for the best model: the candidates' models, and the separation of things that look alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from ...model.arrays import BoolArray, FloatArray
from ..colmap import pycolmap
from ..features import contradictions, cycles
from ..features.database import Matched, with_explained, without_pairs
from ..pairs import appearance
from . import lens_trials, mappers
from .model_selection import (
    EXPLAINED_ERROR,
    HOMOGRAPHY_KINDS,
    PAIR_MATCHES,
    Model,
    Pair,
    ScoredModel,
    agree,
    choose,
    epipolar_errors,
    read_pairs,
    score_model,
)

Item = TypeVar("Item")

# CONTRADICTED: the share of two photos' compared points above which the photos contradict each other.
# CONTRADICTED_PAIRS and LEAST_PAIRS: the share of the compared pairs, and the number of pairs, from which on
# contradictions mean that things which look alike were taken for one. That share is 0 to 0.12 in right models, from
# plants and thin things, 0.18 in a fast walk through offices, and 0.2 to 0.6 in wrong ones.
CONTRADICTED, CONTRADICTED_PAIRS, LEAST_PAIRS = 0.05, 0.19, 2
# Photos are separated from LEAST_SEPARATED contradicting pairs on. Of the compared pairs of a photo that the new model
# leaves out and one that it registers, the share SEPARATED_PAIRS must contradict each other.
LEAST_SEPARATED, SEPARATED_PAIRS = 4, 0.5
# Share of the matches that a model neither explains nor excuses, above which it carries a warning. Right models have
# less than 0.01, and 0.03 to 0.043 where a pattern is all there is; wrong ones 0.05 to 0.2.
UNEXCUSED = 0.045
# Share of such matches, below which contradicting features alone carry no warning, where third photos confirm the
# pictures.
CLEARED = 0.01
# Share of a photo's textured parts that its neighbour shows nowhere, above which the two contradict each other, and the
# share of the compared pairs, from which on a model carries a warning. In right models, the second-highest share is 0
# to 0.022; in wrong ones, mostly 0.03 to 0.4. In a right one of a fast walk through offices, 0.052 of the pairs do.
MISSING, MISSING_PAIRS = 0.03, 0.06
# The mean share of such parts among those that a third photo shows, above which a model carries a warning: 0 to 0.0031
# in right models, 0.005 to 0.25 in most wrong ones.
WITNESSED = 0.0045
# Share of the comparable matches around triangles that agree, below which a model carries a warning: 0.92 to 1 in right
# models, 0.88 in one of seats that were taken for each other.
CYCLES_AGREE = 0.9
SEPARATIONS = 4  # times, at most, that contradicting photos are separated and the rest is solved again

CONFUSION = (
    "Some photos match, or show things, as their cameras do not explain: things that look alike may have been taken "
    "for one, or things moved, and the cameras may be wrong. Look through them before you build on them; photos that "
    "also show what is there once only would help."
)
SEPARATED_PHOTOS = (
    "Some photos show things that look alike, such as two sides of a box or two like houses. They were told apart by "
    "what is around them, which may not be right everywhere: look through the cameras before you build on them."
)
TWO_PHOTOS = (
    "No third photo checks these two: if they show things that look alike, such as two sides of a box, the cameras may "
    "be wrong. A third photo from between them would tell."
)


def best_model(
    matched: Matched, pairs: Sequence[Pair], progress: Callable[[float], None]
) -> tuple[ScoredModel | None, list[ScoredModel]]:
    """The best model of all candidates that are wanted, or None where none is believable; and all their models.

    `progress(done)` counts the photos of all candidates.
    """
    best: ScoredModel | None = None
    scored_models: list[ScoredModel] = []
    for number, candidate in enumerate(mappers.CANDIDATES):
        if candidate.wanted(best, matched) and _has_a_chance(candidate, best, scored_models, matched, pairs):
            models = mappers.run(candidate, matched, partial(_progress, progress, number * len(matched.photos)))
            scored = [score_model(candidate.name, model, matched, pairs) for model in models]
            least_score = best.score + candidate.gain if best is not None and candidate.gain else 0.0
            scored_models += [each for each in scored if each.fault or each.score >= least_score]
            best = choose(scored_models)
    return best, scored_models


def _has_a_chance(
    candidate: mappers.Candidate,
    best: ScoredModel | None,
    scored_models: Sequence[ScoredModel],
    matched: Matched,
    pairs: Sequence[Pair],
) -> bool:
    """Whether a candidate may find a better model than the `best` one, as far as the models so far tell.

    Other lenses are tried on the best model itself. Where they are right, that raises its score by the candidate's gain
    or more. A model of few of the photos does not tell.
    """
    if best is None or len(best.registered) <= mappers.MOST_REGISTERED * len(matched.photos):
        return True
    if candidate.needless_where_agreed and agree(best, scored_models, len(matched.photos)):
        return False
    if candidate.relensed is None:
        return True
    trial = score_model(candidate.name, lens_trials.tried(best.model, candidate.relensed), matched, pairs)
    return trial.score >= best.score + candidate.gain


def _progress(progress: Callable[[float], None], before: float, registered: float) -> None:
    """Reports that a mapper has `registered` photos. `before` counts the photos of the mappers before it."""
    progress(before + registered)


def separated(
    best: ScoredModel, scored_models: list[ScoredModel], matched: Matched, progress: Callable[[float], None]
) -> tuple[ScoredModel, list[ScoredModel], Matched]:
    """A model in which no two photos show different things at the same place; all models, and the matches in use.

    Matched pairs of photos that contradict each other are taken out, and the rest is solved again. Where only pairs
    without matches contradict each other, other photos hold them together: then the photos are divided into groups
    without contradictions, and all pairs between these are taken out (`_parted`). If no model can be made of the rest,
    the last one stays. If the photos that the last model leaves out mostly do not contradict those that it registers,
    the first one stays.
    """
    first = best, scored_models, matched
    used, wrong = matched, set[tuple[int, int]]()
    across: list[float] = []
    for _ in range(SEPARATIONS):
        shares = _contradictions(replace(best, model=_filled(best, with_lenses(best, used))), used, wrong)
        again = _contradicting(shares)
        if len(again) < LEAST_SEPARATED:
            break
        wrong |= again
        fewer = without_pairs(used, again & _linked(used) or _parted(used, wrong))
        other, models = best_model(fewer, read_pairs(fewer), progress)
        if other is None:
            break
        best, scored_models, used = other, models, fewer
        across = [share for pair, share in shares.items() if len(other.registered & set(pair)) == 1]
    if across and np.mean(np.array(across) > CONTRADICTED) < SEPARATED_PAIRS:
        return first
    return best, scored_models, used


def _contradictions(best: ScoredModel, matched: Matched, more: Set[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """The shares of contradicted points of the pairs of registered photos, matched ones and some `more`. Of large sets,
    some pairs are compared first, and all where enough of these contradict each other."""
    pairs = _registered_pairs(best, matched, more)
    some = _some(pairs)
    shares = contradictions.contradicted(best.model, best.registered, matched, some)
    if len(some) < len(pairs) and _contradicting(shares):
        shares = contradictions.contradicted(best.model, best.registered, matched, pairs)
    return shares


def _registered_pairs(best: ScoredModel, matched: Matched, more: Set[tuple[int, int]]) -> list[tuple[int, int]]:
    """The matched pairs and some `more`, of which both photos are registered."""
    return sorted(pair for pair in _linked(matched) | more if best.registered >= set(pair))


def _some(pairs: Sequence[Item]) -> Sequence[Item]:
    """At most contradictions.MOST_PAIRS of the pairs, evenly chosen."""
    return pairs[:: 1 + len(pairs) // contradictions.MOST_PAIRS]


def _contradicting(shares: Mapping[tuple[int, int], float]) -> set[tuple[int, int]]:
    """The pairs that contradict each other by their `shares`; none where they are so few that they tell nothing."""
    wrong = {pair for pair, share in shares.items() if share > CONTRADICTED}
    return wrong if len(wrong) >= max(LEAST_PAIRS, CONTRADICTED_PAIRS * len(shares)) else set()


def _filled(best: ScoredModel, matched: Matched) -> Model:
    """The model with points of all matches that it explains. Where most verified ones of a pair lie on a plane, such
    as a house's front, many epipolar geometries fit them, and the one at hand may have dropped what stands before it.
    """

    def explains(photos: tuple[int, int], first: FloatArray, second: FloatArray) -> BoolArray:
        return epipolar_errors(best.model, Pair(photos, first, second, False, False)) < EXPLAINED_ERROR

    flat = matched.pairs[np.isin(matched.kinds, HOMOGRAPHY_KINDS) & (matched.inliers >= PAIR_MATCHES)]
    pairs = [(i, j) for i, j in flat.tolist() if best.registered >= {i, j}]
    model = pycolmap.Reconstruction(best.model)
    with tempfile.TemporaryDirectory(dir=matched.path.parent) as folder:
        mappers.fill_in(model, with_explained(matched, Path(folder), model.cameras.values(), pairs, explains))
    return model


def with_lenses(best: ScoredModel, matched: Matched) -> Matched:
    """The matches in the database with the lenses that the model's candidate started from."""
    (candidate,) = (each for each in mappers.CANDIDATES if each.name == best.candidate)
    return replace(matched, path=candidate.database(matched))


def _linked(matched: Matched) -> set[tuple[int, int]]:
    """The pairs with PAIR_MATCHES or more."""
    return {(i, j) for i, j in matched.pairs[matched.inliers >= PAIR_MATCHES].tolist()}


def _parted(matched: Matched, wrong: Set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The matched pairs between groups of photos, in none of which a `wrong` pair is: pairs join photos to groups in
    the order of their matches, most first."""
    group = {photo: photo for pair in _linked(matched) | wrong for photo in pair}
    conflicts = {frozenset(pair) for pair in wrong}
    for number in np.argsort(-matched.inliers, kind="stable").tolist():
        i, j = matched.pairs[number].tolist()
        if matched.inliers[number] >= PAIR_MATCHES and group[i] != group[j]:
            first, second = ([photo for photo in group if group[photo] == group[end]] for end in (i, j))
            if not any(frozenset((a, b)) in conflicts for a in first for b in second):
                group.update(dict.fromkeys(second, group[i]))
    return {(i, j) for i, j in _linked(matched) if group[i] != group[j]}


def doubt(best: ScoredModel, matched: Matched, used: Matched) -> str:
    """A sentence for the artist about things that may have been taken for each other, empty where nothing hints at it.

    `used` are those of the `matched` pairs that the model was made of.
    """
    if len(best.registered) == 2:
        return TWO_PHOTOS
    shares_missing, shares_witnessed = appearance.compared(best.model, best.registered, used.pictures)
    missing, witnessed = list(shares_missing.values()), list(shares_witnessed.values())
    contradicting = sum(share > MISSING for share in missing)
    if contradicting >= max(LEAST_PAIRS, MISSING_PAIRS * len(missing)) or _cycles_disagree(best, used):
        return CONFUSION
    if len(witnessed) >= LEAST_PAIRS and np.mean(witnessed) > WITNESSED:
        return CONFUSION
    pairs = [pair for pair in read_pairs(used) if best.registered >= set(pair.photos)]
    unexplained = {pair.photos: epipolar_errors(best.model, pair) >= EXPLAINED_ERROR for pair in _some(pairs)}
    unexcused = contradictions.unexcused(best.model, best.registered, used, unexplained)
    compared = _some(_registered_pairs(best, used, set()))
    shares = contradictions.contradicted(_filled(best, with_lenses(best, used)), best.registered, used, compared)
    # A pattern is matched with its neighbours in right models, too: then the photos show what their cameras say.
    confirmed = len(missing) >= len(best.registered) and best.residual < EXPLAINED_ERROR
    if unexcused > UNEXCUSED and not confirmed:
        return CONFUSION
    # Features that are not seen again may be blurred, or behind something, where matches and pictures say nothing else.
    cleared = len(witnessed) >= len(best.registered) / 4 and unexcused < CLEARED
    if _contradicting(shares) and not cleared:
        return CONFUSION
    return "" if used is matched else SEPARATED_PHOTOS


def _cycles_disagree(best: ScoredModel, used: Matched) -> bool:
    """Whether many matches do not lead back to where they began around triangles of registered photos."""
    agreeing, comparable, _ = cycles.agreement(used, best.registered, PAIR_MATCHES)
    return comparable >= PAIR_MATCHES and agreeing < CYCLES_AGREE * comparable
