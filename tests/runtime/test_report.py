"""Progress only ever grows, knows the time left, and cancelling stops the engine at its next word."""

import pytest

from threer_blender.messages import Cancelled, Message, Progress
from threer_blender.runtime.report import Report


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_fraction_and_time_left() -> None:
    clock, sent = Clock(), list[Message]()
    report = Report(sent.append, clock=clock)
    report.plan({"a": 10, "b": 30})
    for step in range(11):
        report("a", step, 10)
        clock.now += 1
    report("b", 15, 30)
    last = sent[-1]
    assert isinstance(last, Progress)
    assert last.stage == "b"
    assert last.fraction == pytest.approx(0.625)
    assert last.seconds_left == pytest.approx(11 * 0.375 / 0.625, abs=0.1)


def test_a_corrected_plan_never_walks_back() -> None:
    sent: list[Message] = []
    report = Report(sent.append, clock=Clock())
    report.plan({"a": 1, "b": 1})
    report("a", 1, 1)
    report.plan({"a": 1, "b": 9})
    report("b", 0, 9)
    report("b", 9, 9)
    fractions = [m.fraction for m in sent if isinstance(m, Progress)]
    assert fractions == sorted(fractions)


def test_cancel() -> None:
    report = Report(lambda _: None)
    report.plan({"a": 1})
    report("a", 0, 1)
    report.cancelled.set()
    with pytest.raises(Cancelled):
        report("a", 1, 1)
