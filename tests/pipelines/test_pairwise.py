"""Many pairs through a pair network: each photo is encoded once, batches change nothing, a full memory is survived."""

import weakref
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from threer_blender.jobs.messages import Notice
from threer_blender.model.reconstruction import PhotoFromMap
from threer_blender.networks import dust3r, inputs, mast3r
from threer_blender.networks.layers.sizes import TransformerSize
from threer_blender.pipelines import pairwise
from threer_blender.runtime.device import Device
from threer_blender.runtime.report import MessageReport

TINY = dust3r.DUSt3RConfig(encoder=TransformerSize(64, 2, 4), decoder=TransformerSize(48, 4, 4))
CPU = Device(torch.device("cpu"), torch.float32, "a CPU", 2**30)
SIZES = [(32, 48), (32, 48), (48, 32), (32, 48)]
PAIRS = [(i, j) for i in range(4) for j in range(4) if i != j]


@pytest.fixture
def photos() -> list[inputs.Input]:
    random = np.random.default_rng(0)
    whole = PhotoFromMap(1, 1, 0, 0)
    return [inputs.Input(random.integers(0, 256, (*size, 3)).astype(np.uint8), whole) for size in SIZES]


@pytest.fixture
def network() -> dust3r.PairNetwork[Any]:
    torch.manual_seed(0)
    return dust3r.linear_224(TINY).eval()


def report(messages: list[Any] | None = None) -> MessageReport:
    message_report = MessageReport((messages if messages is not None else []).append)
    message_report.plan(pairwise.plan(4, 12))
    return message_report


def test_each_photo_is_encoded_once_and_batches_change_nothing(
    photos: list[inputs.Input], network: dust3r.PairNetwork[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    network.encoder.register_forward_hook(lambda *_: calls.append(1))
    encoded = pairwise.encode(network, CPU, photos, report())
    predictions = {(one.first, one.second): one for one in pairwise.predict(network, CPU, encoded, PAIRS, report())}
    assert len(calls) == len(photos)
    assert predictions.keys() == set(PAIRS)
    monkeypatch.setattr(pairwise, "CPU_TOKENS", 1)
    for one in pairwise.predict(network, CPU, encoded, PAIRS, report()):
        for ours, batched in zip((one.of_first, one.of_second), predictions[one.first, one.second][2:], strict=True):
            torch.testing.assert_close(ours.points, batched.points, rtol=1e-4, atol=1e-5)
    # The network's own forward differs only by half precision on the way.
    for first, second in PAIRS:
        with torch.inference_mode():
            whole = network(*(photos[i].normalised[None] for i in (first, second)))
        for ours, theirs in zip(predictions[first, second][2:], whole, strict=True):
            assert (ours.points - theirs.points[0]).norm() < 0.01 * theirs.points.norm()
    prediction = pairwise.pair_prediction(predictions[1, 2])
    assert prediction.points_first.shape == (32, 48, 3)
    assert prediction.confidence_second.shape == (48, 32)
    assert (prediction.confidence_first > 1).all()


def test_of_all_predictions_one_batch_is_held(
    photos: list[inputs.Input], network: dust3r.PairNetwork[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = pairwise.encode(network, CPU, photos, report())
    decode, batches = network.decode, []

    def remembered(first: dust3r.Encoded, second: dust3r.Encoded) -> tuple[Any, ...]:
        sides = decode(first, second)
        batches.append(weakref.ref(sides[0].points))
        return sides

    monkeypatch.setattr(network, "decode", remembered)
    monkeypatch.setattr(pairwise, "CPU_TOKENS", 1)
    held = [
        sum(batch() is not None for batch in batches) for _ in pairwise.predict(network, CPU, encoded, PAIRS, report())
    ]
    assert len(batches) == len(PAIRS)
    assert max(held) == 1


SHORT = [
    pytest.param(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), id="CUDA"),
    pytest.param(RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB)"), id="Apple"),
    pytest.param(RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), id="CPU"),
    pytest.param(MemoryError(), id="Python"),
]


@pytest.mark.parametrize("error", SHORT)
def test_where_memory_is_short_batches_shrink_and_it_is_said(
    photos: list[inputs.Input], network: dust3r.PairNetwork[Any], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    encoded = pairwise.encode(network, CPU, photos, report())
    decode, batches = network.decode, []

    def short(first: dust3r.Encoded, second: dust3r.Encoded) -> tuple[Any, ...]:
        batches.append(len(first.tokens))
        if len(first.tokens) > 2:
            raise error
        return decode(first, second)

    monkeypatch.setattr(network, "decode", short)
    messages: list[Any] = []
    predictions = list(pairwise.predict(network, CPU, encoded, PAIRS, report(messages)))
    assert {(one.first, one.second) for one in predictions} == set(PAIRS)
    assert max(batches) > 2
    text = "The memory of a CPU is short: fewer photos are compared at a time, which is slower."
    assert Notice(text) in messages

    def never(*_: object) -> tuple[Any, ...]:
        raise error

    monkeypatch.setattr(network, "decode", never)
    with pytest.raises(type(error)):
        list(pairwise.predict(network, CPU, encoded, PAIRS[:1], report()))


def test_other_errors_are_not_tried_again(
    photos: list[inputs.Input], network: dust3r.PairNetwork[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded, calls = pairwise.encode(network, CPU, photos, report()), []

    def broken(*_: object) -> tuple[Any, ...]:
        calls.append(1)
        raise RuntimeError("a bug")

    monkeypatch.setattr(network, "decode", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        list(pairwise.predict(network, CPU, encoded, PAIRS, report()))
    assert len(calls) == 1


def test_heads_stay_in_full_precision() -> None:
    torch.manual_seed(0)
    network = mast3r.metric_512(TINY).eval()
    network.place(torch.device("cpu"), torch.bfloat16)
    one = torch.rand(1, 3, 32, 48) * 2 - 1
    with torch.inference_mode():
        encoded = network.encode(one)
        first, second = network.decode(encoded, encoded)
    assert encoded.tokens.dtype == torch.bfloat16
    assert all(part.dtype == torch.float32 for part in (*first, *second))
    torch.testing.assert_close(first.descriptors.norm(dim=-1), torch.ones(1, 32, 48))
