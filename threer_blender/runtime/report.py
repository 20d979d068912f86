"""[R] How an engine reports: weighted stages become one fraction and a time left; cancelling, an exception."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from ..messages import Cancelled, Message, Progress, Warning

QUIET = 0.2  # seconds between two Progress messages of one stage
SURE = 3.0  # seconds of work before a time left is worth saying


class Report:
    """Called by an engine as `report(stage, done, total)`; raises Cancelled once the user has cancelled."""

    def __init__(
        self,
        send: Callable[[Message], None],
        opening: Mapping[str, float] | None = None,
        closing: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`opening` and `closing` are stages around every engine's own: stage -> share of the engine's time."""
        self.cancelled = threading.Event()
        self._send, self._clock = send, clock
        self._opening, self._closing = dict(opening or {}), dict(closing or {})
        self._weights: dict[str, float] = {}
        self.plan({"": 1.0})
        self._stage = ""
        self._done: float = 0.0
        self._started = clock()
        self._sent = -QUIET

    def plan(self, stages: Mapping[str, float]) -> None:
        """What is to come: stage -> expected seconds. Only their ratios matter. May be called again to correct it."""
        whole = sum(stages.values())
        shares = {**self._opening, **dict.fromkeys(stages, 0.0), **self._closing}
        self._weights = {name: stages.get(name, share * whole) for name, share in shares.items()}

    def __call__(self, stage: str, done: float, total: float) -> None:
        """`done` of `total` steps of a planned `stage` are finished."""
        if self.cancelled.is_set():
            raise Cancelled
        names = list(self._weights)
        before = sum(self._weights[name] for name in names[: names.index(stage)])
        share = done / total if total > 0 else 1.0
        fraction = (before + share * self._weights[stage]) / sum(self._weights.values())
        self._done = max(self._done, min(1.0, fraction))  # a corrected plan never walks the bar back
        now = self._clock()
        if stage == self._stage and now - self._sent < QUIET:
            return
        self._stage, self._sent = stage, now
        elapsed = now - self._started
        left = elapsed * (1 - self._done) / self._done if elapsed > SURE and self._done > 0.02 else None
        self._send(Progress(stage, round(self._done, 4), None if left is None else round(left, 1)))

    def warn(self, text: str, photo: str = "") -> None:
        """Tells the artist something, in a whole sentence; `photo` names the photo that it concerns."""
        self._send(Warning(text, photo))
