"""[B] A reconstruction as a .blend of its own, for the command line."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..messages import UserError
from ..reconstruction import Reconstruction
from . import look, splat_look
from .build import build


def save_new(reconstruction: Reconstruction, bundle_folder: Path, blend: Path) -> bpy.types.Object:
    """Builds `reconstruction` in a new file and saves it as `blend`; returns its root.

    The scene is ours alone, so its colours are set to show the photos' own, or the splats'. File paths are relative to
    the .blend. An earlier file of that name is kept as .blend1. Raises UserError where the file cannot be written.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    root = build(reconstruction, bundle_folder, scene)
    if reconstruction.gaussians is None:
        look.match_photo_colors(scene)
    else:
        splat_look.set_up_rendering(scene)
    for image in bpy.data.images:
        image.filepath = bpy.path.relpath(image.filepath, start=str(blend.parent))
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=False)
    except RuntimeError as error:  # Blender's only word for a full disk or a folder without permission
        raise UserError(f"{str(blend)!r} could not be written: {str(error).strip()}") from error
    return root
