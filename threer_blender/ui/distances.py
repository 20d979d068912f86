"""[B] Distances between points, measured by the worker: millions of them would hold Blender up for seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bpy

from ..files import point_file, removal
from ..jobs.messages import MeasurePoints
from ..model.arrays import Array
from . import work

Take = Callable[[Array], None]  # takes the distances (N,)


def measure(points: Array, targets: Array | None, neighbours: int, take: Take, name: str) -> None:
    """Has the worker measure how far each of `points` (N, 3) is from its nearest `neighbours`, then calls `take`.

    Neighbours are among `targets` (M, 3), or where that is None, the other points. `take` changes the scene; `name` is
    for undo. Without a window it waits. Raises UserError where it fails then, and OSError.
    """
    folder = Path(tempfile.mkdtemp(dir=bpy.app.tempdir))  # it goes with Blender where the measurement fails
    removal.mark(folder)
    point_file.write(points, folder / "points")
    if targets is not None:
        point_file.write(targets, folder / "targets")
    request = MeasurePoints(
        str(folder / "points"),
        str(folder / "distances"),
        "" if targets is None else str(folder / "targets"),
        neighbours,
    )
    task = work.add(request, then=lambda: work.when_free(partial(_deliver, folder, take), name))
    if bpy.app.background:  # where timers never run
        work.finish(task)


def _deliver(folder: Path, take: Take) -> None:
    distances = point_file.read(folder / "distances", 1).copy()  # the file goes
    removal.discard(folder)
    take(distances)
