"""[B] Splat files <-> objects: imports whole or not at all, exports with the object's transform applied."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ... import splat_files
from ...model.errors import UserError
from ...model.gaussian_transform import transformed
from .. import axes, codecs, masks, points
from ..changes import Changes
from ..identity import ANTIALIASED
from . import native, splats


def import_file(
    path: str | Path, scene: bpy.types.Scene, *, spz_is_y_up: bool = True, repair_splatt3r: bool = False
) -> tuple[bpy.types.Object, list[str]]:
    """A new object in `scene` with a file's splats, and sentences on what was left out; for options see `splat_files`.

    The object's rotation brings the splats upright. Where Blender has splats of its own, it draws them in the viewport,
    and our modifier in renders. Where positions are so far from zero that float32 would round them,
    they count from an offset, which is the object's location. Raises UserError where the file cannot be read; then the
    scene is untouched.
    """
    path = Path(path)
    read = splat_files.read(path, codecs.available(), spz_is_y_up=spz_is_y_up, repair_splatt3r=repair_splatt3r)
    with Changes():
        name = path.parent.name if path.suffix == ".json" else path.stem
        name = name.encode("utf-8", "replace").decode("utf-8")  # Blender refuses names that are not UTF-8
        geometry = splats.new_geometry(name, read.gaussians, as_mesh=not points.has_point_clouds())
        obj = splats.new_object(name, geometry)
        obj.matrix_world = axes.blender_from_world(read.up) @ Matrix.Translation(read.origin)
        if read.antialiased:
            obj[ANTIALIASED] = True
        scene.collection.objects.link(obj)
        if native.available():
            native.to_native(obj)
    return obj, read.notes


def export_file(obj: bpy.types.Object | None, path: str | Path) -> None:
    """Writes the splats of an object that are not masked, at their place in Blender's world, to a file with y down.

    Raises UserError where the object holds none, is scaled differently along its axes, or the file cannot be written.
    """
    if obj is None or not splats.is_splats(obj):
        raise UserError("Make an object with splats the active one, then export it.")
    matrix = np.array(axes.BLENDER_FROM_Y_DOWN.inverted() @ obj.matrix_world)
    origin = matrix[:3, 3].copy()
    matrix[:3, 3] = 0
    gaussians = transformed(masks.unmasked_splats(obj), matrix)
    splat_files.write(gaussians, path, origin=origin, antialiased=bool(obj.get(ANTIALIASED)))
