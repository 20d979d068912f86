"""Parity of the networks that see a video frame by frame: for the same weights and images, the published outputs."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from tests.networks import seeded
from tests.networks.parity import CLOSE, Case, Networks, cases, difference, is_points, log_difference, log_length
from threer_blender.networks import checkpoints, cut3r, must3r, spann3r, spatial_memory
from threer_blender.networks.spatial_memory import MemorySettings


@pytest.fixture(scope="module")
def networks() -> Networks:
    return Networks()


def compare(actual: dict[str, torch.Tensor], case: Case, without: tuple[str, ...] = ()) -> None:
    """Every published output of the case, `without` some, is ours within CLOSE; points and confidences in their
    logarithms too."""
    expected = {name: theirs for name, theirs in case.expected().items() if name not in without}
    assert expected.keys() == actual.keys()
    for name, theirs in expected.items():
        ours = theirs.of(actual[name])
        assert difference(ours, theirs.values) < CLOSE, name
        output = name.split(".")[-1]
        if is_points(output):
            assert difference(log_length(ours), log_length(theirs.values)) < CLOSE, name
        elif output in ("conf", "conf_self"):
            assert log_difference(ours, theirs.values, 1.0) < CLOSE, name


@pytest.mark.parametrize("case", cases("spann3r"))
def test_spann3r(case: Case, networks: Networks) -> None:
    network: Any = networks.get(case, lambda: spann3r.Spann3R(settings=MemorySettings(published=True)), spann3r.rename)
    first, *others = (image * 2 - 1 for image in case.images())
    actual, pointmaps = {}, []
    with torch.inference_mode():
        state = network.start(first)
        for number, (image, reported) in enumerate(zip(others, case.facts["memory"], strict=True)):
            pointmap, state = network.step(state, image)
            pointmaps.append(pointmap)
            actual[f"step{number}.conf2_mean"] = network.last(state).confidence.mean()
            assert len(state.memory.keys) == reported["tokens"]
            assert (state.memory.working, state.memory.long_tokens) == (
                reported["working_frames"],
                reported["long_tokens"],
            )
        pointmaps.append(network.last(state))
    for number, (points, confidence) in enumerate(pointmaps):
        actual[f"frame{number}.pts3d_in_other_view" if number else "frame0.pts3d"] = points
        actual[f"frame{number}.conf"] = confidence
    actual |= {
        "memory.attention": state.memory.attention,
        "memory.count": state.memory.count,
        "memory.key_norm": state.memory.keys.norm(dim=-1),
        "memory.value_norm": state.memory.values.norm(dim=-1),
    }
    compare(actual, case)


@pytest.mark.parametrize("case", cases("spann3r_memory"))
def test_spann3r_memory(case: Case) -> None:
    """44 frames, two of them too similar to an earlier one. The long-term memory is pruned twice."""
    seed, patches, width = case.facts["seed"], case.facts["patches"], 1024
    names = [f"norm_{part}.{leaf}" for part in "qkv" for leaf in ("weight", "bias")]
    tensors = {name: torch.from_numpy(seeded.tensor(name, (width,), seed)) for name in names}
    reader = checkpoints.load(lambda: spatial_memory.Reader(width), tensors)
    settings = MemorySettings(published=True)
    memory = spatial_memory.empty(width, patches, torch.zeros(0))
    expected, prunings = case.expected(), 0
    number_of: dict[float, int] = {}  # a token's first value -> its running number

    def normal(label: str) -> torch.Tensor:
        return torch.from_numpy(seeded.normal(label, (patches, width), seed))

    for step, reported in enumerate(case.facts["steps"]):
        if step:
            theirs = expected.pop(f"step{step}.read")
            with torch.inference_mode():
                read, memory = reader(normal(f"memory.query{step}"), memory, settings)
            assert difference(theirs.of(read[:4]), theirs.values) < CLOSE
        original = case.facts["repeated"].get(str(step))
        keys, values = normal(f"memory.key{step}"), normal(f"memory.value{step}")
        if original is not None:
            noise = case.facts["repeated_noise"] * normal(f"memory.noise{step}")
            keys = normal(f"memory.key{original}") + noise
        number_of |= {value: patches * step + token for token, value in enumerate(values[:, 0].tolist())}
        memory = memory.with_frame(keys, values, settings)
        assert (len(memory.keys), memory.working, memory.long_tokens) == (
            reported["tokens"],
            reported["working_frames"],
            reported["long_tokens"],
        )
        if reported["pruned"]:
            theirs = expected.pop(f"pruning{prunings}.kept")
            ours = torch.tensor(sorted(number_of[value] for value in memory.values[:, 0].tolist()))
            assert torch.equal(theirs.of(ours), theirs.values)
            prunings += 1
    for name, ours, close in (("attention", memory.attention, 1e-3), ("count", memory.count, CLOSE)):
        theirs = expected.pop(name)
        assert difference(theirs.of(ours.sort().values), theirs.values) < close
    assert not expected


@pytest.mark.parametrize("case", cases("cut3r"))
def test_cut3r(case: Case, networks: Networks) -> None:
    """The third frame leaves no trace in the state."""
    network: Any = networks.get(case, cut3r.CUT3R, cut3r.rename)
    actual: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        states = [network.initial()]
        for number, (image, update) in enumerate(zip(case.images(), case.facts["update"], strict=True)):
            prediction, state = network.step(states[-1], image * 2 - 1, update, complete=True)
            states.append(state)
            actual |= {
                f"view{number}.camera_pose": prediction.pose,
                f"view{number}.pts3d_in_self_view": prediction.local.points,
                f"view{number}.conf_self": prediction.local.confidence,
                f"view{number}.pts3d_in_other_view": prediction.shared.points,
                f"view{number}.conf": prediction.shared.confidence,
                f"view{number}.rgb": prediction.colours,
            }
    for number, state in enumerate(states):
        for name, tokens in (("state", state.tokens), ("memory", state.memory)):
            actual |= {f"{name}{number}.first": tokens[:, :2], f"{name}{number}.norm": tokens.norm(dim=-1)}
    compare(actual, case)


@pytest.mark.parametrize("case", cases("must3r"))
def test_must3r(case: Case, networks: Networks) -> None:
    """Two frames at once, two more one by one, and the first one again from the whole memory.

    The case also holds a focal length and a pose, which its program computes from these outputs.
    """
    network: Any = networks.get(case, must3r.MUSt3R, must3r.rename)
    images = torch.cat(case.images()) * 2 - 1
    outputs = {}
    with torch.inference_mode():
        memory = network.empty()
        calls = {"first_pass": [0, 1], "update2": [2], "update3": [3], "rendered0": [0]}
        for name, frames in calls.items():
            encoded = network.encode(images[frames])
            raw, memory = network.decoder(encoded, memory, render=name.startswith("rendered"))
            outputs[name] = raw.permute(0, 2, 3, 1)
            prediction, _ = network(encoded, memory, render=True)
            assert prediction.local.points.shape == (len(frames), *images.shape[2:], 3)
    outputs |= {
        "memory.first_layer_norm": memory.layers[0].norm(dim=-1),
        "memory.last_layer_norm": memory.layers[-1].norm(dim=-1),
        "memory.labels": memory.labels,
    }
    compare(outputs, case, without=("rendered0.c2w", "rendered0.focal"))
