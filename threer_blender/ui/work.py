"""[B] The work behind the panel: the queue, the timer that drives it, and how results get into a scene.

Nothing here is part of a .blend file, so loading, undo and redo leave it alone. A result goes by itself into the scene
that it was asked for, where that is still open. Otherwise it waits, and the panel offers it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import bpy

from .. import bundle, headless
from ..jobs import results
from ..jobs.messages import Done, Failed, Finished, Request
from ..model.errors import UserError
from ..model.reconstruction import Reconstruction
from ..scene import startup
from ..scene.build import build
from . import arrival
from .known import Known
from .queue import Queue, Task
from .scene_facts import SceneFacts

INTERVAL = 0.25  # seconds between two polls of the queue
VALUE_INTERVAL = 0.1  # seconds between two checks for new values that drawing asked for
DRAWN_IN = {"VIEW_3D": "UI", "PREFERENCES": "WINDOW"}  # an area in which we draw -> its region
AT_ONCE = 500_000  # points that are computed while Blender waits
BUSY = ("RENDER", "OBJECT_BAKE", "COMPOSITE")  # Blender's own jobs that read the scene in another thread


Value = TypeVar("Value")


@dataclass
class Work:
    """The state of the user interface while the add-on is enabled.

    `addon_id` is the name of the add-on's module in Blender's preferences. `weights_folder` is the folder for weights
    that the environment named before the preferences did. `previews` and `thumbnails` are pictures that Blender shows
    as icons. `error` is a sentence about the last failure, and `log` is its log, if any. `success` is a sentence about
    the last finished download, set-up or calibration.
    """

    addon_id: str
    queue: Queue
    known: Known  # values that drawing must not wait for
    scene_facts: SceneFacts
    weights_folder: str | None = None
    previews: Any = None
    thumbnails: Any = None
    arrived: list[Task] = field(default_factory=list)  # done, but their results are not in a scene yet
    offered: list[Path] = field(default_factory=list)  # results that the panel offers to import
    error: str = ""
    was_cancelled: bool = False  # and `error` only says so
    success: str = ""
    log: Path | None = None

    @property
    def data_folder(self) -> Path:
        """The add-on's own folder."""
        return self.queue.data_folder


_work: Work | None = None
_reader = ThreadPoolExecutor(1, "threer-result-reader")
_computer = ThreadPoolExecutor(1, "threer-computer")


def current() -> Work:
    """The work since the add-on was enabled."""
    assert _work is not None
    return _work


def begin(data_folder: Path, addon_id: str) -> None:
    """Called when the add-on is enabled: makes the state, and finds results that nobody has imported."""
    global _work
    _work = Work(
        addon_id, Queue(data_folder), Known(at_once=bpy.app.background), SceneFacts(keeps=not bpy.app.background)
    )
    _work.scene_facts.begin()
    _offer()


def end() -> None:
    """Called when the add-on is disabled: ends every process. Finished results stay on disk and are found again."""
    global _work
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    work = current()
    for task in work.queue.tasks:
        _forget(task)
    work.queue.close()
    work.known.close()
    work.scene_facts.end()
    _work = None


def start(photos: list[str], engine: str, options: Mapping[str, Any], scene: bpy.types.Scene) -> Task:
    """Puts a reconstruction for `scene` into the queue. Raises as `headless.reconstruction_request` does."""
    work = current()
    headless.reconstruction_request(photos, work.data_folder / "unnamed", engine, options)  # before a folder is named
    folder = results.new_folder(photos, bpy.data.filepath, work.data_folder)
    return add(headless.reconstruction_request(photos, folder, engine, options), scene.session_uid)


def import_solve(solve: str, photos: list[str], points: str, scene: bpy.types.Scene) -> Task:
    """Puts the import of a solve for `scene` into the queue. Raises as `headless.import_request` does."""
    folder = results.new_folder([solve], bpy.data.filepath, current().data_folder)
    return add(headless.import_request(solve, folder, photos, points), scene.session_uid)


def add(request: Request, owner: int = 0, then: Callable[[], None] | None = None) -> Task:
    """Puts a request into the queue and starts the timer. `owner` and `then` are as in Task."""
    work = current()
    task = work.queue.add(request, owner)
    task.then = then
    work.error, work.was_cancelled, work.success, work.log = "", False, "", None
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)
    return task


def finish(task: Task) -> None:
    """Blocks until `task` has ended and its result is in its scene; for `blender -b`, where timers never run.

    Raises UserError where the task failed.
    """
    work = current()
    while task.ended is None:
        tick()
        time.sleep(0.02)
    if task in work.arrived:  # a script may well be in Edit Mode
        _deliver(task)
    if work.error:
        raise UserError(work.error)


def cancel(task: Task) -> None:
    """Ends a task, running or waiting."""
    current().queue.cancel(task)


def tick() -> float | None:
    """The timer's function: polls the queue and delivers results.

    Returns the seconds until the next call, or None where nothing is left to do. It catches every exception, since
    Blender never calls a timer again that raised.
    """
    work = current()
    try:
        for task in work.queue.poll():
            _settle(task)
        if work.arrived and not _is_occupied():
            for task in [task for task in work.arrived if _is_read(task)]:
                _deliver(task)
        _redraw()
    except Exception:
        traceback.print_exc()
        work.error = "Something went wrong in the extension's queue; the console has the details."
    return INTERVAL if work.queue.tasks or work.arrived else None


