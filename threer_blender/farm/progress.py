"""[S] The state of a task in lines on stdout, as Open Job Description's sessions read it."""

from __future__ import annotations

import sys

from ..jobs.messages import Message, Notice, Progress

STEP = 0.5  # percent: smaller advances are not printed


class OpenJobLines:
    """Prints each message of a worker as lines that a session understands."""

    def __init__(self) -> None:
        self._percent, self._stage = -STEP, ""

    def __call__(self, message: Message) -> None:
        if isinstance(message, Progress):
            percent = 100 * message.fraction
            if percent >= self._percent + STEP:
                self._percent = percent
                _print(f"openjd_progress: {percent:.1f}")
            if message.stage != self._stage:
                self._stage = message.stage
                _print(f"openjd_status: {message.stage}")
        elif isinstance(message, Notice):
            _print(f"{message.photo + ': ' if message.photo else ''}{message.text}")

    def failed(self, sentence: str) -> None:
        """Says why the task failed."""
        _print(f"openjd_fail: {sentence}")


def _print(text: str) -> None:
    sys.stdout.write(" ".join(text.splitlines()) + "\n")
    sys.stdout.flush()
