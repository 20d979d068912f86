"""DUSt3R's pairs, MASt3R's matching and loading a checkpoint, beside the released way, all with random weights.

nox -s benchmarks -- pair_networks

The released way, as its algorithm is documented: both photos are encoded for every ordered pair, attention holds all
its weights, all predictions are kept (that it keeps the photos with each, and joins everything in the end, is not
counted); matching compares blocks of 8192 descriptors and looks for both sides' nearest in each. Both ways have the
same weights and photos, one after the other in one process. Needs torch, 4 GB of memory and 2.3 GB of disk.
"""

import ctypes
import gc
import math
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests import oracle
from tests.benchmarks._measure import chosen, machine, measured, table
from threer_blender.geometry.pairs import reciprocal_matching
from threer_blender.geometry.pairs.pairs import PairStore
from threer_blender.model.reconstruction import PhotoFromMap
from threer_blender.networks import dust3r, inputs
from threer_blender.networks.layers import transformer
from threer_blender.pipelines import pairwise
from threer_blender.runtime.device import choose
from threer_blender.runtime.report import MessageReport

PHOTOS, SIDE = 8, 224  # number, and pixels of the side
# Of the released matching: pixels between starts; rounds, at most; descriptors that are compared at a time.
GRID, ROUNDS, BLOCK = 8, 10, 2**13

LOADING = """
import threading
from pathlib import Path
from threer_blender.networks import checkpoints, dust3r
before = time.monotonic()
network = checkpoints.load(dust3r.dpt_512, checkpoints.read(Path(sys.argv[1])), dust3r.rename)
ready = time.monotonic() - before
total = sum(float(tensor.sum()) for tensor in network.state_dict().values())  # every page is looked at
end(ready=ready, size=Path(sys.argv[1]).stat().st_size)
"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def status(name: str) -> int:
    """Bytes of memory, as a row of this process's /proc/self/status says."""
    row = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith(name))
    return int(row.split()[1]) * 1024


def cost(work: Callable[[], Any]) -> tuple[Any, float, float, float]:
    """The result of `work`, its CPU- and wall-seconds, and its peak memory above that before, in MB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    resident, cpu, wall = status("VmRSS"), cpu_seconds(), time.monotonic()
    actual = work()
    return actual, cpu_seconds() - cpu, time.monotonic() - wall, (status("VmHWM") - resident) / 1e6


def random_network() -> dust3r.PairNetwork[Any]:
    """DUSt3R 224 with random weights, scaled so that activations neither grow nor vanish."""
    with torch.device("meta"):
        network = dust3r.linear_224()
    network = network.to_empty(device="cpu").eval().requires_grad_(False)
    torch.manual_seed(0)
    for tensor in network.state_dict().values():
        tensor.normal_(0, 1 / math.sqrt(tensor[0].numel())) if tensor.ndim > 1 else tensor.fill_(0.5)
    return network


def materialised(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention as released: all weights at once."""
    weights = (queries @ keys.transpose(-2, -1) * queries.shape[-1] ** -0.5).softmax(dim=-1)
    return (weights @ values).transpose(1, 2).flatten(2)


def released_pairs(
    network: dust3r.PairNetwork[Any], photos: list[inputs.Input], pairs: list[tuple[int, int]]
) -> list[Any]:
    """Predictions of each pair by itself, all in memory."""
    attend, transformer.attend = transformer.attend, materialised
    predictions = []
    with torch.inference_mode():
        for first, second in pairs:
            both = network.encode(torch.stack([photos[first].normalised, photos[second].normalised]))
            predictions.append(network.decode(*(dust3r.Encoded(both.tokens[i : i + 1], both.grid) for i in (0, 1))))
    transformer.attend = attend
    return predictions


def our_pairs(
    network: dust3r.PairNetwork[Any], photos: list[inputs.Input], pairs: list[tuple[int, int]], folder: str
) -> PairStore:
    """Predictions by the pipeline of the engines."""
    report = MessageReport(lambda _message: None)
    report.plan(pairwise.plan(len(photos), len(pairs)))
    device, store = choose(), PairStore(Path(folder))
    encoded = pairwise.encode(network, device, photos, report)
    for prediction in pairwise.predict(network, device, encoded, pairs, report):
        store.add(pairwise.pair_prediction(prediction))
    return store


def pair_rows() -> Iterator[list[str]]:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8)
    photos = [inputs.Input(image, PhotoFromMap(1, 1, 0, 0)) for image in images]
    pairs = [(i, j) for i in range(PHOTOS) for j in range(PHOTOS) if i != j]
    network = random_network()
    released_pairs(network, photos, pairs[:1])  # warm
    with tempfile.TemporaryDirectory() as folder:
        store, *ours = cost(lambda: our_pairs(network, photos, pairs, folder))
        predictions, *theirs = cost(lambda: released_pairs(network, photos, pairs))
        worst = 0.0
        for (first, second), (one, _) in zip(pairs, predictions, strict=True):
            index = next(k for k, edge in enumerate(store.edges) if (edge.first, edge.second) == (first, second))
            true = one.points[0].numpy()
            worst = max(worst, float(np.linalg.norm(store.read(index, 0).points - true) / np.linalg.norm(true)))
    yield ["released", *(f"{value:.1f}" for value in theirs), ""]
    yield ["ours", *(f"{value:.1f}" for value in ours), f"{worst:.1e}"]
    ratio = [theirs[0] / ours[0], theirs[1] / ours[1], ours[2] / theirs[2]]
    yield ["", f"**{ratio[0]:.1f} times faster**", f"{ratio[1]:.1f} times faster", f"**{ratio[2]:.2f} times**", ""]


