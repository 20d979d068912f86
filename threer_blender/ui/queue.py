"""[S] What was asked for, one after the other: the queue that a user interface polls. Stdlib only, no bpy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from .. import headless
from ..jobs.messages import Asked, Ended, Failed, Notice, Preview, Progress, Request
from ..jobs.process import Job
from ..model.errors import UserError

SILENCE = 60.0  # seconds without a word from the runtime, after which the artist should know


@dataclass(eq=False)
class Task:
    """What was asked for: it waits while `job` is None, runs, and has `ended` one way or the other.

    `owner` is whatever the asker wants to know again with the result.
    """

    asked: Asked
    owner: int = 0
    job: Job | None = None
    progress: Progress = field(default_factory=lambda: Progress("Starting", 0.0))
    warnings: list[Notice] = field(default_factory=list)
    preview: Path | None = None
    ended: Ended | None = None
    heard: float = 0.0

    @property
    def output(self) -> Path | None:
        """The folder of the result, where there will be one."""
        return Path(self.asked.output) if isinstance(self.asked, Request) else None

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

    def add(self, asked: Asked, owner: int = 0) -> Task:
        """Puts what is asked for at the end."""
        task = Task(asked, owner)
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
            task.ended = Failed(f"The {task.asked.noun} was cancelled.", "cancelled")
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
                task.job = headless.begin(task.asked, self.home)
            except UserError as error:
                task.ended = Failed(str(error), "user")
                return
            except OSError as error:
                task.ended = Failed(f"The {task.asked.noun}'s process could not be started: {error}.", "bug")
                return
            task.heard = time.monotonic()
        for message in task.job.poll():
            task.heard = time.monotonic()
            if isinstance(message, Progress):
                task.progress = message
            elif isinstance(message, Notice):
                task.warnings.append(message)
            elif isinstance(message, Preview):
                task.preview = Path(message.path)
        task.ended = task.job.ended
