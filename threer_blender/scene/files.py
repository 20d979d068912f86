"""[B] A reconstruction as a .blend of its own, for the command line."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import bpy

from ..model.errors import UserError, quoted
from ..model.reconstruction import Reconstruction
from . import look
from .build import BUNDLE, build
from .splats import look as splat_look


def save_new(
    reconstruction: Reconstruction, bundle_folder: Path, blend: Path, final: tuple[Path, Path] | None = None
) -> bpy.types.Object:
    """Builds `reconstruction` in a new file and saves that as `blend`. Returns the root.

    The scene is ours alone, so its colour management is set to show the photos' colours, or the splats'. All paths in
    the file are relative to it. `final` are the paths of the bundle and of the .blend to which they will be moved
    later: the file's paths are right then. Raises UserError where the file cannot be written.
    """
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    root = build(reconstruction, bundle_folder, scene)
    if reconstruction.gaussians is None:
        look.match_photo_colors(scene)
    else:
        splat_look.set_up_rendering(scene)
    final_bundle, final_blend = final or (bundle_folder, blend)

    def relative(path: str) -> str:
        file = Path(bpy.path.abspath(path))
        if file.is_relative_to(bundle_folder):
            file = final_bundle / file.relative_to(bundle_folder)
        return str(bpy.path.relpath(str(file), start=str(final_blend.parent)))

    pictures = [*bpy.data.images, *bpy.data.movieclips]
    paths = [picture.filepath for picture in pictures]
    root[BUNDLE] = relative(root[BUNDLE])
    with _first_frames({relative(c.filepath): c.filepath for c in bpy.data.movieclips if c.source == "SEQUENCE"}):
        for picture in pictures:
            picture.filepath = relative(picture.filepath)
        try:
            bpy.ops.wm.save_as_mainfile(filepath=str(blend), relative_remap=False)
        except RuntimeError as error:
            raise not_written(final_blend, error) from error
    for picture, path in zip(pictures, paths, strict=True):  # the open file needs the paths of now
        picture.filepath = path
    return root


@contextlib.contextmanager
def _first_frames(paths: Mapping[str, str]) -> Iterator[None]:
    """Within, the working folder is one where relative paths of sequences lead to copies of their first frames.

    `paths` maps these relative paths to real files. Blender looks at a clip's file when its path changes. While the
    .blend has no name, it does so from the working folder, and takes a sequence that is not there for a movie.
    """
    wanted = {Path(path.removeprefix("//")): Path(bpy.path.abspath(real)) for path, real in paths.items()}
    depth = max((path.parts.count("..") for path in wanted), default=0)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, *["below"] * depth)
        folder.mkdir(parents=True, exist_ok=True)
        for path, real in wanted.items():
            place = Path(os.path.normpath(folder / path))
            if place.is_relative_to(root) and real.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(real, place)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def not_written(path: Path, error: RuntimeError) -> UserError:
    """The UserError where Blender could not write a file. Blender does not tell full disks from missing rights."""
    reason = " ".join(str(error).split()).removeprefix("Error: ").rstrip(".")
    return UserError(
        f"{quoted(path)} could not be written ({reason}): free some space, give yourself the right to write there, or "
        "choose another place."
    )
