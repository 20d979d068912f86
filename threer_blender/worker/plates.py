"""[R] Undistorted plates: upright copies of photos that Blender's pinhole camera cannot show as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..files import bundle_folder
from ..geometry import remap
from ..model.reconstruction import Camera, Photo, Reconstruction
from ..pictures import photos


def write_all(reconstruction: Reconstruction, folder: Path, report: Callable[[int, int], None]) -> list[Camera]:
    """The reconstruction's cameras, in their order, each with an undistorted plate in `folder` where it needs one.

    Raises UserError where a photo is gone or a plate cannot be written, and what `report(done, total)` raises.
    """
    numbers = {photo.name: number for number, photo in enumerate(reconstruction.photos)}
    cameras = []
    for done, camera in enumerate(reconstruction.cameras):
        report(done, len(reconstruction.cameras))
        number = numbers[camera.photo]
        cameras.append(write(camera, reconstruction.photos[number], number, folder))
    return cameras


def write(camera: Camera, photo: Photo, number: int, folder: Path) -> Camera:
    """Writes the undistorted plate of `camera` into `folder`, which is made where it is missing. Returns the camera
    with the name of that plate.

    The plate has the photo's size and the camera's fx, fy, cx, cy without its distortion. It is black where the lens
    saw nothing. The plate of a panorama is the panorama as it is. Where Blender can show the photo's own file instead,
    no plate is written and the camera is returned unchanged. `number` is the photo's index in the artist's order.
    """
    stays = camera.distortion.is_identity or camera.distortion.is_panorama  # nothing is to be undistorted
    if stays and photos.blender_shows(photo):
        return camera
    picture = photos.pixels(photo)
    if not stays:
        picture = remap.ideal_picture_of(picture, camera, camera.intrinsics, (camera.width, camera.height))
    name = plate_name(number, photo.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name, quality=95, subsampling="4:4:4")
    except OSError as error:
        raise bundle_folder.output_error(folder, error) from error
    return replace(camera, undistorted=f"{bundle_folder.PLATES}/{name}")


def plate_name(number: int, photo: str) -> str:
    """A file name that every system accepts, from the photo's place in the artist's order and its name."""
    letters = re.sub(r"[^\w.-]+", "_", Path(photo).stem)[:40]
    return f"{number:04d}_{letters}.jpg"
