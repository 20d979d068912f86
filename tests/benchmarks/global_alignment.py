"""Global alignment beside DUSt3R's as released, on the same predictions of an oracle and the same objective.

nox -s benchmarks -- global_alignment

No weights are needed. Cameras go around a room, and the oracle's pairs are noisy (see tests/oracle.py). Of up to a
dozen photos, all pairs are predicted. Beyond that, the pairs are those that the engines ask for of photos in order.
AUC@5 is of all pairs of photos. Seconds are CPU-seconds of the process. Both ways read the same store.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests import oracle
from tests.benchmarks._measure import REPOSITORY, chosen, machine, measured, table
from tests.objective import objective
from threer_blender.evaluation import depth_measures, pose_measures
from threer_blender.geometry.alignment import global_alignment
from threer_blender.geometry.alignment.global_alignment import Alignment
from threer_blender.geometry.pairs import scene_graph
from threer_blender.geometry.pairs.pairs import PairStore
from threer_blender.model.errors import UserError

# Height and width of the maps in each table; the last is that of the network's.
SPEED_MAP, ACCURACY_MAP, WALK_MAP, SCALING_MAP, NETWORK_MAP = (48, 64), (24, 32), (36, 48), (72, 96), (384, 512)
TYPICAL = oracle.Errors(noise=0.02, outliers=0.02)
SEED = 1
NETWORK_COUNT = 320  # photos with maps of NETWORK_MAP
NOISE = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)  # standard deviation of depth, as a share of it
WRONG = (0.0, 0.1, 0.2, 0.3, 0.4)  # share of the pairs
PICTURE = REPOSITORY / "tests" / "data" / "pictures" / "alignment_growth.png"
OURS, THEIRS = "ours", "released"

MEASURE = """
import tempfile
from pathlib import Path
from tests.benchmarks.global_alignment import *
count, pairs, size = int(sys.argv[1]), sys.argv[2], (int(sys.argv[3]), int(sys.argv[4]))
views = oracle.walk(count, size, laps=2)
graph = GRAPHS[pairs](views)
with tempfile.TemporaryDirectory() as folder:
    store = predictions(views, TYPICAL, graph, Path(folder))
    before = time.process_time()
    solved = global_alignment.align(store, count)
    end(pairs=len(graph), aligning=time.process_time() - before, **scores(solved, views))
