"""Where memory runs out, a lighter run is tried and reported; where none is lighter, one sentence says what to do."""

from __future__ import annotations

from typing import Any

import pytest

from threer_blender.engines import registry
from threer_blender.jobs.messages import Message, Notice
from threer_blender.model.engine import Engine, Option
from threer_blender.runtime.report import MessageReport
from threer_blender.worker import __main__ as worker

CHOICES = {"low": "Low", "middle": "Middle", "high": "High"}
OPTION = Option("quality", "high", "Quality", "T.", choices=CHOICES, lightest_first=True)
ENGINE = Engine("x", "X", "X.", "MIT", True, frozenset(), (), (OPTION,))


def run(monkeypatch: pytest.MonkeyPatch, error: Exception, fits: str) -> tuple[list[Message], Any]:
    def reconstruct(_photos: object, options: dict[str, Any], _report: object) -> str:
        if options["quality"] != fits:
            raise error
        return "result"

    messages: list[Message] = []
    monkeypatch.setattr(registry, "reconstruct_of", lambda _engine: reconstruct)
    result = worker.within_memory(ENGINE, [], {"quality": "high"}, MessageReport(messages.append))
    return messages, result


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_lighter_until_it_fits(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    messages, result = run(monkeypatch, error, fits="low")
    assert result == ("result", {"quality": "low"})
    assert messages == [
        Notice("The memory ran out; trying again with quality “Middle”."),
        Notice("The memory ran out; trying again with quality “Low”."),
    ]


def test_nothing_lighter_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemoryError):
        run(monkeypatch, MemoryError(), fits="none")


def test_other_errors_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        run(monkeypatch, RuntimeError("a bug"), fits="low")
