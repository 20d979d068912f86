"""[R] Makes the textured mesh of a result and puts it into the result's folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from .. import bundle
from ..files import bundle_folder, mesh_file, point_file
from ..jobs.messages import Finished, MakeMesh
from ..model import textured_mesh
from ..model.arrays import BoolArray, FloatArray
from ..model.directions import to_up
from ..model.engine import Stage
from ..model.errors import UserError, quoted
from ..model.reconstruction import Photo, Reconstruction
from ..pictures import masks
from ..pipelines import meshing
from ..pipelines.meshing import MeshSettings
from ..runtime.report import MessageReport
from . import masking

SAVING = Stage("saving", "Saving", 0.02)
Z_UP, Y_UP, Y_DOWN = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)


def run(request: MakeMesh, report: MessageReport) -> Finished:
    """Makes the mesh, which appears in the bundle whole or not at all and replaces an earlier one.

    Raises UserError where a budget is out of range, the result has no depth, a photo is gone, or
    the bundle cannot be written to; and what `report` raises.
    """
    folder = Path(request.bundle).absolute()
    check(request)
    reconstruction = bundle.read(folder)
    manifest = bundle_folder.read_manifest(folder)
    if manifest is None:
        raise UserError(f"The result in {quoted(folder)} has no list of its files; reconstruct again.")
    report.plan([*meshing.STAGES, SAVING])
    staging = bundle_folder.mesh_staging(folder, request.run)
    try:
        bundle_folder.check_mesh(folder, manifest)
        staging.make()
        settings = MeshSettings(request.faces, request.texture)
        masked = point_file.read(Path(request.masked), 4) if request.masked else None
        excluded = partial(_excluded, _masks(reconstruction))
        mesh = meshing.textured_mesh(reconstruction, settings, excluded, report, masked)
        report(SAVING, 0, 1)
        mesh_file.write(mesh, staging.new, y_up_from_world(reconstruction))
        report(SAVING, 1, 2)
        bundle_folder.put_mesh(staging.new, folder, manifest)
    except OSError as error:
        raise bundle_folder.output_error(folder / bundle_folder.MESH, error) from error
    finally:
        staging.discard()
    return Finished(f"The mesh has {len(mesh.faces):,} faces; it is {bundle_folder.MESH} in {quoted(folder)}.")


def check(request: MakeMesh) -> None:
    """Raises UserError where a budget is out of range."""
    if not textured_mesh.LEAST_FACES <= request.faces <= textured_mesh.MOST_FACES:
        raise UserError(
            f"A mesh of {request.faces:,} faces is out of range; ask for {textured_mesh.LEAST_FACES:,} to "
            f"{textured_mesh.MOST_FACES:,}."
        )
    if not textured_mesh.LEAST_TEXTURE <= request.texture <= textured_mesh.MOST_TEXTURE:
        raise UserError(
            f"A texture of {request.texture:,} texels is out of range; ask for {textured_mesh.LEAST_TEXTURE:,} to "
            f"{textured_mesh.MOST_TEXTURE:,}."
        )


def y_up_from_world(reconstruction: Reconstruction) -> FloatArray:
    """(4, 4) the rotation that makes the result stand upright in programs with y up."""
    if reconstruction.z_up:
        up = np.array(Z_UP)
    else:
        up = np.array(Y_DOWN) if reconstruction.upright is None else reconstruction.upright.up
    matrix = np.eye(4)
    matrix[:3, :3] = to_up(up, np.array(Y_UP))
    return matrix


def _masks(reconstruction: Reconstruction) -> masks.Masks | None:
    """The masks of the photos that the result was solved with. Raises UserError where they are gone."""
    if not reconstruction.options.get("masks"):
        return None
    return masks.from_options(reconstruction.options, masking.frames(reconstruction.photos))


def _excluded(masked: masks.Masks | None, photo: Photo, size: tuple[int, int]) -> BoolArray | None:
    return None if masked is None else masked.excluded(photo, photo.frame, size)
