"""[S] The pictures of a result as other programs need them: upright, without distortion, with names without spaces."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..files.bundle_pictures import picture_of
from ..model.errors import UserError, quoted
from ..model.reconstruction import Camera, Reconstruction

FOLDER = "images"


@dataclass(frozen=True)
class View:
    """A solved camera and its picture without distortion.

    `name` is the name of the exported file, which begins with the photo's number, from 1. `source` is the file with the
    picture; None for a frame of a film that has no undistorted plate.
    """

    camera: Camera
    name: str
    source: Path | None


def views(reconstruction: Reconstruction, bundle_folder: Path) -> list[View]:
    """The cameras of a result with their pictures, in the order of the photos, without panoramas.

    `bundle_folder` is where the undistorted plates are. Raises UserError where a picture is gone.
    """
    pictured = []
    for number, photo in enumerate(reconstruction.photos, start=1):
        camera = reconstruction.camera(photo.name)
        if camera is None or photo.panorama:
            continue
        source = None
        if camera.undistorted or photo.frame is None:
            source = picture_of(camera, photo, bundle_folder)
            if not source.is_file():
                raise UserError(f"The picture {quoted(source)} is not there any more; put it back, and export again.")
        suffix = ".png" if source is None else source.suffix
        stem = re.sub(r"[^\w-]+", "_", photo.name if photo.frame is not None else str(Path(photo.name).with_suffix("")))
        pictured.append(View(camera, f"{number:05d}_{stem}{suffix}", source))
    return pictured


def copy(several: list[View], folder: Path) -> str:
    """Copies the pictures into `folder`/FOLDER, which must not exist yet.

    Frames of films without undistorted plates are not copied. Returns a sentence about them, or "" where there are
    none.
    """
    (folder / FOLDER).mkdir()
    for view in several:
        if view.source is not None:
            shutil.copyfile(view.source, folder / FOLDER / view.name)
    absent = sum(view.source is None for view in several)
    if not absent:
        return ""
    return (
        f"{absent} of {len(several)} pictures are frames of a film and were not copied; write them into "
        f"{quoted(FOLDER)} yourself, without distortion, under the names that the files give."
    )
