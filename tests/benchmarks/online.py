"""Networks that see a video frame by frame, beside a straightforward way to run them, and their pipeline's memory.

nox -s benchmarks -- online

The straightforward way encodes all frames at first and keeps them, makes attention's matrices, runs all heads at every
step, and keeps all results, as the released programs do in their simplest mode. Both ways run the same network with the
same random weights on the same random frames, each in a process of its own. Seconds are CPU-seconds a frame. Memory is
the most that the process held, with the weights and, in brackets, without them.

The pipeline is measured on a long walk around a room. A stand-in answers for CUT3R from the truth, with an error that
grows from frame to frame as a drifting network's does. It starts anew with each part of 100 frames.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests import oracle
from tests.benchmarks._measure import chosen, machine, measured, table
from tests.benchmarks.feedforward import filled
from threer_blender.geometry import rotations
from threer_blender.geometry.alignment import chunks
from threer_blender.geometry.view_prediction import ViewPrediction
from threer_blender.model.similarity import procrustes
from threer_blender.networks import cut3r, spann3r
from threer_blender.networks.layers import transformer

OURS, THEIRS = "ours", "straightforward"
FRAMES = 5
SIZES = {"Spann3R": (224, 224), "CUT3R": (288, 512)}  # height and width of the frames
BUILD: dict[str, Callable[[], torch.nn.Module]] = {"Spann3R": spann3r.Spann3R, "CUT3R": cut3r.CUT3R}
WALK = (500, 2000)  # frames
DRIFT = 2e-4  # radians, and share of the step, by which each frame's error differs from the one before
LAPS = 4  # of the walk, so that places are seen again

RUN = """
from tests.benchmarks.online import *
way, name = sys.argv[1:]
torch.manual_seed(0)
network = made(name)
frames = [torch.rand(1, 3, *SIZES[name]) * 2 - 1 for _ in range(FRAMES)]
weights = sum(parameter.nbytes for parameter in network.parameters())
with torch.inference_mode():
    before = time.process_time()
    depth = sum(depths(way, name, network, frames))
    seconds = (time.process_time() - before) / FRAMES
end(seconds=seconds, depth=depth, weights=weights / 2**30)
"""

LONG = """
from tests.benchmarks.online import *
end(**walked(int(sys.argv[1])))
"""


def made(name: str) -> torch.nn.Module:
    """A network of the published size with random weights."""
    return filled(BUILD[name])


def depths(way: str, name: str, network: Any, frames: list[torch.Tensor]) -> Iterator[float]:
    """The sum of each frame's points, as the network runs in one of the two ways."""
    if way == THEIRS:
        transformer.attend = plain_attention
        # Both networks encode a frame by a call of their encoder.
        encoder = network.dust3r.encoder if name == "Spann3R" else network.encoder
        encoded = iter([encoder(frame) for frame in frames])
        encoder.forward = lambda _frame: next(encoded)
    steps = spann3r_steps if name == "Spann3R" else cut3r_steps
    results = steps(network, frames, complete=way == THEIRS)
    if way == THEIRS:
        results = iter(list(results))
    for points in results:
        yield float(points.double().mean())


def spann3r_steps(network: Any, frames: list[torch.Tensor], complete: bool) -> Iterator[torch.Tensor]:
    state = network.start(frames[0])
    for frame in frames[1:]:
        pointmap, state = network.step(state, frame)
        if complete:
            network.last(state)
        yield pointmap.points
    yield network.last(state).points


def cut3r_steps(network: Any, frames: list[torch.Tensor], complete: bool) -> Iterator[torch.Tensor]:
    state = network.initial()
    for frame in frames:
        prediction, state = network.step(state, frame, complete=complete)
        yield prediction.local.points


