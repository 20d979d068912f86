"""[B] The work behind the panel: a queue outside of every file, driven by a timer, and its results' way into a scene.

Nothing here is kept in Blender's data, so loading a file, undo and redo leave it alone. A result goes by itself into
the scene it was asked for while that is open; otherwise it waits, and the panel offers it.
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
from ..scene.build import build
from .known import Known
from .queue import Queue, Task
from .scene_facts import SceneFacts

INTERVAL = 0.25  # seconds between two polls of the queue
NEWS = 0.1  # seconds between two checks for new values that drawing asked for
DRAWN_IN = {"VIEW_3D": "UI", "PREFERENCES": "WINDOW"}  # an area that holds something of ours -> its region
BUSY = ("RENDER", "OBJECT_BAKE", "COMPOSITE")  # Blender's own jobs that read the scene in another thread


Value = TypeVar("Value")


@dataclass
class Work:
    """All that the user interface knows while the add-on is enabled.

    `addon_id` is the add-on's module in Blender's preferences. `weights_folder` is the folder for weights that the
    environment named before Blender's preferences did. `previews` are the pictures that Blender shows as icons. `error`
    is the last thing that went wrong and `log` where more stands about it, if anywhere. `success` is a sentence about
    the last download or set-up that went well.
    """

    addon_id: str
    queue: Queue
    known: Known  # what drawing must not wait for
    scene_facts: SceneFacts
    weights_folder: str | None = None
    previews: Any = None
    arrived: list[Task] = field(default_factory=list)  # done, on their way into their scenes
    offered: list[Path] = field(default_factory=list)  # results that only the artist can tell where to put
    error: str = ""
    success: str = ""
    log: Path | None = None

    @property
    def data_folder(self) -> Path:
        """The add-on's own folder."""
        return self.queue.data_folder


_work: Work | None = None
_reader = ThreadPoolExecutor(1, "threer-result-reader")


def current() -> Work:
    """The work since the add-on was enabled."""
    assert _work is not None
    return _work


def begin(data_folder: Path, addon_id: str) -> None:
    """Called when the add-on is enabled: finds results that nobody imported."""
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
    """Puts a reconstruction for `scene` into the queue. Raises UserError at the door."""
    work = current()
    headless.reconstruction_request(photos, work.data_folder / "unnamed", engine, options)  # before a folder is named
    folder = results.new_folder(photos, bpy.data.filepath, work.data_folder)
    return add(headless.reconstruction_request(photos, folder, engine, options), scene.session_uid)


def import_solve(solve: str, photos: list[str], points: str, scene: bpy.types.Scene) -> Task:
    """Puts the import of another program's solve for `scene` into the queue. Raises UserError at the door."""
    folder = results.new_folder([solve], bpy.data.filepath, current().data_folder)
    return add(headless.import_request(solve, folder, photos, points), scene.session_uid)


def add(request: Request, owner: int = 0, then: Callable[[], None] | None = None) -> Task:
    """Puts a request into the queue, and sees to it that the queue is looked at; `then` is as a Task has it."""
    work = current()
    task = work.queue.add(request, owner)
    task.then = then
    work.error, work.success, work.log = "", "", None
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=0.0, persistent=True)
    return task


def finish(task: Task) -> None:
    """Blocks until `task` has ended and its result stands in its scene; for `blender -b`, where timers never run.

    Raises UserError with whatever went wrong.
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
    """One look at the queue. The timer's function: returns when to be called again, None where there is nothing.

    Whatever goes wrong, it is called again: a timer that raises would never be.
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
    """Whether an arrived result has been read; without a window nobody minds to wait for that."""
    return task.read is None or task.read.done() or bpy.app.background


def seek(name: Hashable, find: Callable[[], Value], before: Value) -> Value:
    """A value for drawing, as `Known.get` gives it. The sidebar is drawn again once there is a new one."""
    known = current().known
    value = known.get(name, find, before)
    if known.is_seeking and not bpy.app.timers.is_registered(_news):
        bpy.app.timers.register(_news, first_interval=NEWS)
    return value


def _news() -> float | None:
    """A timer's function: draws again while something is sought, and once when it has been found."""
    if _work is None:
        return None
    _redraw()
    return NEWS if _work.known.is_seeking else None


def import_result(
    folder: Path, scene: bpy.types.Scene, reconstruction: Reconstruction | None = None
) -> bpy.types.Object:
    """Puts the result in `folder` into `scene` and returns its root; `reconstruction` is what has been read of it.

    Raises UserError; the scene is untouched then.
    """
    root = build(reconstruction or bundle.read(folder), folder, scene)
    results.forget(folder, current().data_folder)
    current().error = ""
    _offer()
    return root


def dismiss(folder: Path) -> None:
    """Offers a result no more; its folder stays."""
    results.forget(folder, current().data_folder)
    _offer()


def _settle(task: Task) -> None:
    """A task that has ended: its result arrives, or what went wrong is said."""
    work = current()
    work.known.forget()
    if isinstance(task.ended, Done):
        task.read = _reader.submit(bundle.read, task.ended.bundle)  # which hashes all of it
        work.arrived.append(task)
        return
    _forget(task)
    if isinstance(task.ended, Finished):
        work.success = task.ended.text
        if task.then is not None:
            task.then()
        return
    assert isinstance(task.ended, Failed)
    work.error = task.ended.text
    work.log = task.job.log if task.job is not None and task.ended.kind == "bug" else None


def _forget(task: Task) -> None:
    """A task that brings no result is not to be reminded of."""
    if task.output is not None:
        results.forget(task.output, current().data_folder)


def _deliver(task: Task) -> None:
    """Puts an arrived result into its scene, or offers it where that is gone."""
    work = current()
    scene = scene_of(task.owner)
    work.arrived.remove(task)
    _offer()
    if scene is None or task.output is None:
        return
    try:
        import_result(task.output, scene, task.read.result() if task.read is not None else None)
        _push_undo("Import Reconstruction")
    except UserError as error:
        work.error = str(error)
    except Exception:  # the edge of this process: a timer that raises would never be called again
        traceback.print_exc()
        work.error = "The result could not be put into the scene, which is as it was; the console has the details."


def scene_of(uid: int) -> bpy.types.Scene | None:
    """The scene of a number that Blender never gives twice while it runs, and that undo keeps; None: it is gone."""
    return next((scene for scene in bpy.data.scenes if scene.session_uid == uid), None)


def _is_occupied() -> bool:
    """Whether the artist or Blender is in the middle of something that new objects would disturb."""
    if any(bpy.app.is_job_running(job) for job in BUSY) or bpy.context.mode != "OBJECT":
        return True
    return any(window.modal_operators for window in bpy.context.window_manager.windows)


def _push_undo(message: str) -> None:
    if bpy.app.background:
        return
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.ed.undo_push(message=message)


def _offer() -> None:
    work = current()
    ours = {task.output for task in [*work.queue.tasks, *work.arrived]}
    work.offered = [folder for folder in results.waiting(work.data_folder) if folder not in ours]


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if DRAWN_IN.get(area.type) == region.type:
                    region.tag_redraw()
