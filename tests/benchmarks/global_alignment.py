"""Global alignment beside DUSt3R's as released: the same predictions of an oracle, the same objective, no weights.

nox -s benchmarks -- global_alignment

Cameras go around a room; the oracle's pairs are noisy (see tests/oracle.py). AUC@5 is of all pairs of photos. Seconds
are CPU-seconds of the process, both ways on the same store.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _measure import REPOSITORY, machine, measured, metrics, table

sys.path.insert(0, str(REPOSITORY))

from tests import oracle
from threer_blender.geometry import global_alignment, scene_graph
from threer_blender.geometry.global_alignment import Alignment
from threer_blender.geometry.pairs import PairStore
from threer_blender.messages import UserError

SPEED_MAP, ACCURACY_MAP, GROWTH_MAP = (48, 64), (24, 32), (72, 96)  # height, width
SEED = 1
NOISE, WRONG = (0.005, 0.01, 0.02, 0.05, 0.1), (0.0, 0.1, 0.2, 0.3, 0.4)
PICTURE = REPOSITORY / "tests" / "data" / "pictures" / "alignment_growth.png"
OURS, THEIRS = "ours", "released"

GROWTH = """
import tempfile
from pathlib import Path
from global_alignment import *
count, pairs = int(sys.argv[1]), sys.argv[2]
views = oracle.walk(count, GROWTH_MAP, laps=2)
graph = scene_graph.complete(count) if pairs == "all" else scene_graph.automatic(count, ordered=True)
with tempfile.TemporaryDirectory() as folder:
    store = predictions(views, oracle.Errors(noise=0.02, outliers=0.02), graph, Path(folder))
    before = time.process_time()
    found = global_alignment.align(store, count)
    end(pairs=len(graph), aligning=time.process_time() - before, **scores(found, views))
"""


def predictions(views: list[oracle.View], errors: oracle.Errors, pairs: scene_graph.Pairs, folder: Path) -> PairStore:
    """Both predictions of every pair, stored."""
    store, answers = PairStore(folder), oracle.Oracle(views, errors)
    for i, j in pairs:
        store.add(answers.predict(i, j))
        store.add(answers.predict(j, i))
    return store


def scores(found: Alignment, views: list[oracle.View]) -> dict[str, float]:
    """AUC@5, and the medians of relative focal and depth errors; photos without a place count as 180 degrees."""
    poses: list[Any] = [None] * len(views)
    for view in found.views:
        poses[view.photo] = np.linalg.inv(view.world_from_camera)
    measure = metrics()
    errors = measure.relative_pose_errors(poses, [np.linalg.inv(view.world_from_camera) for view in views], False)
    focal = [abs(view.focal / views[view.photo].focal - 1) for view in found.views]
    depth = [measure.depth_metrics(view.depth, views[view.photo].depth)["abs_rel"] for view in found.views]
    return {
        "placed": len(found.views),
        "auc": measure.auc(*errors, 5),
        "focal": float(np.median(focal)),
        "depth": float(np.median(depth)),
    }


def compared(
    count: int, errors: oracle.Errors, pairs: scene_graph.Pairs, size: tuple[int, int], ways: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Scores, objective and CPU-seconds of each way on one store."""
    views = oracle.orbit(count, size, degrees=min(360, 22 * count))
    found: dict[str, dict[str, float]] = {}
    solvers: dict[str, Callable[[PairStore, int], Alignment]] = {OURS: global_alignment.align}
    if THEIRS in ways:  # torch is imported where it is used, so that memory is measured without it
        import _released_alignment

        solvers[THEIRS] = _released_alignment.align
    with tempfile.TemporaryDirectory() as folder:
        store = predictions(views, errors, pairs, Path(folder))
        for way in ways:
            before = time.process_time()
            try:
                solved = solvers[way](store, count)
            except UserError:
                found[way] = {"placed": 0, "auc": 0.0, "focal": np.nan, "depth": np.nan, "objective": np.nan, "cpu": 0}
                continue
            cpu = time.process_time() - before
            found[way] = {**scores(solved, views), "objective": global_alignment.objective(store, solved), "cpu": cpu}
    return found


def beside(case: dict[str, dict[str, float]], key: str, form: str) -> str:
    """'released → ours' of one number."""
    return " → ".join(format(case[way][key], form) for way in (THEIRS, OURS) if way in case)


