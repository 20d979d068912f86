"""[B] Splat files <-> objects: import whole or not at all, export with the object's transform applied."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ... import splat_files
from ...model.errors import UserError
from ...model.gaussian_transform import transformed
from .. import axes, codecs, points
from ..changes import Changes
from ..identity import ANTIALIASED
from . import splats


def import_file(
    path: str | Path, scene: bpy.types.Scene, *, spz_is_y_up: bool = True, repair_splatt3r: bool = False
) -> tuple[bpy.types.Object, list[str]]:
    """A new object in `scene` with a file's splats, and sentences on what was left out; for options see `splat_files`.

    The object stands upright, and where positions lie so far from zero that single precision would lose them, it is
    moved there: its rotation and location say how, its data are the file's. Raises UserError; the scene is untouched
    then.
    """
    path = Path(path)
    read = splat_files.read(path, codecs.available(), spz_is_y_up=spz_is_y_up, repair_splatt3r=repair_splatt3r)
    with Changes():
        name = path.parent.name if path.suffix == ".json" else path.stem
        geometry = splats.new_geometry(name, read.gaussians, as_mesh=not points.has_point_clouds())
        obj = splats.new_object(name, geometry)
        obj.matrix_world = axes.upright(read.up) @ Matrix.Translation(read.origin)
        if read.antialiased:
            obj[ANTIALIASED] = True
        scene.collection.objects.link(obj)
    return obj, read.notes


def export_file(obj: bpy.types.Object | None, path: str | Path) -> None:
    """Writes the splats of an object, all of them, where it stands in the world; y is down in the file.

    Raises UserError where the object holds none, is scaled differently along its axes, or cannot be written.
    """
    if obj is None or not splats.is_splats(obj):
        raise UserError("Make an object with splats the active one, then export it.")
    matrix = np.array(axes.UPRIGHT.inverted() @ obj.matrix_world)
    origin = matrix[:3, 3].copy()
    matrix[:3, 3] = 0
    gaussians = transformed(splats.read(obj.data), matrix)
    splat_files.write(gaussians, path, origin=origin, antialiased=bool(obj.get(ANTIALIASED)))