def released_nearest(first: Tensor, second: Tensor) -> Tensor:
    """The nearest of `second` for each of `first`, block by block, with the other side's nearest as well."""
    best = [torch.full((len(side),), -torch.inf) for side in (first, second)]
    nearest = [torch.full((len(side),), -1) for side in (first, second)]
    for i in range(0, len(first), BLOCK):
        for j in range(0, len(second), BLOCK):
            products = first[i : i + BLOCK] @ second[j : j + BLOCK].T
            for side, (start, other) in enumerate(((i, j), (j, i))):
                value, index = products.max(dim=1 - side)
                here = slice(start, start + len(value))
                better = value > best[side][here]
                best[side][here][better] = value[better]
                nearest[side][here][better] = index[better] + other
    return nearest[0]


def released_matches(first: Tensor, second: Tensor) -> set[tuple[int, int]]:
    """Goes from a grid of either picture to nearest descriptors back and forth until points stay where they are.

    Every round searches for the points that still move alone.
    """
    collected = set()
    for swapped, (one, two) in enumerate(((first, second), (second, first))):
        height, width = one.shape[:2]
        rows, columns = (torch.arange(GRID // 2, side, GRID) for side in (height, width))
        start = (rows[:, None] * width + columns).flatten()
        one, two = one.flatten(0, 1), two.flatten(0, 1)
        for _ in range(ROUNDS):
            there = released_nearest(one[start], two)
            back = released_nearest(two[there], one)
            rest = back == start
            for a, b in zip(start[rest].tolist(), there[rest].tolist(), strict=True):
                collected.add((b, a) if swapped else (a, b))
            start = back[~rest]
            if not len(start):
                break
    return collected


def described(views: list[oracle.View]) -> list[Tensor]:
    """Unit descriptors (H, W, 24) of the surface that each view sees, alike where it is the same, with some noise."""
    random = np.random.default_rng(0)
    waves = random.standard_normal((3, 24)) * np.geomspace(1, 40, 24)
    collected = []
    for view in views:
        values = np.sin(view.points @ waves + np.arange(24)) + 0.05 * random.standard_normal((*view.depth.shape, 24))
        collected.append(torch.nn.functional.normalize(torch.from_numpy(values.astype(np.float32)), dim=-1))
    return collected


def matching_rows() -> Iterator[list[str]]:
    first, second = described(oracle.orbit(2, (384, 512), degrees=20))
    reciprocal_matching.reciprocal(first[::8, ::8], second[::8, ::8])  # warm
    pairs, *ours = cost(lambda: reciprocal_matching.reciprocal(first, second))
    expected, *theirs = cost(lambda: released_matches(first, second))
    actual = {(a, b) for a, b in pairs.tolist()}
    yield ["released", str(len(expected)), *(f"{value:.1f}" for value in theirs), ""]
    yield [
        "ours",
        str(len(actual)),
        *(f"{value:.1f}" for value in ours),
        "identical" if actual == expected else f"{len(actual ^ expected)} differ",
    ]
    yield ["", "", f"**{theirs[0] / ours[0]:.1f} times faster**", f"{theirs[1] / ours[1]:.1f} times faster", "", ""]


def loading_rows() -> Iterator[list[str]]:
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        with torch.device("meta"):
            layout = dust3r.dpt_512().state_dict()
        prefix = "encoder."
        save_file({name.removeprefix(prefix): torch.full(t.shape, 0.01) for name, t in layout.items()}, path)
        for run in ("cold or warm", "warm"):
            done = measured(LOADING, str(path))
            size = done["size"] / 2**30
            yield [
                run,
                f"{size:.2f}",
                f"{done['ready']:.1f}",
                f"{done['peak_gib']:.2f}",
                f"{done['peak_gib'] / size:.2f}",
            ]


def main() -> None:
    chosen(__doc__)
    torch.set_num_threads(1)  # several wait for each other on a busy machine, and waiting counts as work
    print(f"\nMeasured on {machine()}, torch {torch.__version__}")
    print(f"\nAll {PHOTOS * (PHOTOS - 1)} ordered pairs of {PHOTOS} photos at {SIDE}x{SIDE}\n")
    table(["way", "CPU-s", "wall-s", "peak MB above the weights", "farthest apart"], pair_rows())
    print("\nMatches of two maps of 384x512 descriptors\n")
    table(["way", "matches", "CPU-s", "wall-s", "peak MB", ""], matching_rows())
    print("\nA checkpoint: from the file to a network that is ready; then every weight is looked at\n")
    table(["run", "GiB", "ready s", "peak resident GiB", "of its size"], loading_rows())


if __name__ == "__main__":
    main()