def speed() -> None:
    print(f"\nSpeed and objective, maps of {SPEED_MAP[1]}x{SPEED_MAP[0]}, noise 2 %, outliers 2 %\n")

    def rows():
        for count in (8, 16, 32):
            pairs = scene_graph.automatic(count, ordered=True)
            case = compared(count, oracle.Errors(noise=0.02, outliers=0.02), pairs, SPEED_MAP, (OURS, THEIRS))
            ratio = case[THEIRS]["cpu"] / case[OURS]["cpu"]
            numbers = [beside(case, key, form) for key, form in (("objective", ".4f"), ("auc", ".2f"), ("cpu", ".2f"))]
            yield [count, len(pairs), *numbers, f"{ratio:.0f}"]

    table(["photos", "pairs", "objective, released → ours", "AUC@5", "CPU-s", "ratio"], rows())


def accuracy() -> None:
    head = ["AUC@5, released → ours", "focal error", "depth error", "objective"]
    size = f"maps of {ACCURACY_MAP[1]}x{ACCURACY_MAP[0]}"

    def numbers(case: dict[str, dict[str, float]]) -> list[str]:
        forms = {"auc": ".3f", "focal": ".2%", "depth": ".2%", "objective": ".4f"}
        return [beside(case, key, form) for key, form in forms.items()]

    def by_noise():
        for noise in NOISE:
            errors = oracle.Errors(noise=noise, outliers=0.02, seed=SEED)
            yield [f"{noise:.1%}"] + numbers(compared(8, errors, scene_graph.complete(8), ACCURACY_MAP, (OURS, THEIRS)))

    def by_wrong():
        for wrong in WRONG:
            errors = oracle.Errors(noise=0.02, outliers=0.02, wrong=wrong, seed=SEED)
            yield [f"{wrong:.0%}"] + numbers(compared(8, errors, scene_graph.complete(8), ACCURACY_MAP, (OURS, THEIRS)))

    def by_views():
        for count in (2, 4, 8, 16, 48, 100, 200):
            ways = (OURS, THEIRS) if count <= 8 else (OURS,)
            pairs = scene_graph.automatic(count, ordered=True)
            case = compared(count, oracle.Errors(noise=0.02, outliers=0.02), pairs, ACCURACY_MAP, ways)
            yield [count, len(pairs)] + numbers(case)

    print(f"\nAgainst noise: 8 photos, {size}, outliers 2 %\n")
    table(["noise", *head], by_noise())
    print(f"\nAgainst the share of wrong but sure pairs: 8 photos, {size}, noise 2 %\n")
    table(["wrong", *head], by_wrong())
    print(f"\nAgainst the number of photos: {size}, noise 2 %; the released way up to 8\n")
    table(["photos", "pairs", *head], by_views())


def growth() -> None:
    print(f"\nGrowth: a walk of two laps, maps of {GROWTH_MAP[1]}x{GROWTH_MAP[0]}, noise 2 %; memory of the process\n")
    found = []

    def rows():
        for count, pairs in ((48, "auto"), (48, "all"), (200, "auto"), (320, "auto")):
            case = measured(GROWTH, str(count), pairs)
            found.append((count, pairs, case))
            yield [count, case["pairs"], case["placed"], f"{case['auc']:.2f}", f"{case['aligning']:.1f}"] + [
                f"{case['peak_gib']:.2f}"
            ]

    table(["photos", "pairs", "placed", "AUC@5", "CPU-s", "peak GiB"], rows())
    plot(found)


def plot(found: list[tuple[int, str, dict[str, float]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    few = [(count, case) for count, pairs, case in found if pairs == "auto"]
    every = [(count, case) for count, pairs, case in found if pairs == "all"]
    for axes, key, label in ((memory, "peak_gib", "peak memory, GiB"), (seconds, "aligning", "CPU-seconds")):
        axes.plot([count for count, _ in few], [case[key] for _, case in few], "o-", label="default graph")
        axes.plot([count for count, _ in every], [case[key] for _, case in every], "s", label="all pairs")
        axes.set(xlabel="photos", ylabel=label, xlim=0, ylim=0)
        axes.legend(frameon=False)
    figure.savefig(PICTURE, dpi=100)
    print(f"\n{PICTURE.relative_to(REPOSITORY)}")


def main() -> None:
    print(f"On {machine()}")
    with tempfile.TemporaryDirectory() as folder:  # compile once, outside the measurements
        global_alignment.align(predictions(oracle.orbit(2, degrees=20), oracle.Errors(), [(0, 1)], Path(folder)), 2)
    speed()
    accuracy()
    growth()


if __name__ == "__main__":
    main()