def plain_attention(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """`transformer.attend`, with the scores of all tokens with all tokens as a matrix."""
    weights = (queries @ keys.transpose(-2, -1) / queries.shape[-1] ** 0.5).softmax(dim=-1)
    return (weights @ values).transpose(1, 2).flatten(2)


def compared(name: str) -> list[Any]:
    """A network's row of the table."""
    theirs, ours = (measured(RUN, way, name) for way in (THEIRS, OURS))
    assert abs(theirs["depth"] / ours["depth"] - 1) < 1e-4, "the two ways do not compute the same"
    beside = [way["peak_gib"] - way["weights"] for way in (theirs, ours)]
    height, width = SIZES[name]
    return [
        f"{name}, {width}×{height}, {FRAMES} frames",
        f"{theirs['seconds']:.1f} → {ours['seconds']:.1f}",
        f"{ours['seconds'] / theirs['seconds']:.2f}",
        f"{theirs['peak_gib']:.2f} → {ours['peak_gib']:.2f} ({beside[0]:.2f} → {beside[1]:.2f})",
        f"{ours['peak_gib'] / theirs['peak_gib']:.2f} ({beside[1] / beside[0]:.2f})",
    ]


def drifting(indices: Iterable[int], poses: list[Any], random: np.random.Generator) -> Iterator[ViewPrediction]:
    """The views of a network that starts with the first of these frames, and whose pose drifts."""
    first_from_world, drift = None, np.eye(4)
    for index in indices:
        truth = oracle.view(poses[index])
        if first_from_world is None:
            first_from_world = np.linalg.inv(truth.world_from_camera)
        step = np.eye(4)
        step[:3, :3] = rotations.from_vectors(DRIFT * random.standard_normal(3))
        step[:3, 3] = DRIFT * random.standard_normal(3)
        drift = drift @ step
        confidence = np.full(truth.depth.shape, 5.0, np.float32)
        pose = drift @ first_from_world @ truth.world_from_camera
        yield ViewPrediction(truth.intrinsics, pose, truth.depth.astype(np.float32), confidence)


def walked(count: int) -> dict[str, float]:
    """Resident GiB after 200 frames and at the end, and the cameras' error as a share of the walk's extent."""
    random = np.random.default_rng(0)
    poses = [view.world_from_camera for view in oracle.walk(count, (2, 2), laps=LAPS)]
    resident: list[float] = []
    settings = chunks.ChunkSettings(100, 25)
    lap = count // LAPS
    loops = [(index, index + lap) for index in range(0, count - lap, 100)]
    with tempfile.TemporaryDirectory() as folder:

        def report(_done: int, _total: int) -> None:
            status = Path("/proc/self/status").read_text()
            resident.append(int(status.split("VmRSS:")[1].split()[0]) / 2**20)

        errors = []
        for used in ([], loops):
            solution = chunks.solve(
                count, lambda indices: drifting(indices, poses, random), settings, Path(folder), used, report
            )
            ours = np.stack([solution[index].world_from_camera[:3, 3] for index in range(count)])
            truth = np.stack([pose[:3, 3] for pose in poses])
            moved = procrustes(ours, truth, np.ones(count)).apply(ours)
            error = np.sqrt(((moved - truth) ** 2).sum(axis=1).mean())
            errors.append(float(error / np.ptp(truth, axis=0).max()))
    largest = list(itertools.accumulate(resident, max))
    return {"early": largest[200], "late": largest[-1], "open": errors[0], "closed": errors[1]}


def walk(count: int) -> list[Any]:
    """A row of the table of long walks."""
    actual = measured(LONG, str(count))
    resident = f"{actual['early']:.3f} → {actual['late']:.3f} ({actual['late'] / actual['early'] - 1:+.1%})"
    return [count, resident, f"{actual['open']:.2%}", f"{actual['closed']:.2%}", f"{actual['cpu']:.0f}"]


def main() -> None:
    names = chosen(__doc__, [*BUILD, "walk"])
    print(machine(), end="\n\n")
    head = ["Network", "CPU-s a frame, theirs → ours", "Ratio", "Peak GiB, theirs → ours", "Ratio"]
    networks = [name for name in names if name in BUILD]
    if networks:
        table(head, map(compared, networks))
        print()
    if "walk" in names:
        table(["Frames", "GiB after 200 → at the end", "ATE", "ATE with loops closed", "CPU-s"], map(walk, WALK))


if __name__ == "__main__":
    main()
