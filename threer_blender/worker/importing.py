"""[R] Brings in the solve of another program: reads its photos, undistorts them and writes the bundle."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from .. import bundle
from ..exchange.solves import photos as solve_photos
from ..exchange.solves import reading, registration
from ..exchange.solves.photos import Located
from ..exchange.solves.registration import Pictured
from ..exchange.solves.solve import Solve
from ..files import bundle_folder
from ..files.bundle_folder import Staging
from ..jobs.messages import Done, Import
from ..model.engine import Stage
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera, Photo, Reconstruction
from ..pictures import photos
from ..pictures.decoding import decoded
from ..runtime.report import MessageReport
from . import plates

OPENING = Stage("solve", "Reading the solve", 0.1)
PHOTOS = Stage("photos", "Reading the photos", 0.4)
UNDISTORTING = Stage("plates", "Undistorting the photos", 0.4)
SAVING = Stage("saving", "Saving", 0.1)
MOST_NAMES = 5  # of photos in a sentence


def run(request: Import, report: MessageReport) -> Done:
    """Writes the bundle `request.output`.

    Raises UserError where the solve cannot be read, holds no cameras, or says too little without its photos, and what
    `report` raises.
    """
    output = Path(request.output).absolute()
    bundle_folder.check_output(output)
    bundle_folder.check_inputs(output, [request.solve, request.points or "", *request.photos])
    report.plan([OPENING, PHOTOS, UNDISTORTING, SAVING])
    report(OPENING, 0, 1)
    path = Path(request.solve).absolute()
    solve = reading.read(path)
    if not solve.views:
        raise UserError(
            f"{quoted(path)} holds points and no cameras: choose the cameras, and say these points with --points."
        )
    if request.points:
        solve = reading.with_points(solve, Path(request.points))
    located = solve_photos.locate([view.name for view in solve.views], path, map(Path, request.photos))
    pictured = _pictured(solve, located, report)
    result = registration.reconstruction(solve, pictured, _notes(solve, located))
    if not result.cameras:
        raise UserError(
            f"None of the {len(solve.views)} photos is there, and the file does not say how large they are: name "
            "the folder of the photos."
        )
    pictures = Path(tempfile.mkdtemp())
    cameras = _with_plates(result, pictures / bundle_folder.PLATES, report)
    report(SAVING, 0, 1)
    staging = Staging(output, request.run) if request.leave_staged else None
    return Done(
        bundle=str(bundle.write(replace(result, cameras=cameras), output, pictures, request.run, staging)),
        registered=len(cameras),
        chosen=len(cameras) + len(result.unregistered),
        points=0 if result.cloud is None else len(result.cloud),
    )


def _pictured(solve: Solve, located: Located, report: MessageReport) -> list[Pictured]:
    """Each view with its photo, None where the photo is missing or cannot be read.

    Photos are read upright. Where a view is wide and its photo is high, or the other way round, the solve is of the
    picture as its file stores it, so the view gets the EXIF orientation; else its orientation is 1.
    """
    files = list(dict.fromkeys(file for file in located.files if file is not None))
    chosen = photos.read(files, report.warn, lambda done: report(PHOTOS, done, 1))
    by_path = {Path(photo.path): photo for photo in chosen.accepted}
    pictured = []
    for view, file in zip(solve.views, located.files, strict=True):
        photo = None if file is None else by_path.get(file.absolute())
        turned = photo is not None and (view.lens.width > view.lens.height) != (photo.width > photo.height)
        pictured.append(Pictured(view, photo, _orientation(photo) if photo is not None and turned else 1))
    return pictured


def _orientation(photo: Photo) -> int:
    """The EXIF orientation of the photo's file, 1 to 8."""
    path = Path(photo.path)
    with decoded(path, path.read_bytes(), long_side=1) as picture:
        return picture.orientation


def _notes(solve: Solve, located: Located) -> list[str]:
    missing = [
        view.name
        for view, file in zip(solve.views, located.files, strict=True)
        if file is None and view.name not in located.ambiguous
    ]
    notes = []
    for names, reason in ((missing, "are not there"), (located.ambiguous, "are several files of one name each")):
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            notes.append(
                f"{len(names)} of {len(solve.views)} photos {reason}, so their cameras have no picture: "
                f"{', '.join(names[:MOST_NAMES])}{more}."
            )
    return notes


def _with_plates(result: Reconstruction, folder: Path, report: MessageReport) -> list[Camera]:
    """The cameras, with undistorted plates for those whose photos are there and need one."""
    cameras = []
    for number, (photo, camera) in enumerate(zip(result.photos, result.cameras, strict=True)):
        report(UNDISTORTING, number, len(result.cameras))
        there = Path(photo.path).is_absolute() and Path(photo.path).is_file()
        cameras.append(plates.write(camera, photo, number, folder) if there else camera)
    return cameras
