"""[S] The verb `mesh`: a textured mesh of a result, also for other programs."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import headless
from ..files import bundle_folder, whole_folder
from ..host import environment
from ..model.errors import UserError, quoted
from . import scene_output

GLB = "glb"
FORMATS = (GLB, "gltf", "usdc", "usdz", "obj")  # all but the first by Blender's own exporters


def add_verb(verbs: Any) -> None:
    """Adds the verb to those of a parser."""
    verb = verbs.add_parser("mesh", help="one mesh of a result, textured from its photos")
    verb.add_argument("result", metavar="FOLDER", help="the bundle of a result; the mesh is put into it")
    faces, texture = headless.MESH_FACES, headless.MESH_TEXTURE
    verb.add_argument(
        "--faces", type=int, default=faces, metavar="N", help="at most about so many; default: %(default)s"
    )
    verb.add_argument(
        "--texture", type=int, default=texture, metavar="N", help="most texels a side; default: %(default)s"
    )
    verb.add_argument("--output", metavar="NEW", help="a new folder, for a copy of the mesh for other programs")
    verb.add_argument("--format", default=GLB, choices=FORMATS, help="of that copy; default: %(default)s")
    verb.add_argument("--masks", metavar="SCENE.BLEND", help="leave out what is masked in this scene")
    verb.set_defaults(run=_mesh)


def _mesh(parsed: argparse.Namespace) -> None:
    output = Path(parsed.output).absolute() if parsed.output else None
    if output is not None:
        _check(output, parsed.format)
    request = headless.mesh_request(parsed.result, parsed.faces, parsed.texture)
    with contextlib.ExitStack() as until_made:
        if parsed.masks:
            _needs_blender("Reading masks of a scene")
            file = scene_output.masked_points(Path(request.bundle), Path(parsed.masks).absolute())
            request = replace(request, masked=until_made.enter_context(file))
        sentence = headless.run(request, parsed.data_folder or environment.user_folder(), parsed.on_message)
    sys.stdout.write(f"{sentence}\n")
    if output is None:
        return
    made = Path(request.bundle) / bundle_folder.MESH
    with whole_folder.replacing(output) as new:
        target = new.path / f"mesh.{parsed.format}"
        if parsed.format == GLB:
            shutil.copyfile(made, target)
        else:
            from ..scene import meshes

            with scene_output.protected_stdout():
                meshes.convert(made, target)
    sys.stdout.write(f"written: {new.place}\n")


def _needs_blender(task: str, otherwise: str = "") -> None:
    """Raises UserError outside of Blender."""
    if find_spec("bpy") is None:
        raise UserError(f"{task} needs Blender: run `blender -b --command threer_blender …`{otherwise}.")


def _check(output: Path, format_id: str) -> None:
    """Raises UserError where the folder cannot be written. Called before the work begins."""
    if format_id != GLB:
        _needs_blender(f"Writing {format_id}", f", or choose {GLB}")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{quoted(output)} is there already; name a new folder.")
