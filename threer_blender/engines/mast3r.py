"""[R] MASt3R: metric pointmaps and matches of photo pairs from a network, aligned in one world.

Leroy, Cabon, Revaud, "Grounding Image Matching in 3D with MASt3R" (ECCV 2024). Many photos are aligned as in MASt3R-SfM
(Duisterhof et al., 3DV 2025). A single photo is paired with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..model.engine import Report
from ..model.reconstruction import Photo, Reconstruction
from . import published_weights
from .options import ADD_TO, LENS, PAIRS, REFINE, SHOT
from .photo_pairs import declaration

if TYPE_CHECKING:
    from ..geometry.pairs.pairs import Matches, PairPrediction
    from ..geometry.pairs.scene_graph import Choose
    from ..networks.inputs import Input
    from ..pipelines.adding import EarlierResult
    from ..pipelines.pair_solution import Align

SUMMARY = "One photo or many, even with little overlap, in metres; learned, for non-commercial use."
OPTIONS = (LENS, PAIRS, REFINE, ADD_TO, *SHOT)
ENGINE = declaration("mast3r", "MASt3R", SUMMARY, published_weights.MAST3R, OPTIONS, seconds_per_pair=24.0, metric=True)
SIDE = 512  # pixels of the long side that the network was trained at
MOST_MATCHES = 1000  # of a pair; alignment uses about twice as many of a photo, over all of its pairs
TRUSTED = 1.5  # confidence from which on a point is trusted
CONFIDENCE = "MASt3R's own, from 1: how much surer than a guess the network is of a point; from 1.5 on it is trusted"


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Cameras, pointmaps and a cloud of one photo or more, in metres.

    Raises UserError where no two photos connect, or predictions are not finite.
    """
    from ..geometry.adjustment import bundle_adjustment
    from ..geometry.alignment import global_alignment, sparse_alignment
    from ..pipelines import pair_reconstruction, pair_solution

    matches: list[Matches] = []

    def predictions(prepared: Sequence[Input], choose: Choose, report: Report) -> Iterator[PairPrediction]:
        for prediction, matched in predict(prepared, choose, report):
            matches.append(matched)
            yield prediction

    def aligner(earlier: EarlierResult, prepared: Sequence[Input]) -> Align:
        if earlier.solved:  # its matches were not stored, but its depths suffice to align new photos
            return partial(global_alignment.align, before=earlier.alignment(prepared))
        lenses = bundle_adjustment.lenses(earlier.photos, options["intrinsics"] == "shared")
        clear = [pair_solution.matches_without_masked(one, prepared) for one in matches]
        return partial(sparse_alignment.align, matches=clear, lenses=lenses)

    network = pair_reconstruction.PairNetwork(SIDE, TRUSTED, CONFIDENCE, metric=ENGINE.metric)
    return pair_reconstruction.reconstruct(ENGINE, network, photos, options, report, predictions, aligner)


def predict(photos: Sequence[Input], choose: Choose, report: Report) -> Iterator[tuple[PairPrediction, Matches]]:
    """Yields the network's predictions for pairs of photos, each in both orders, and their matches.

    Arguments and errors are as in `dust3r.predict`.
    """
    from ..geometry.pairs import reciprocal_matching
    from ..networks import mast3r
    from ..pipelines import pair_solution, pairwise
    from ..runtime import weights

    network, device = pairwise.load(mast3r.metric_512, mast3r.rename, weights.locate(ENGINE.weights[0]), report)
    encoded = pairwise.encode(network, device, photos, report)
    ordered = pair_solution.both_orders(choose(pairwise.similarity(encoded))) or [(0, 0)]
    for prediction in pairwise.predict(network, device, encoded, ordered, report):
        one, two = prediction.of_first, prediction.of_second
        descriptors = (one.descriptors, two.descriptors)
        confidences = (one.descriptor_confidence, two.descriptor_confidence)
        matched = reciprocal_matching.match(prediction.first, prediction.second, descriptors, confidences)
        yield pairwise.pair_prediction(prediction), matched.thinned(MOST_MATCHES)
