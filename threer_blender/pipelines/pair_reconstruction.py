"""[R] A run of an engine whose network compares photos pair by pair. It may add photos to an earlier result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..geometry.clouds import assembly
from ..geometry.pairs import scene_graph
from ..geometry.pairs.pairs import PairPrediction, PairStore
from ..geometry.pairs.scene_graph import Choose
from ..model.engine import Engine, Report
from ..model.reconstruction import Photo, Reconstruction
from ..networks import inputs
from ..networks.inputs import Input
from ..pictures import masks
from ..pictures.photos import pixels
from ..runtime.report import Watch
from . import adding, pair_solution, pairwise, refinement
from .adding import EarlierResult
from .pair_solution import Align


@dataclass(frozen=True)
class PairNetwork:
    """The facts about an engine's network.

    `side`: the longer side of its training pictures, in pixels. `trusted`: the confidence from which a point is
    trusted. `confidence_meaning`: the meaning of confidences, for the artist. `metric`: its unit is the metre.
    """

    side: int
    trusted: float
    confidence_meaning: str
    metric: bool = False


def reconstruct(
    engine: Engine,
    network: PairNetwork,
    photos: Sequence[Photo],
    options: Mapping[str, Any],
    report: Report,
    predict: Callable[[Sequence[Input], Choose, Report], Iterator[PairPrediction]],
    aligner: Callable[[EarlierResult, Sequence[Input]], Align],
) -> Reconstruction:
    """Cameras, pointmaps and a cloud of one photo or more.

    `predict(inputs, choose, report)` yields the network's predictions for the pairs that `choose` returns. `aligner`
    is called after that. It takes the earlier result and all inputs, and returns the function that aligns the
    predictions. Raises UserError where no two photos connect, or predictions are not finite; and `report`'s errors.
    """
    watch = Watch()
    earlier = adding.read_earlier(options["add_to"], engine, photos)
    photos = earlier.photos
    excluded = masks.excluder(options)
    prepared = [inputs.dust3r(photo, network.side).masked(photo, excluded) for photo in photos]
    choose = partial(scene_graph.chosen, options["pairs"], photos, solved=earlier.solved)
    # The network predicts both orders of each pair; for a single photo, that photo with itself.
    plan = [*pairwise.plan(len(photos), 2 * len(choose()) or 1), *pair_solution.plan(len(photos))]
    report.plan([*plan, *refinement.plan(len(photos), options["refine"])])
    with tempfile.TemporaryDirectory() as folder:
        store = PairStore(Path(folder))
        for prediction in predict(prepared, choose, report):
            store.add(pair_solution.without_masked(prediction, prepared))
        watch.lap("network")
        align = aligner(earlier, prepared)
        solution = pair_solution.solve(store, photos, prepared, network.trusted, report, align)
        watch.lap("alignment")
    views = earlier.views_with(solution.views, prepared)
    if network.metric and not earlier.solved:  # the views come in another unit: one metre is `solution.unit` of it
        views = [assembly.scaled(view, 1 / solution.unit) for view in views]
    elif not earlier.solved:
        views = assembly.at_median_depth(views, solution.trusted)
    result = assembly.reconstruction(
        engine,
        photos,
        views,
        solution.trusted,
        metric=network.metric,
        confidence_meaning=network.confidence_meaning,
        options=options,
        timings=watch.laps,
        unregistered=earlier.unregistered(solution.unregistered),
        notes=solution.notes,
    )
    return refinement.refined(result, options["refine"], pixels, report, excluded=excluded)
