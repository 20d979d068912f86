"""[B] The join of two merged results, refined by the points of the surfaces that both show. The worker computes it."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import bpy
import numpy as np

from ..files import point_file, removal
from ..jobs.messages import FitPoints
from ..model.arrays import FloatArray
from ..model.errors import UserError
from ..scene import identity, picking, several
from ..scene import root as roots
from . import work

ACCURACY = 0.01  # of the extent of the reference's points, by which a join may be off before
BETTER = 0.9  # of the distance before: with a smaller gain, the join stays
EXACT = 2e-4  # of that extent: points that are nearer agree already
NO_SURFACE = "The points of both show no surface in common, so they did not refine the join."


def refine(root: bpy.types.Object, reference: bpy.types.Object) -> None:
    """Has the worker fit a merged result's points to the reference's, then brings the result there.

    The place before is a prior, so results with little in common stay. Without a window it waits. Raises OSError.
    """
    points, targets = picking.visible_points(root), picking.visible_points(reference)
    if not len(points) or not len(targets):
        return
    middle = np.median(targets, axis=0).astype(np.float64)
    extent = float(np.ptp(np.percentile(targets, (5, 95), axis=0), axis=0).max())
    folder = Path(tempfile.mkdtemp(dir=bpy.app.tempdir))  # it goes with Blender where the fit fails
    removal.mark(folder)
    point_file.write(points - middle, folder / "points")
    point_file.write(targets - middle, folder / "targets")
    request = FitPoints(
        str(folder / "points"), str(folder / "targets"), str(folder / "fit"), max(ACCURACY * extent, 1e-9)
    )
    deliver = partial(_deliver, folder, root.session_uid, middle, roots.matrix(root), extent)
    task = work.add(request, then=lambda: work.when_free(deliver, "Refine Join"))
    if bpy.app.background:  # where timers never run
        work.finish(task)


def _deliver(folder: Path, uid: int, middle: FloatArray, place: FloatArray, extent: float) -> None:
    """Brings the result where its points fit best, and adds a sentence about it to what the panel says."""
    numbers = point_file.read(folder / "fit", 1).astype(np.float64)  # a copy: the file goes
    removal.discard(folder)
    root = next((obj for obj in bpy.data.objects if obj.session_uid == uid), None)
    if root is None:
        return
    if not np.allclose(roots.matrix(root), place, atol=1e-6 * max(extent, 1e-9)):
        raise UserError(f"{root.name} was moved while its join was refined: merge once more.")
    matrix, (before, after, share) = numbers[:16].reshape(4, 4), numbers[16:]
    if not np.isfinite(numbers).all():
        sentence = NO_SURFACE
    elif after > BETTER * before or before < EXACT * extent:
        sentence = f"The points of both agree to {before / extent:.3%} of their extent, so the join stays."
    else:
        there, back = np.eye(4), np.eye(4)
        there[:3, 3], back[:3, 3] = middle, -middle
        several.bring(root, there @ matrix @ back)
        sentence = (
            f"The join was refined by the {share:.0%} of its points that the reference shows, too: their distance fell "
            f"from {before / extent:.3%} to {after / extent:.3%} of the extent."
        )
    root[several.COMPARED] = "\n".join(filter(None, [identity.text(root, several.COMPARED), sentence]))
    work.current().scene_facts.forget()
