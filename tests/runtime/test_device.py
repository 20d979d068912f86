"""The device: what is chosen can compute, in the type that it names."""

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="networks need torch")
import torch

from threer_blender.engines import registry
from threer_blender.jobs.messages import Message, Notice
from threer_blender.model.engine import Engine
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.runtime import context, device
from threer_blender.runtime.context import Context
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import __main__ as worker

LEARNED = Engine("x", "X", "X.", "MIT", True, frozenset(), ("torch",))
RESULT = Reconstruction("x", "MIT", [], [])


def test_the_chosen_device_computes() -> None:
    chosen = device.choose()
    ones = torch.ones(4, 4, device=chosen.torch, dtype=chosen.dtype)
    assert (ones @ ones).sum().item() == 64
    assert chosen.name
    assert 2**26 < chosen.memory < 2**44


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes torch report a graphics card, so that it is chosen in this test."""
    for name, value in {
        "is_available": True,
        "mem_get_info": (2**30, 2**31),
        "is_bf16_supported": True,
        "get_device_name": "Card",
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value, **_: value)
    with context.entered(Context()):
        yield


@pytest.mark.usefixtures("card")
def test_what_a_card_has_no_memory_for_the_processor_does(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = []

    def reconstruct(*_: object) -> Reconstruction:
        devices.append(device.choose().torch.type)
        if devices[-1] == "cuda" or len(devices) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return RESULT

    monkeypatch.setattr(registry, "reconstruct_of", lambda _engine: reconstruct)
    messages: list[Message] = []
    assert worker.within_memory(LEARNED, [], {}, MessageReport(messages.append)) == (RESULT, {})
    assert devices == ["cuda", "cpu"]
    assert messages == [
        Notice("The graphics card's memory ran out; trying again on the processor, which takes longer.")
    ]
    with pytest.raises(torch.OutOfMemoryError):  # nothing smaller is left
        worker.within_memory(LEARNED, [], {}, MessageReport(messages.append))


@pytest.mark.usefixtures("card")
def test_the_card_is_kept_where_the_computers_own_memory_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def reconstruct(*_: object) -> Reconstruction:
        raise MemoryError

    monkeypatch.setattr(registry, "reconstruct_of", lambda _engine: reconstruct)
    with pytest.raises(MemoryError):
        worker.within_memory(LEARNED, [], {}, MessageReport(lambda _message: None))
    assert device.choose().name == "Card"
