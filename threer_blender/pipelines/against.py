"""[R] An earlier result as the reference of new photos: its photos and cameras, in its world."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import bundle
from ..files import scene_camera_files
from ..geometry.features.database import Matched
from ..geometry.sfm import resection
from ..geometry.sfm.mapping import MappingSolution
from ..lenses import known
from ..model.engine import ReportStage
from ..model.errors import UserError, quoted
from ..model.lens import UNKNOWN, Distortion, KnownLens
from ..model.reconstruction import Camera, Photo

Match = Callable[[Path, Matched | None, Iterable[int], ReportStage], Matched]
SQUARE = 1e-6  # share by which the focal lengths along x and y may differ


@dataclass(frozen=True)
class Reference:
    """`photos` are those of the reference and then the new ones; `cameras` are the known ones by number.

    `metric` and `z_up` are of its world.
    """

    name: str
    photos: list[Photo]
    cameras: dict[int, Camera]
    metric: bool
    z_up: bool

    def sentence(self, cameras: Sequence[Camera]) -> str:
        """A sentence for the artist on the solved photos."""
        solved = len(cameras) - len(self.cameras)
        return (
            f"{solved} of {len(self.photos) - len(self.cameras)} new photos were solved against the "
            f"{len(self.cameras)} cameras of {self.name}, which stayed."
        )


def reference(place: str, chosen: Sequence[Photo]) -> Reference:
    """The result in the folder `place`, or the cameras of the file `place`, beside the `chosen` photos; those of them
    that it knows are its own.

    A new photo of the size and EXIF focal length of one of the reference's has its lens; without EXIF, solving starts
    from the lens of a photo of its size. Raises UserError where there is no such result, it has fewer than two cameras,
    no chosen photo is new, or names clash.
    """
    earlier = _from_file(Path(place), chosen) if Path(place).is_file() else _from_result(place, chosen)
    if len(earlier.cameras) < 2:
        raise UserError(f"{quoted(earlier.name)} has fewer than two cameras: nothing can be solved against it.")
    exif = {photo.name: photo.focal for photo in earlier.photos}
    photos = []
    for photo, camera in zip(earlier.photos, earlier.cameras.values(), strict=True):
        lens = lens_of(camera, photo)
        photos.append(replace(photo, lens=lens, focal=lens.focal))
    hashes = {photo.sha256 for photo in photos}
    new = [photo for photo in chosen if photo.sha256 not in hashes]
    if not new:
        raise UserError("All of these photos have a camera in the reference: choose new ones.")
    for photo in new:
        if photo.name in exif:
            raise UserError(f"The reference has another photo that is called {quoted(photo.name)}; rename the new one.")
    lenses = {(exif[each.name], each.width, each.height): each.lens for each in photos}
    return replace(earlier, photos=[*photos, *(_with_lens(photo, lenses) for photo in new)])


def solve(earlier: Reference, match: Match, report: ReportStage) -> MappingSolution:
    """The photos solved in the reference's world, by the matches that `match(folder, None, (), report)` makes.

    Raises UserError where they do not fit, and what `report` raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        matched = match(Path(folder), None, (), report)
        solution = resection.solve_against(matched, earlier.cameras, report)
    return replace(solution, notes=[earlier.sentence(solution.cameras), *solution.notes])


def _from_result(folder: str, chosen: Sequence[Photo]) -> Reference:
    """The photos and cameras of a result; photos that were chosen again are read from where they are now."""
    result = bundle.read(folder)
    by_name = {photo.name: photo for photo in result.photos}
    here = {photo.sha256: photo.path for photo in chosen}
    photos = [by_name[camera.photo] for camera in result.cameras]
    photos = [replace(photo, path=here.get(photo.sha256, photo.path)) for photo in photos]
    return Reference(Path(folder).name, photos, dict(enumerate(result.cameras)), result.metric, result.z_up)


def _from_file(path: Path, chosen: Sequence[Photo]) -> Reference:
    """Those of the chosen photos that a file of cameras knows, by their paths or their names."""
    known_cameras = {}
    for entry in scene_camera_files.read(path):
        known_cameras[entry.photo] = known_cameras[Path(entry.photo).name] = entry
    photos: list[Photo] = []
    cameras = {}
    for photo in chosen:
        known_camera = known_cameras.get(photo.path, known_cameras.get(photo.name))
        if known_camera is not None:
            cameras[len(photos)] = known_camera.camera(photo.name, photo.width, photo.height)
            photos.append(photo)
    return Reference(path.name, photos, cameras, True, True)


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
