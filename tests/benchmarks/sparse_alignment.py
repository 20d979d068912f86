"""Sparse alignment beside MASt3R-SfM's as released: the same predictions and matches of an oracle, no weights.

nox -s benchmarks -- sparse_alignment

Cameras go around a room; the oracle's answers are noisy (see tests/oracle.py). AUC@5 is of all pairs of photos;
unregistered photos count as 180 degrees. Seconds are CPU-seconds of the process after the network, both ways on one
store and one thread. The last table is of maps as large as the network's.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests import oracle
from tests.benchmarks import _released_sparse
from tests.benchmarks._measure import chosen, machine, table
from threer_blender.evaluation import pose_measures
from threer_blender.geometry.alignment import sparse_alignment
from threer_blender.geometry.alignment.global_alignment import Alignment
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import Matches, PairStore
from threer_blender.model.errors import UserError

MAP, NETWORK_MAP = (96, 128), (384, 512)  # height, width
COUNTS, FEW = (8, 16, 32), 12
DENSE, THIN = 3, 8  # stride in pixels of the matches: DENSE gives about as many as the network, THIN few
NETWORK: dict[str, Any] = {"noise": 0.03, "pixels": 0.4, "scale": 0.05, "outliers": 0.01, "false_matches": 0.1}
NOISE, WRONG = (0.0, 0.01, 0.03, 0.06, 0.1), (0.0, 0.1, 0.2)
MANY = 100

Answers = tuple[PairStore, list[Matches]]


def predicted(
    views: list[oracle.View], errors: oracle.Errors, pairs: scene_graph.Pairs, folder: Path, stride: int
) -> Answers:
    """Both predictions and both directions' matches of every pair."""
    store, matches, answers = PairStore(folder), [], oracle.Oracle(views, errors)
    for i, j in pairs:
        for ordered in ((i, j), (j, i)):
            store.add(answers.predict(*ordered))
            matches.append(answers.matches(*ordered, stride))
    return store, matches


def ours(store: PairStore, count: int, matches: list[Matches]) -> Alignment:
    return sparse_alignment.align(store, count, [None] * count, matches=matches, lenses=range(count))


def scores(solution: Alignment | None, views: list[oracle.View]) -> tuple[float, float, float]:
    """AUC@5, median rotation error of pairs in degrees, median relative focal error."""
    poses: list[Any] = [None] * len(views)
    for view in solution.views if solution else ():
        poses[view.photo] = view.world_from_camera
    angles, translations = pose_measures.relative_errors(poses, [view.world_from_camera for view in views], False)
    focal = [abs(view.focal / views[view.photo].focal - 1) for view in solution.views] if solution else [np.nan]
    return pose_measures.auc(angles, translations, 5), float(np.median(angles)), float(np.median(focal))


def compared(count: int, errors: oracle.Errors, stride: int) -> list[Any]:
    """Seconds, their ratio, and scores of released and ours."""
    views = oracle.orbit(count, MAP, degrees=min(360, 22 * count))
    pairs = scene_graph.automatic(count, True, oracle.similarity(views))
    with tempfile.TemporaryDirectory() as folder:
        predictions = predicted(views, errors, pairs, Path(folder), stride)
        ways: tuple[Callable[..., Alignment], ...] = (_released_sparse.align, ours)
        seconds, collected = [], []
        for way in ways:
            before = time.process_time()
            try:
                solved = way(predictions[0], count, predictions[1])
            except UserError as error:
                print(error, file=sys.stderr)
                solved = None
            seconds.append(time.process_time() - before)
            collected.append(scores(solved, views))
    arrows = [f"{a:.3f} → {b:.3f}" for a, b in zip(*collected, strict=True)]
    return [f"{seconds[0]:.1f} → {seconds[1]:.1f}", f"{seconds[0] / seconds[1]:.0f}×", *arrows]


def many() -> list[Any]:
    """A row of the last table: MANY photos with maps as large as the network's, aligned our way alone."""
    views = oracle.walk(MANY, NETWORK_MAP, laps=2)
    pairs = scene_graph.automatic(MANY, True, oracle.similarity(views))
    with tempfile.TemporaryDirectory() as folder:
        store, matches = predicted(views, oracle.Errors(**NETWORK), pairs, Path(folder), THIN)
        wall, before = time.monotonic(), time.process_time()
        solution = ours(store, MANY, matches)
        spent = [time.monotonic() - wall, time.process_time() - before]
    score = scores(solution, views)
    registered = f"{len(solution.views)}/{MANY}"
    return [registered, len(pairs), sum(len(m.confidence) for m in matches), *[f"{s:.0f}" for s in spent], *score[:2]]


def main() -> None:
    chosen(__doc__)
    warm_up = oracle.orbit(3, MAP, degrees=40)  # numba compiles before anything is measured
    with tempfile.TemporaryDirectory() as folder:
        predictions = predicted(warm_up, oracle.Errors(), scene_graph.complete(3), Path(folder), THIN)
        ours(predictions[0], 3, predictions[1])
    print(f"{machine()}; released → ours\n")
    head = ["Photos", "CPU-s", "Ratio", "AUC@5", "Rotation, degrees", "Focal"]
    for stride in (THIN, DENSE):
        print(f"Every {stride} pixels\n")
        table(head, ([count, *compared(count, oracle.Errors(**NETWORK), stride)] for count in COUNTS))
        print()
    for name, values in (("noise", NOISE), ("wrong", WRONG)):
        errors = {value: oracle.Errors(**NETWORK | {name: value}) for value in values}
        table([f"{FEW} photos: {name}", *head[1:]], ([v, *compared(FEW, errors[v], THIN)] for v in values))
        print()
    table(["Registered", "Pairs", "Matches", "Seconds", "CPU-s", "AUC@5", "Rotation, degrees"], [many()])


if __name__ == "__main__":
    main()
