"""[R] Solves new photos against a reference: the cameras of an earlier result, or of a scene, which stay."""

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
"""`match(folder, None, (), report)` returns the photos' matches, which it stores in `folder`.

In place of None and (), a later pass of the engine gives the matches of the pass before and the indices of unregistered
photos.
"""

SQUARE = 1e-6  # relative difference of the focal lengths along x and y up to which pixels are square


@dataclass(frozen=True)
class Reference:
    """The reference `name`, and the new photos.

    `photos` are those of the reference, then the new ones. `cameras` are the reference's, by the index of their photo.
    `metric` and `z_up` are those of its world.
    """

    name: str
    photos: list[Photo]
    cameras: dict[int, Camera]
    metric: bool
    z_up: bool

    def sentence(self, cameras: Sequence[Camera]) -> str:
        """A sentence for the artist on how many new photos are among the solved `cameras`."""
        solved = len(cameras) - len(self.cameras)
        return (
            f"{solved} of {len(self.photos) - len(self.cameras)} new photos were solved against the "
            f"{len(self.cameras)} cameras of {self.name}, which stayed."
        )


def read_reference(path: str, chosen: Sequence[Photo]) -> Reference:
    """The reference at `path`, a result's folder or a file of scene cameras, and the new ones of the `chosen` photos.

    A new photo with the size and EXIF focal length of a reference photo has its lens, which is held. Where neither
    has an EXIF focal length, the new one starts from the lens of a reference photo of its size. A new
    photo whose lens is known already keeps that one. Raises UserError where the reference cannot be read or has fewer
    than two cameras, no chosen photo is new, or two photos have one name.
    """
    reference = _from_file(Path(path), chosen) if Path(path).is_file() else _from_result(path, chosen)
    if len(reference.cameras) < 2:
        raise UserError(f"{quoted(reference.name)} has fewer than two cameras: nothing can be solved against it.")
    exif_focal = {photo.name: photo.focal for photo in reference.photos}
    photos = []
    for photo, camera in zip(reference.photos, reference.cameras.values(), strict=True):
        lens = lens_of(camera, photo)
        photos.append(replace(photo, lens=lens, focal=lens.focal))
    hashes = {photo.sha256 for photo in photos}
    new = [photo for photo in chosen if photo.sha256 not in hashes]
    if not new:
        raise UserError("All of these photos have a camera in the reference: choose new ones.")
    for photo in new:
        if photo.name in exif_focal:
            raise UserError(f"The reference has another photo that is called {quoted(photo.name)}; rename the new one.")
    lenses = {(exif_focal[each.name], each.width, each.height): each.lens for each in photos}
    return replace(reference, photos=[*photos, *(_with_lens(photo, lenses) for photo in new)])


def solve(reference: Reference, match: Match, report: ReportStage) -> MappingSolution:
    """Solves the new photos in the reference's world, by the matches that `match(folder, None, (), report)` returns.

    Raises UserError where they do not fit the reference, and `report`'s errors.
    """
    with tempfile.TemporaryDirectory() as folder:
        matched = match(Path(folder), None, (), report)
        solution = resection.solve_against(matched, reference.cameras, report)
    return replace(solution, notes=[reference.sentence(solution.cameras), *solution.notes])


def _from_result(folder: str, chosen: Sequence[Photo]) -> Reference:
    """The photos and cameras of a result. Photos that were chosen again are read from their new paths."""
    result = bundle.read(folder)
    by_name = {photo.name: photo for photo in result.photos}
    new_paths = {photo.sha256: photo.path for photo in chosen}
    photos = [by_name[camera.photo] for camera in result.cameras]
    photos = [replace(photo, path=new_paths.get(photo.sha256, photo.path)) for photo in photos]
    return Reference(Path(folder).name, photos, dict(enumerate(result.cameras)), result.metric, result.z_up)


def _from_file(path: Path, chosen: Sequence[Photo]) -> Reference:
    """The chosen photos that a file of scene cameras names, by their paths or file names, and their cameras.

    Frames of videos are not among them: one camera cannot be that of all frames.
    """
    scene_cameras = {}
    for entry in scene_camera_files.read(path):
        scene_cameras[entry.photo] = scene_cameras[Path(entry.photo).name] = entry
    photos: list[Photo] = []
    cameras = {}
    for photo in chosen:
        scene_camera = scene_cameras.get(photo.path, scene_cameras.get(photo.name))
        if scene_camera is not None and photo.frame is None:
            cameras[len(photos)] = scene_camera.camera(photo.name, photo.width, photo.height)
            photos.append(photo)
    return Reference(path.name, photos, cameras, metric=True, z_up=True)


def _with_lens(photo: Photo, lenses: Mapping[tuple[float | None, int, int], KnownLens]) -> Photo:
    """A new photo with the lens of reference photos with its EXIF focal length, width and height, if there are any.

    A photo whose lens is known already stays as it is.
    """
    lens = lenses.get((photo.focal, photo.width, photo.height))
    if lens is None or photo.lens != UNKNOWN:
        return photo
    return replace(photo, focal=lens.focal, lens=replace(lens, held=photo.focal is not None))


def lens_of(camera: Camera, photo: Photo) -> KnownLens:
    """The lens of the solved `camera` of `photo`, held, by a model that the solver knows."""
    known_camera, _ = known.for_solver(camera, photo, held=True)
    distortion, aspect = known_camera.distortion, known_camera.fy / known_camera.fx
    if abs(aspect - 1) > SQUARE and distortion.model in ("SIMPLE_RADIAL", "RADIAL"):
        k1, k2 = (*distortion.params, 0.0)[:2]
        distortion = Distortion("OPENCV", (k1, k2, 0.0, 0.0))
    centre = known_camera.cx, known_camera.cy
    return KnownLens(known_camera.fx, centre, distortion, held=True, name="The reference's lens", aspect=aspect)
