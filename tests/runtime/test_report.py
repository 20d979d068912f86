"""Progress only ever grows, knows the time left, and cancelling stops the engine at its next report."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from threer_blender.jobs.messages import Message, Preview, Progress
from threer_blender.model.engine import Stage
from threer_blender.model.errors import Cancelled
from threer_blender.runtime.report import MessageReport

A, B, AGAIN = Stage("a", "the a"), Stage("b", "the b"), Stage("a", "the a again")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_fraction_and_time_left() -> None:
    clock, sent = Clock(), list[Message]()
    report = MessageReport(sent.append, clock=clock)
    report.plan([A.weighing(10), B.weighing(30)])
    for step in range(11):
        report(A, step, 10)
        clock.now += 1
    report(B, 15, 30)
    last = sent[-1]
    assert isinstance(last, Progress)
    assert last.stage == "the b"
    assert last.fraction == pytest.approx(0.625)
    assert last.seconds_left == pytest.approx(11 * 0.375 / 0.625, abs=0.1)


def test_a_corrected_plan_never_walks_back() -> None:
    sent: list[Message] = []
    report = MessageReport(sent.append, clock=Clock())
    report.plan([A.weighing(1), B.weighing(1)])
    report(A, 1, 1)
    report.plan([A.weighing(1), B.weighing(9)])
    report(B, 0, 9)
    report(B, 9, 9)
    fractions = [m.fraction for m in sent if isinstance(m, Progress)]
    assert fractions == sorted(fractions)


def test_time_left_is_that_of_the_corrected_plan() -> None:
    clock, sent = Clock(), list[Message]()
    report = MessageReport(sent.append, clock=clock)
    report.plan([A.weighing(8), B.weighing(2)])
    clock.now = 8
    report(A, 8, 8)
    report.plan([A.weighing(8), AGAIN.weighing(22), B.weighing(2)])
    report(AGAIN, 0, 1)
    last = sent[-1]
    assert isinstance(last, Progress)
    assert last.fraction == 0.8
    assert last.seconds_left == pytest.approx(24)


def test_time_left_counts_down_while_nothing_is_heard() -> None:
    """A quarter is done after 4 s, so 16 s are expected in all; at 17 s those are over. Half is done after 20 s."""
    clock, sent = Clock(), list[Message]()
    report = MessageReport(sent.append, clock=clock)
    report.plan([A.weighing(1)])
    for clock.now, done in ((4, 1), (7, 1), (15, 1), (17, 1), (20, 2)):
        report(A, done, 4)
    assert [message.seconds_left for message in sent if isinstance(message, Progress)] == [12, 9, 1, None, 20]


def test_cancel() -> None:
    report = MessageReport(lambda _: None)
    report.plan([A.weighing(1)])
    report(A, 0, 1)
    report.cancelled.set()
    with pytest.raises(Cancelled):
        report(A, 1, 1)


def test_a_result_that_stands_is_kept_by_the_first_cancel() -> None:
    clock, sent = Clock(), list[Message]()
    report = MessageReport(sent.append, clock=clock)
    report.plan([A.weighing(1)])
    report(A, 0, 4)
    report.keep()
    report(A, 1, 4)
    assert not report.cancel()
    assert report.finishing.is_set()
    report(A, 2, 4)
    assert [message.cancel_delivers for message in sent if isinstance(message, Progress)] == [False, True, False]
    assert report.cancel()
    with pytest.raises(Cancelled):
        report(A, 3, 4)


def test_before_there_is_a_result_nothing_is_kept() -> None:
    report = MessageReport(lambda _: None)
    assert report.cancel()
    assert not report.finishing.is_set()


def test_previews_are_pictures_in_the_jobs_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sent: list[Message] = []
    report = MessageReport(sent.append)
    for grey in (10, 20, 30):
        report.preview(np.full((3, 4, 3), grey, np.uint8))
    paths = [Path(message.path) for message in sent if isinstance(message, Preview)]
    assert len(set(paths)) == 3
    (folder,) = tmp_path.iterdir()
    assert sorted(folder.glob("*.png")) == sorted(paths[1:])
    assert np.array_equal(np.asarray(Image.open(paths[-1])), np.full((3, 4, 3), 30, np.uint8))
