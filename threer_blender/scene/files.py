"""[B] A reconstruction as a .blend of its own, for the command line."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..model.errors import UserError
from ..model.reconstruction import Reconstruction
from . import look
from .build import build
from .splats import look as splat_look


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
    except RuntimeError as error:
        raise not_written(blend, error) from error
    return root


def not_written(path: Path, error: RuntimeError) -> UserError:
    """The user's sentence where Blender could not write a file; it has one error for full disks and missing rights."""
    reason = " ".join(str(error).split()).removeprefix("Error: ").rstrip(".")
    return UserError(
        f"{str(path)!r} could not be written ({reason}): free some space or choose another place; the result's own "
        "folder is complete."
    )
