"""A result whose improvement the artist ends stays as it is, and says so."""

from dataclasses import replace

import pytest

from threer_blender.model.engine import Report, Stage
from threer_blender.model.errors import Cancelled
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.pipelines import finishing
from threer_blender.runtime.report import MessageReport

STAGE = Stage("improving", "Improving", 1.0)


def improved(cancels: int) -> tuple[Reconstruction, int]:
    """The result after so many cancels at the second of five steps, and the steps that were made."""
    report = MessageReport(lambda _message: None)
    report.plan([STAGE])
    report.keep()
    result = Reconstruction("cut3r", "CC", [], [], [], None)
    steps = 0

    def improve(report_of_work: Report) -> Reconstruction:
        nonlocal steps
        for step in range(5):
            if step == 1:
                for _ in range(cancels):
                    report.cancel()
            report_of_work(STAGE, step, 5)
            steps += 1
        return replace(result, engine="improved")

    return finishing.improved(result, improve, report), steps


def test_without_a_cancel_the_result_is_improved() -> None:
    result, steps = improved(0)
    assert (result.engine, result.notes, steps) == ("improved", [], 5)


def test_a_cancel_delivers_the_result_as_it_was() -> None:
    result, steps = improved(1)
    assert (result.engine, result.notes, steps) == ("cut3r", [finishing.NOT_REFINED], 1)


def test_a_second_cancel_ends_the_work_without_a_result() -> None:
    with pytest.raises(Cancelled):
        improved(2)
