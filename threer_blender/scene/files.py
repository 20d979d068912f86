"""[B] A reconstruction as a .blend of its own, for the command line."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction
from . import look
from .build import BUNDLE, build
from .splats import look as splat_look


def save_new(
    reconstruction: Reconstruction, bundle_folder: Path, blend: Path, named: tuple[Path, Path] | None = None
) -> bpy.types.Object:
    """Builds `reconstruction` in a new file and saves it as `blend`; returns its root.

    The scene is ours alone, so its colours are set to show the photos' own, or the splats'. In the file, paths are
    relative to it. `named` are the names that bundle and .blend are going to have, where they still have others: the
    file speaks of those. Raises UserError where the file cannot be written.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    root = build(reconstruction, bundle_folder, scene)
    if reconstruction.gaussians is None:
        look.match_photo_colors(scene)
    else:
        splat_look.set_up_rendering(scene)
    final_bundle, final_blend = named or (bundle_folder, blend)

    def relative(path: str) -> str:
        file = Path(bpy.path.abspath(path))
        if file.is_relative_to(bundle_folder):
            file = final_bundle / file.relative_to(bundle_folder)
        return str(bpy.path.relpath(str(file), start=str(final_blend.parent)))

    pictures = [*bpy.data.images, *bpy.data.movieclips]
    paths = [picture.filepath for picture in pictures]
    for picture in pictures:
        picture.filepath = relative(picture.filepath)
    root[BUNDLE] = relative(root[BUNDLE])
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=False)
    except RuntimeError as error:
        raise not_written(final_blend, error) from error
    for picture, path in zip(pictures, paths, strict=True):  # as long as `named` has not come about
        picture.filepath = path
    return root


def not_written(path: Path, error: RuntimeError) -> UserError:
    """The user's sentence where Blender could not write a file; it has one error for full disks and missing rights."""
    reason = " ".join(str(error).split()).removeprefix("Error: ").rstrip(".")
    return UserError(
        f"{quoted(path)} could not be written ({reason}): free some space, give yourself the right to write there, or "
        "choose another place."
    )