def _is_read(task: Task) -> bool:
    """Whether an arrived result has been read. Without a window it counts as read: waiting for it blocks no one."""
    return task.reading is None or task.reading.done() or bpy.app.background


def seek(name: Hashable, find: Callable[[], Value], before: Value) -> Value:
    """A value for drawing, as `Known.get` gives it. The panel is drawn again once there is a new value."""
    known = current().known
    value = known.get(name, find, before)
    if known.is_seeking and not bpy.app.timers.is_registered(_redraw_with_values):
        bpy.app.timers.register(_redraw_with_values, first_interval=VALUE_INTERVAL)
    return value


def _redraw_with_values() -> float | None:
    """A timer's function: redraws while a value is being computed, and once when it is there."""
    if _work is None:
        return None
    _redraw()
    return VALUE_INTERVAL if _work.known.is_seeking else None


def import_result(
    folder: Path, scene: bpy.types.Scene, reconstruction: Reconstruction | None = None, beside: bool = False
) -> bpy.types.Object:
    """Puts the result in `folder` into `scene` and returns its root.

    `reconstruction` is the result, where it has been read already. `beside` is as in `build`. Raises UserError where it
    cannot be read or shown; then the scene is untouched.
    """
    is_first = startup.is_empty(scene)
    root = build(reconstruction or bundle.read(folder), folder, scene, beside)
    if is_first:
        arrival.present(root, scene)
    results.forget(folder, current().data_folder)
    current().error = ""
    _offer()
    return root


def dismiss(folder: Path) -> None:
    """Stops offering a result. Its folder stays."""
    results.forget(folder, current().data_folder)
    _offer()


def _settle(task: Task) -> None:
    """Handles a task that has ended: has its result read, or keeps the sentence for the panel."""
    work = current()
    work.known.forget()
    if isinstance(task.ended, Done):
        task.reading = _reader.submit(bundle.read, task.ended.bundle)  # slow: it hashes the whole file
        work.arrived.append(task)
        return
    _forget(task)
    if isinstance(task.ended, Finished):
        work.success = task.ended.text
        if task.then is not None:
            task.then()
        return
    assert isinstance(task.ended, Failed)
    work.error, work.was_cancelled = task.ended.text, task.ended.kind == "cancelled"
    work.log = task.job.log if task.job is not None and task.ended.kind == "bug" else None


def _forget(task: Task) -> None:
    """Removes the note of a result that will never come."""
    if task.output is not None:
        results.forget(task.output, current().data_folder)


def _deliver(task: Task) -> None:
    """Puts an arrived result into its scene, or offers it where the scene is gone."""
    work = current()
    scene = scene_of(task.owner)
    work.arrived.remove(task)
    _offer()
    if scene is None or task.output is None:
        return
    try:
        import_result(task.output, scene, task.reading.result() if task.reading is not None else None)
        _push_undo("Import Reconstruction")
    except UserError as error:
        work.error = str(error)
    except Exception:  # Blender never calls a timer again that raised
        traceback.print_exc()
        work.error = "The result could not be put into the scene, which is as it was; the console has the details."


def when_free(step: Callable[[], None], name: str) -> None:
    """Does a step that changes the scene as soon as nothing is going on that it would disturb. `name` is for undo.

    A UserError becomes the panel's sentence.
    """

    def attempt() -> float | None:
        if _work is None:
            return None
        if not bpy.app.background and _is_occupied():
            return INTERVAL
        try:
            step()
            _push_undo(name)
        except UserError as error:
            current().error = str(error)
        return None

    if attempt() is not None:
        bpy.app.timers.register(attempt, first_interval=INTERVAL, persistent=True)


def compute(step: Callable[[], Value], take: Callable[[Value], None], size: int, name: str) -> bool:
    """Calls `take` with what `step` returns. Returns whether that is done already.

    Where the `size`, in points, is large, a thread does the step, which must not touch Blender's data. `take` then
    changes the scene as in `when_free`, and `name` is for undo. Without a window all is done at once.
    """
    if size < AT_ONCE or bpy.app.background:
        take(step())
        return True
    future = _computer.submit(step)

    def finished() -> float | None:
        if _work is not None and not future.done():
            return VALUE_INTERVAL
        if _work is not None:
            when_free(lambda: take(future.result()), name)
        return None

    bpy.app.timers.register(finished, first_interval=VALUE_INTERVAL, persistent=True)
    return False


def scene_of(uid: int) -> bpy.types.Scene | None:
    """The scene with this `session_uid`, which stays the same through undo; None where the scene is gone."""
    return next((scene for scene in bpy.data.scenes if scene.session_uid == uid), None)


def _is_occupied() -> bool:
    """Whether the artist or Blender is doing something that new objects would disturb."""
    if any(bpy.app.is_job_running(job) for job in BUSY) or bpy.context.mode != "OBJECT":
        return True
    return any(window.modal_operators for window in bpy.context.window_manager.windows)


def _push_undo(message: str) -> None:
    """Adds a step to Blender's undo, where it has a window."""
    if bpy.app.background:
        return
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.ed.undo_push(message=message)


def _offer() -> None:
    """Finds the results that nobody has imported, without those that will go into a scene by themselves."""
    work = current()
    expected = {task.output for task in [*work.queue.tasks, *work.arrived]}
    work.offered = [folder for folder in results.waiting(work.data_folder) if folder not in expected]


def _redraw() -> None:
    """Has Blender draw again what the add-on draws in."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if DRAWN_IN.get(area.type) == region.type:
                    region.tag_redraw()
