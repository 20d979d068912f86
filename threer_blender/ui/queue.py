"""[S] The queue of tasks, which a user interface polls: one runs, the others wait. Stdlib only, no bpy."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .. import headless
from ..jobs.messages import Bundled, Ended, Failed, Notice, Preview, Progress, Request
from ..jobs.process import Job
from ..model.errors import UserError, cause
from ..model.reconstruction import Reconstruction

SILENCE = 60.0  # seconds without a message from the worker, after which the panel says so


@dataclass(eq=False)
class Task:
    """A task of the queue. It waits, then it is `starting`, then its `job` runs, and in the end it has `ended`.

    `owner` is any number that the caller wants back with the result. `then` is called once a task without a bundle has
    finished. `last_message_at` is the time of the worker's last message, by `time.monotonic`.
    """

    request: Request
    owner: int = 0
    job: Job | None = None
    starting: Future[Job] | None = None
    cancelled: bool = False  # the user cancelled it while it was starting
    progress: Progress = field(default_factory=lambda: Progress("Starting", 0.0))
    warnings: list[Notice] = field(default_factory=list)
    preview: Path | None = None
    ended: Ended | None = None
    reading: Future[Reconstruction] | None = None  # the result, as a thread reads it
    last_message_at: float = 0.0
    then: Callable[[], None] | None = None

    @property
    def output(self) -> Path | None:
        """The folder of the bundle; None where the task makes none."""
        return Path(self.request.output) if isinstance(self.request, Bundled) else None

    @property
    def silent_seconds(self) -> float | None:
        """The seconds since the worker's last message, where they are more than SILENCE; else None."""
        silent = time.monotonic() - self.last_message_at
        return silent if self.job is not None and silent > SILENCE else None


class Queue:
    """The tasks that have not ended; the first runs, the others wait. No method blocks but `close`, briefly."""

    def __init__(self, data_folder: Path) -> None:
        """`data_folder` is the folder for compiled kernels and logs."""
        self.data_folder = data_folder
        self.tasks: list[Task] = []
        self._starter = ThreadPoolExecutor(1, "threer-starter")  # a process's start takes longer than a redraw

    def add(self, request: Request, owner: int = 0) -> Task:
        """Puts a request at the end."""
        task = Task(request, owner)
        self.tasks.append(task)
        return task

    def poll(self) -> list[Task]:
        """Starts the first task or reads its messages. Returns the tasks that have ended since the last call."""
        first = next((task for task in self.tasks if task.ended is None), None)
        if first is not None:
            self._advance(first)
        ended = [task for task in self.tasks if task.ended is not None]
        self.tasks = [task for task in self.tasks if task.ended is None]
        return ended

    def cancel(self, task: Task) -> None:
        """Has a task end soon, with its result so far where it has one. `poll` will return the task."""
        if task.job is not None:
            task.job.cancel()
        elif task.starting is not None:
            task.cancelled = True
        else:
            task.ended = Failed(f"The {task.request.noun} was cancelled.", "cancelled")

    def close(self) -> None:
        """Ends everything now: no process and no unfinished file is left."""
        self._starter.shutdown(wait=True, cancel_futures=True)
        for task in self.tasks:
            if task.starting is not None and not task.starting.cancelled() and task.starting.exception() is None:
                task.starting.result().close()
        self.tasks.clear()

    def _advance(self, task: Task) -> None:
        """Starts a task, or reads the messages of its worker."""
        if task.starting is None:
            task.starting = self._starter.submit(headless.begin, task.request, self.data_folder)
        if task.job is None and task.starting.done():
            self._take_job(task, task.starting)
        if task.job is None:
            return
        for message in task.job.poll():
            task.last_message_at = time.monotonic()
            if isinstance(message, Progress):
                task.progress = message
            elif isinstance(message, Notice):
                task.warnings.append(message)
            elif isinstance(message, Preview):
                task.preview = Path(message.path)
        task.ended = task.job.ended

    @staticmethod
    def _take_job(task: Task, starting: Future[Job]) -> None:
        """Gives a task the job that a thread has started, or ends the task where that failed."""
        try:
            task.job = starting.result()
        except UserError as error:
            task.ended = Failed(str(error), "user")
        except Exception as error:  # the edge of the thread that has started it
            task.ended = Failed(f"The {task.request.noun}'s process could not be started: {cause(error)}.", "bug")
        else:
            task.last_message_at = time.monotonic()
            if task.cancelled:
                task.job.cancel()
