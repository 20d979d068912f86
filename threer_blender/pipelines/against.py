"""[R] An earlier result as the reference of new photos: its photos and cameras, in its world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import bundle
from ..lenses import known
from ..model.errors import UserError, quoted
from ..model.lens import UNKNOWN, Distortion, KnownLens
from ..model.reconstruction import Camera, Photo

SQUARE = 1e-6  # share by which the focal lengths along x and y may differ


@dataclass(frozen=True)
class Reference:
    """`photos` are those of the reference and then the new ones; `cameras` are the known ones by number."""

    name: str
    photos: list[Photo]
    cameras: dict[int, Camera]
    metric: bool

    def sentence(self, cameras: Sequence[Camera]) -> str:
        """What was solved, for the artist."""
        solved = len(cameras) - len(self.cameras)
        return (
            f"{solved} of {len(self.photos) - len(self.cameras)} new photos were solved against the "
            f"{len(self.cameras)} cameras of {self.name}, which stayed."
        )


def reference(folder: str, chosen: Sequence[Photo]) -> Reference:
    """The result in `folder` beside the `chosen` photos; those of them that it knows are its own.

    A new photo of the size and EXIF focal length of one of the reference's has its lens; without EXIF, solving starts
    from the lens of a photo of its size. Raises UserError where there is no such result, it has fewer than two cameras,
    no chosen photo is new, or names clash.
    """
    result = bundle.read(folder)
    by_name = {photo.name: photo for photo in result.photos}
    if len(result.cameras) < 2:
        raise UserError(f"The result in {quoted(folder)} has fewer than two cameras: nothing can be solved against it.")
    here = {photo.sha256: photo.path for photo in chosen}
    photos, cameras = [], {}
    for number, camera in enumerate(result.cameras):
        photo = by_name[camera.photo]
        photo = replace(photo, path=here.get(photo.sha256, photo.path), lens=lens_of(camera, photo))
        photos.append(replace(photo, focal=photo.lens.focal))
        cameras[number] = camera
    hashes = {photo.sha256 for photo in photos}
    new = [photo for photo in chosen if photo.sha256 not in hashes]
    if not new:
        raise UserError("All of these photos have a camera in the reference: choose new ones.")
    taken = {photo.name for photo in photos}
    for photo in new:
        if photo.name in taken:
            raise UserError(f"The reference has another photo that is called {quoted(photo.name)}; rename the new one.")
    lenses = {(by_name[each.name].focal, each.width, each.height): each.lens for each in photos}
    return Reference(
        Path(folder).name, [*photos, *(_with_lens(photo, lenses) for photo in new)], cameras, result.metric
    )


def _with_lens(photo: Photo, lenses: Mapping[tuple[float | None, int, int], KnownLens]) -> Photo:
    """A new photo with the lens that it shares with photos of the reference, if there are any."""
    lens = lenses.get((photo.focal, photo.width, photo.height))
    if lens is None or photo.lens != UNKNOWN:
        return photo
    return replace(photo, focal=lens.focal, lens=replace(lens, held=photo.focal is not None))


def lens_of(camera: Camera, photo: Photo) -> KnownLens:
    """The lens of a solved camera, which stays, as a model that the solver knows."""
    known_camera, _ = known.for_solver(camera, photo, held=True)
    distortion, aspect = known_camera.distortion, known_camera.fy / known_camera.fx
    if abs(aspect - 1) > SQUARE and distortion.model in ("SIMPLE_RADIAL", "RADIAL"):
        k1, k2 = (*distortion.params, 0.0)[:2]
        distortion = Distortion("OPENCV", (k1, k2, 0.0, 0.0))
    centre = known_camera.cx, known_camera.cy
    return KnownLens(known_camera.fx, centre, distortion, True, "The reference's lens", aspect)
