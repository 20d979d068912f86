"""[R] Writes the frames of a result's shots without distortion, with overscan, as half-float EXR in linear light."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from .. import bundle
from ..files import exr_file, whole_folder
from ..geometry import remap
from ..jobs.messages import Finished, Undistort
from ..lenses import export
from ..lenses.overscan import overscan, without_distortion
from ..model.arrays import Array
from ..model.engine import Stage
from ..model.errors import UserError, cause, quoted
from ..model.reconstruction import Camera, Shot
from ..pictures import video
from ..pictures.decoding import Unusable
from ..pictures.light import linear
from ..pictures.sequence import ImageSequence
from ..runtime.report import MessageReport

UNDISTORTING = Stage("undistorting", "Undistorting the plates", 1.0)
LARGEST_HALF = 65504  # the largest 16-bit float


def run(request: Undistort, report: MessageReport) -> Finished:
    """Writes the folder `request.output`, whole or not at all.

    Raises UserError where the result has no shot, a plate is gone or is not the one that was solved, or the folder
    cannot be written; and what `report` raises.
    """
    shots = bundle.read(request.bundle).shots
    if not shots:
        raise UserError(f"The result in {quoted(request.bundle)} holds no shot: its photos have their plates already.")
    folder = Path(request.output)
    report.plan([UNDISTORTING])
    total, done = sum(len(shot.cameras) for shot in shots), 0

    def one_more() -> None:
        nonlocal done
        done += 1
        report(UNDISTORTING, done, total)

    with whole_folder.replacing(folder) as new:
        for number, shot in enumerate(shots):
            _write(shot, export.stem(number, shot.video), new.path, one_more)
    return Finished(f"{total} frames without distortion are in {quoted(new.place)}.")


def _write(shot: Shot, stem: str, folder: Path, one_more: Callable[[], None]) -> None:
    """Writes the frames of a shot that have cameras, all in one size. `one_more` counts a frame."""
    cameras = {number: shot.plate_camera(number) for number in shot.cameras}
    added = overscan(list(cameras.values()))
    for number, camera in cameras.items():
        one_more()
        ideal = without_distortion(camera, added)
        light, size = _light(shot, number, camera), (ideal.width, ideal.height)
        picture = remap.ideal_picture_of(light, camera, ideal.intrinsics, size)
        half = np.clip(picture, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)
        exr_file.write(folder / f"{stem}.{number:04d}.exr", half, camera.fy / camera.fx)


def _light(shot: Shot, number: int, camera: Camera) -> Array:
    """(H, W, 3) float32 linear light of a frame in the plate's pixels. Raises UserError where the plate is gone."""
    try:
        source = video.frame_source(shot.path)
        if source.plate_size == (camera.width, camera.height):
            if isinstance(source, ImageSequence):
                return source.light(number)
            return linear(source.unscaled_picture(number))
    except (OSError, ValueError, Unusable) as error:
        raise UserError(f"Frame {number} of {quoted(shot.path)} cannot be read: {cause(error)}.") from error
    raise UserError(f"The plate {quoted(shot.path)} is not the one that was solved; put that one back.")