"""


def default_graph(views: list[oracle.View]) -> scene_graph.Pairs:
    """The pairs that an engine asks for of these views in order."""
    return scene_graph.automatic(len(views), True, oracle.similarity(views))


GRAPHS: dict[str, Callable[[list[oracle.View]], scene_graph.Pairs]] = {
    "default": default_graph,
    "all": lambda views: scene_graph.complete(len(views)),
    "next two": lambda views: scene_graph.window(len(views), 2),
}


def predictions(views: list[oracle.View], errors: oracle.Errors, pairs: scene_graph.Pairs, folder: Path) -> PairStore:
    """Both predictions of every pair, stored."""
    store, answers = PairStore(folder), oracle.Oracle(views, errors)
    for i, j in pairs:
        store.add(answers.predict(i, j))
        store.add(answers.predict(j, i))
    return store


def scores(actual: Alignment, views: list[oracle.View]) -> dict[str, float]:
    """AUC@5, and the medians of relative focal and depth errors; unregistered photos count as 180 degrees."""
    poses: list[Any] = [None] * len(views)
    for view in actual.views:
        poses[view.photo] = view.world_from_camera
    errors = pose_measures.relative_errors(poses, [view.world_from_camera for view in views], False)
    focal = [abs(view.focal / views[view.photo].focal - 1) for view in actual.views]
    depth = [
        depth_measures.scores(view.depth, views[view.photo].depth, depth_measures.MEDIAN).abs_rel
        for view in actual.views
    ]
    return {
        "registered": len(actual.views),
        "auc": pose_measures.auc(*errors, 5),
        "focal": float(np.median(focal)),
        "depth": float(np.median(depth)),
    }


def compared(views: list[oracle.View], errors: oracle.Errors, pairs: scene_graph.Pairs) -> dict[str, dict[str, float]]:
    """Scores, objective and CPU-seconds of each way on one store."""
    from tests.benchmarks import _released_alignment  # and torch, which the measurements of memory are made without

    solvers: dict[str, Callable[[PairStore, int], Alignment]]
    solvers = {OURS: global_alignment.align, THEIRS: _released_alignment.align}
    collected: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = predictions(views, errors, pairs, Path(folder))
        for way, align in solvers.items():
            before = time.process_time()
            try:
                solved = align(store, len(views))
            except UserError:
                collected[way] = {
                    "registered": 0,
                    "auc": 0.0,
                    "focal": np.nan,
                    "depth": np.nan,
                    "objective": np.nan,
                    "cpu": 0,
                }
                continue
            cpu = time.process_time() - before
            collected[way] = {**scores(solved, views), "objective": objective(store, solved), "cpu": cpu}
    return collected


def around(count: int, size: tuple[int, int]) -> list[oracle.View]:
    return oracle.orbit(count, size, degrees=min(360, 22 * count))


def beside(case: dict[str, dict[str, float]], key: str, form: str) -> str:
    """'released → ours' of one number."""
    return " → ".join(format(case[way][key], form) for way in (THEIRS, OURS) if way in case)


def speed() -> None:
    print("\nSpeed and objective, noise 2 %, outliers 2 %\n")

    def rows() -> Iterator[Any]:
        for views in (*(around(count, SPEED_MAP) for count in (8, 16, 32)), around(4, NETWORK_MAP)):
            pairs = default_graph(views)
            case = compared(views, TYPICAL, pairs)
            ratio = case[THEIRS]["cpu"] / case[OURS]["cpu"]
            numbers = [beside(case, key, form) for key, form in (("objective", ".4f"), ("auc", ".2f"), ("cpu", ".2f"))]
            height, width = views[0].depth.shape
            yield [len(views), f"{width}×{height}", len(pairs), *numbers, f"{ratio:.0f}"]

    table(["photos", "maps", "pairs", "objective, released → ours", "AUC@5", "CPU-s", "ratio"], rows())


def accuracy() -> None:
    head = ["AUC@5, released → ours", "focal error", "depth error", "objective"]
    size = f"maps of {ACCURACY_MAP[1]}x{ACCURACY_MAP[0]}"
    eight = around(8, ACCURACY_MAP)

    def numbers(views: list[oracle.View], errors: oracle.Errors, pairs: scene_graph.Pairs) -> list[str]:
        case = compared(views, errors, pairs)
        forms = {"auc": ".3f", "focal": ".2%", "depth": ".2%", "objective": ".5f"}
        return [beside(case, key, form) for key, form in forms.items()]

    def by_noise() -> Iterator[Any]:
        more = around(16, ACCURACY_MAP)
        yield ["none, 16 photos", *numbers(more, oracle.Errors(), default_graph(more))]
        for noise in NOISE:
            errors = oracle.Errors(noise=noise, outliers=0.02 if noise else 0, seed=SEED)
            yield [f"{noise:.1%}", *numbers(eight, errors, scene_graph.complete(8))]

    def by_wrong() -> Iterator[Any]:
        for wrong in WRONG:
            yield [f"{wrong:.0%}", *numbers(eight, replace(TYPICAL, wrong=wrong, seed=SEED), scene_graph.complete(8))]

    def by_views() -> Iterator[Any]:
        for count in (2, 4, 8, 16, 48, 100, 200):
            views = around(count, ACCURACY_MAP)
            pairs = default_graph(views)
            yield [count, len(pairs), *numbers(views, TYPICAL, pairs)]

    def by_walk() -> Iterator[Any]:
        views = oracle.walk(48, WALK_MAP, laps=2)
        for graph in ("default", "next two"):
            pairs = GRAPHS[graph](views)
            yield [graph, len(pairs), *numbers(views, TYPICAL, pairs)]

    print(f"\nAgainst noise: 8 photos, {size}, outliers 2 % where there is noise\n")
    table(["noise", *head], by_noise())
    print(f"\nAgainst the share of wrong but confident pairs: 8 photos, {size}, noise 2 %\n")
    table(["wrong", *head], by_wrong())
    print(f"\nAgainst the number of photos: {size}, noise 2 %\n")
    table(["photos", "pairs", *head], by_views())
    print(f"\nA walk of two laps, 48 photos, maps of {WALK_MAP[1]}x{WALK_MAP[0]}, noise 2 %\n")
    table(["graph", "pairs", *head], by_walk())


def memory_and_time() -> None:
    print("\nGrowth: a walk of two laps, noise 2 %; memory of the process\n")
    collected = []

    def rows() -> Iterator[Any]:
        sizes = [(48, "default"), (48, "all"), (200, "default"), (320, "default")]
        for count, pairs, size in (*((*one, SCALING_MAP) for one in sizes), (NETWORK_COUNT, "default", NETWORK_MAP)):
            case = measured(MEASURE, str(count), pairs, *map(str, size))
            if size == SCALING_MAP:
                collected.append((count, pairs, case))
            yield [count, f"{size[1]}×{size[0]}", pairs, case["pairs"], case["registered"], f"{case['auc']:.2f}"] + [
                f"{case['aligning']:.1f}",
                f"{case['peak_gib']:.2f}",
            ]

    table(["photos", "maps", "graph", "pairs", "registered", "AUC@5", "CPU-s", "peak GiB"], rows())
    plot(collected)


def plot(actual: list[tuple[int, str, dict[str, float]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    few = [(count, case) for count, pairs, case in actual if pairs == "default"]
    every = [(count, case) for count, pairs, case in actual if pairs == "all"]
    for axes, key, label in ((memory, "peak_gib", "peak memory, GiB"), (seconds, "aligning", "CPU-seconds")):
        axes.plot([count for count, _ in few], [case[key] for _, case in few], "o-", label="default graph")
        axes.plot([count for count, _ in every], [case[key] for _, case in every], "s", label="all pairs")
        axes.set(xlabel="photos", ylabel=label, xlim=0, ylim=0)
        axes.legend(frameon=False)
    figure.savefig(PICTURE, dpi=100)
    print(f"\n{PICTURE.relative_to(REPOSITORY)}")


def main() -> None:
    chosen(__doc__)
    print(f"On {machine()}")
    with tempfile.TemporaryDirectory() as folder:  # compile once, outside the measurements
        global_alignment.align(predictions(oracle.orbit(2, degrees=20), oracle.Errors(), [(0, 1)], Path(folder)), 2)
    speed()
    accuracy()
    memory_and_time()


if __name__ == "__main__":
    main()
