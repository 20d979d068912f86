"""[S] Reconstructions one after the other: the queue that a user interface polls. Stdlib only, no bpy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from . import headless
from .messages import Done, Failed, Preview, Progress, Request, Warning
from .process import Job

SILENCE = 60.0  # seconds without a word from the runtime, after which the artist should know


@dataclass(eq=False)
class Task:
    """One reconstruction that was asked for: it waits while `job` is None, runs, and has `ended` one way or the other.

    `owner` is whatever the asker wants to know again with the result.
    """

    request: Request
    owner: int
    job: Job | None = None
    progress: Progress = field(default_factory=lambda: Progress("Starting", 0.0))
    warnings: list[Warning] = field(default_factory=list)
    preview: Path | None = None
    ended: Done | Failed | None = None
    heard: float = 0.0

    @property
    def output(self) -> Path:
        """The folder of the result."""
        return Path(self.request.output)

    @property
    def silent_seconds(self) -> float | None:
        """How long the runtime has said nothing, once that is long enough to worry; else None."""
        silent = time.monotonic() - self.heard
        return silent if self.job is not None and silent > SILENCE else None


class Queue:
    """The tasks that have not ended; the first runs, the others wait. Nothing here blocks but `close`, briefly."""

    def __init__(self, home: Path) -> None:
        """`home` is the folder for compiled kernels and logs."""
        self.home = home
        self.tasks: list[Task] = []

    def add(self, request: Request, owner: int) -> Task:
        """Puts a request at the end."""
        task = Task(request, owner)
        self.tasks.append(task)
        return task

    def poll(self) -> list[Task]:
        """Starts the first task, hears what it says, and returns the tasks that have ended since the last call."""
        first = next((task for task in self.tasks if task.ended is None), None)
        if first is not None:
            self._hear(first)
        ended = [task for task in self.tasks if task.ended is not None]
        self.tasks = [task for task in self.tasks if task.ended is None]
        return ended

    def cancel(self, task: Task) -> None:
        """Ends a task soon, with its result so far where it has one; `poll` will return it."""
        if task.job is None:
            task.ended = Failed("The reconstruction was cancelled.", "cancelled")
        else:
            task.job.cancel()

    def close(self) -> None:
        """Ends everything now: no process and no unfinished file is left."""
        for task in self.tasks:
            if task.job is not None:
                task.job.close()
        self.tasks.clear()

    def _hear(self, task: Task) -> None:
        if task.job is None:
            try:
                task.job = headless.begin(task.request, self.home)
            except OSError as error:
                task.ended = Failed(f"The reconstruction's process could not be started: {error}.", "bug")
                return
            task.heard = time.monotonic()
        for message in task.job.poll():
            task.heard = time.monotonic()
            if isinstance(message, Progress):
                task.progress = message
            elif isinstance(message, Warning):
                task.warnings.append(message)
            elif isinstance(message, Preview):
                task.preview = Path(message.path)
        task.ended = task.job.ended
