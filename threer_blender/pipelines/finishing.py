"""[R] Improvement of a result that the artist may end early: the result then stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..model.arrays import Array
from ..model.engine import Report, Stage
from ..model.reconstruction import Reconstruction

NOT_REFINED = "You stopped the work before its cameras were refined; Refine Cameras does it later."


def improved(result: Reconstruction, improve: Callable[[Report], Reconstruction], report: Report) -> Reconstruction:
    """`improve`'s result. Where the artist asks for the result as it stands, before or during the work, `result`.

    Raises what `improve` raises.
    """
    try:
        return improve(_Ending(report))
    except _Ended:
        result.notes.append(NOT_REFINED)
        return result


class _Ended(Exception):
    """The artist asks for the result as it stands."""


class _Ending:
    """The report for `improve`: it raises _Ended once the artist asks for the result."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.finishing = report.finishing

    def plan(self, stages: Iterable[Stage]) -> None:
        self._report.plan(stages)

    def __call__(self, stage: Stage, done: float, total: float) -> None:
        self._report(stage, done, total)
        if self.finishing.is_set():
            raise _Ended

    def warn(self, text: str, photo: str = "") -> None:
        self._report.warn(text, photo)

    def keep(self) -> None:
        self._report.keep()

    def preview(self, picture: Array) -> None:
        self._report.preview(picture)
