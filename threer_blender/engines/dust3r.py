"""[R] DUSt3R: pointmaps of photo pairs from a network, aligned in one world.

Wang et al., "DUSt3R: Geometric 3D Vision Made Easy" (CVPR 2024). A single photo is paired with itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..model.engine import Report
from ..model.reconstruction import Photo, Reconstruction
from . import published_weights
from .options import ADD_TO, PAIRS, REFINE, SHOT
from .photo_pairs import declaration

if TYPE_CHECKING:
    from ..geometry.pairs.pairs import PairPrediction
    from ..geometry.pairs.scene_graph import Choose
    from ..networks.inputs import Input
    from ..pipelines.adding import EarlierResult
    from ..pipelines.pair_solution import Align

SUMMARY = "One photo or many, even with little overlap or texture; learned, not metric, for non-commercial use."
OPTIONS = (PAIRS, REFINE, ADD_TO, *SHOT)
ENGINE = declaration(
    "dust3r", "DUSt3R", SUMMARY, published_weights.DUST3R, OPTIONS, seconds_per_pair=17.0, metric=False
)
SIDE = 512  # pixels of the long side that the network was trained at
TRUSTED = 3.0  # confidence from which on a point is trusted
CONFIDENCE = "DUSt3R's own, from 1: how much surer than a guess the network is of a point; from 3 on it is trusted"


def reconstruct(photos: Sequence[Photo], options: Mapping[str, Any], report: Report) -> Reconstruction:
    """Cameras, pointmaps and a cloud of one photo or more, in an arbitrary unit.

    Raises UserError where no two photos connect, or predictions are not finite.
    """
    from ..geometry.alignment import global_alignment
    from ..pipelines import pair_reconstruction

    def aligner(earlier: EarlierResult, prepared: Sequence[Input]) -> Align:
        return partial(global_alignment.align, before=earlier.alignment(prepared))

    network = pair_reconstruction.PairNetwork(SIDE, TRUSTED, CONFIDENCE)
    return pair_reconstruction.reconstruct(ENGINE, network, photos, options, report, predict, aligner)


def predict(photos: Sequence[Input], choose: Choose, report: Report) -> Iterator[PairPrediction]:
    """Yields the network's predictions for pairs of photos, each in both orders.

    `choose` takes the photos' similarity, or None, and returns the pairs. A single photo is paired with itself. Raises
    UserError where the weights are missing or damaged.
    """
    from ..networks import dust3r
    from ..pipelines import pair_solution, pairwise
    from ..runtime import weights

    network, device = pairwise.load(dust3r.dpt_512, dust3r.rename, weights.locate(ENGINE.weights[0]), report)
    encoded = pairwise.encode(network, device, photos, report)
    ordered = pair_solution.both_orders(choose(pairwise.similarity(encoded))) or [(0, 0)]
    for prediction in pairwise.predict(network, device, encoded, ordered, report):
        yield pairwise.pair_prediction(prediction)
