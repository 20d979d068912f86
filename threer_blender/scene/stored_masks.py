"""[B] The root of a result in a .blend that was saved: the command line reads the masks of its points from there."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..model.errors import UserError, cause, quoted
from . import identity
from .build import BUNDLE


def root_in(blend: Path, bundle_folder: Path) -> bpy.types.Object:
    """Opens a .blend, and returns the root of the result in `bundle_folder`. No scripts of the file run.

    Raises UserError where the file cannot be opened, or holds no such result.
    """
    try:
        bpy.ops.wm.open_mainfile(filepath=str(blend), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise UserError(f"Blender could not open {quoted(blend)}: {cause(error)}.") from error
    bpy.context.view_layer.update()
    wanted = bundle_folder.resolve()
    for obj in bpy.context.scene.objects:
        stored = identity.text(obj, BUNDLE)
        if stored and Path(bpy.path.abspath(stored)).resolve() == wanted:
            return obj
    raise UserError(f"{quoted(blend)} holds no scene of the result in {quoted(bundle_folder)}.")
