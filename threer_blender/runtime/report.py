"""[R] Sends an engine's reports as messages. Weighted stages become one fraction and the time left."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from ..files import removal
from ..jobs.messages import Message, Notice, Preview, Progress
from ..model.arrays import Array
from ..model.engine import Stage
from ..model.errors import Cancelled

QUIET = 0.2  # seconds between two Progress messages of one stage
ESTIMATE_AFTER = 3.0  # seconds of work before the time left is estimated

UNPLANNED = Stage("unplanned", "", 1.0)  # the only stage before an engine's first plan


class MessageReport:
    """The Report of an engine, which calls it as `report(stage, done, total)`. Raises Cancelled after a cancel.

    An engine that has a result, and only improves it, calls `keep`. From then on the first cancel sets `finishing`. The
    engine looks at it and returns the result as it stands. Only a second cancel raises.
    """

    def __init__(
        self,
        send: Callable[[Message], None],
        opening: Iterable[Stage] = (),
        closing: Iterable[Stage] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`send` takes each message, and `clock` returns seconds.

        `opening` and `closing` are stages before and after those of the engine. Their weights are shares of the sum of
        the engine's weights.
        """
        self.cancelled, self.finishing = threading.Event(), threading.Event()
        self._send, self._clock = send, clock
        self._opening, self._closing = tuple(opening), tuple(closing)
        self._weights: dict[Stage, float] = {}
        self.plan([UNPLANNED])
        self._reported = (UNPLANNED, False)  # the stage and `cancel_delivers` of the last Progress
        self._displayed = 0.0  # the fraction that the bar shows
        self._fraction = 0.0  # the fraction by the current plan
        self._started = clock()
        self._advanced = 0.0  # seconds from the start to the last progress
        self._sent = -QUIET  # time of the last Progress
        self._has_result = False
        self._folder = Path()  # of the previews
        self._previews: list[Path] = []
        self._numbers = itertools.count(1)  # of the previews

    def plan(self, stages: Iterable[Stage]) -> None:
        """Announces the engine's stages, in their order. A later call corrects an earlier one."""
        weights = {stage: stage.weight for stage in stages}
        whole = sum(weights.values())
        opening = {stage: stage.weight * whole for stage in self._opening}
        closing = {stage: stage.weight * whole for stage in self._closing}
        self._weights = {**opening, **weights, **closing}

    def __call__(self, stage: Stage, done: float, total: float) -> None:
        """Reports that `done` of `total` steps of a planned `stage` are finished. Raises Cancelled after a cancel."""
        if self.cancelled.is_set():
            raise Cancelled
        planned = list(self._weights)
        before = sum(self._weights[each] for each in planned[: planned.index(stage)])
        share = done / total if total > 0 else 1.0
        fraction = min(1.0, (before + share * self._weights[stage]) / sum(self._weights.values()))
        self._displayed = max(self._displayed, fraction)  # a corrected plan never moves the bar back
        now = self._clock()
        if (stage, fraction) != (self._reported[0], self._fraction):
            self._fraction, self._advanced = fraction, now - self._started
        cancel_delivers = self._has_result and not self.finishing.is_set()
        if (stage, cancel_delivers) == self._reported and now - self._sent < QUIET:
            return
        self._reported, self._sent = (stage, cancel_delivers), now
        left = self._seconds_left(now - self._started)
        self._send(Progress(stage.label, round(self._displayed, 4), left, cancel_delivers))

    def _seconds_left(self, elapsed: float) -> float | None:
        """Seconds left, by the pace up to the last progress; None where that was too early or is too long ago."""
        if elapsed <= ESTIMATE_AFTER or self._fraction <= 0.02:
            return None
        left = self._advanced / self._fraction - elapsed
        return round(left, 1) if left > 0 else None

    def warn(self, text: str, photo: str = "") -> None:
        """Tells the artist `text`, a whole sentence; `photo` is the name of the photo that it is about."""
        self._send(Notice(text, photo))

    def keep(self) -> None:
        """Announces that there is a result: if the user cancels from now on, the work ends early and returns it."""
        self._has_result = True

    def cancel(self) -> bool:
        """The user cancels. Called from another thread. Returns False where the engine will still return a result."""
        if self._has_result and not self.finishing.is_set():
            self.finishing.set()
            return False
        self.cancelled.set()
        return True

    def preview(self, picture: Array) -> None:
        """Shows the artist how the result looks: (H, W, 3) uint8 sRGB. Only the last two previews stay on disk."""
        from PIL import Image  # the Python that only downloads may lack it

        if not self._previews:
            self._folder = removal.temporary("threer_previews_")
        path = self._folder / f"preview-{next(self._numbers)}.png"
        Image.fromarray(picture).save(path)
        self._previews.append(path)
        if len(self._previews) > 2:
            removal.remove_made_file(self._previews.pop(0))
        self._send(Preview(str(path)))


class Watch:
    """A stopwatch. `laps` holds the seconds of each lap by name: a Reconstruction's timings."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """Ends the current lap, whose name is `name`, and begins the next."""
        now = time.perf_counter()
        self.laps[name], self._since = now - self._since, now
