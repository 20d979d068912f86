"""[S] The files that a result shows behind its cameras. A copy that lies outside of its folder is refused."""

from __future__ import annotations

from pathlib import Path

from ..model.errors import quoted
from ..model.reconstruction import Camera, Photo, Shot
from . import bounded, sequence_files


def picture_of(camera: Camera, photo: Photo, folder: Path) -> Path:
    """The file of a camera's picture without distortion: its undistorted copy, or the photo where it has none.

    The file may be missing. Raises UserError where the copy lies outside of the bundle `folder`.
    """
    return _inside(folder, camera.undistorted) if camera.undistorted else Path(photo.path)


def plate_of(shot: Shot, folder: Path) -> Path:
    """The video or the image sequence behind a shot's camera: the plate in the bundle, else the file that was solved.

    Raises UserError where the bundle's plate, or a frame of it, lies outside of the bundle `folder`.
    """
    if not shot.written_plate:
        return Path(shot.path)
    plate = _inside(folder, shot.written_plate)
    if sequence_files.is_pattern(plate) and sequence_files.exists(plate):
        for frame in sequence_files.frames(plate).values():
            _inside(folder, frame.relative_to(folder).as_posix())
    return plate


def _inside(folder: Path, name: str) -> Path:
    with bounded.as_refusal(f"The result in {quoted(folder)}"):
        return bounded.inside(folder, name)
