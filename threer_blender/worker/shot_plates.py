"""[R] Plates of videos: a JPEG for each frame, where Blender's movie clip would show other frames than were solved."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ..files import bundle_folder, sequence_files
from ..model.arrays import UInt8Array
from ..model.errors import UserError, quoted
from ..model.reconstruction import Shot
from ..pictures import blender_clip, video
from ..pictures.film import Film
from ..pictures.sequence import ImageSequence


def write_all(
    shots: list[Shot], folder: Path, warn: Callable[[str], None], report: Callable[[int, int], None]
) -> list[Shot]:
    """Writes plates of each video that Blender would not show as it was solved into `folder`. Returns the shots.

    The shots of these videos name their plates. `warn` gets a sentence about each such video. `report(done, total)`
    counts frames and may raise. Raises UserError where a video has changed or vanished, or plates cannot be written.
    """
    reasons = [_reason(shot) for shot in shots]
    total = sum(len(_source(shot)) for shot, reason in zip(shots, reasons, strict=True) if reason)
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        report(done, total)

    return [
        replace(shot, written_plate=_write(shot, number, reason, folder, warn, one_more)) if reason else shot
        for number, (shot, reason) in enumerate(zip(shots, reasons, strict=True))
    ]


def _reason(shot: Shot) -> str:
    """Why Blender would show a video otherwise, as part of a sentence.

    It is "" where Blender shows it as it was solved, and for image sequences.
    """
    source = _source(shot)
    return blender_clip.difference(source) if isinstance(source, Film) else ""


def _write(
    shot: Shot, number: int, reason: str, folder: Path, warn: Callable[[str], None], one_more: Callable[[], None]
) -> str:
    """Writes all frames of a video, upright and in its own pixels. Returns the sequence's pattern within the bundle."""
    warn(
        f"{shot.video}: Blender's movie clip would not show this video as it was solved ({reason}), so the result "
        "holds all of its frames as JPEG files and shows those."
    )
    letters = re.sub(r"[^\w-]+", "_", Path(shot.video).stem)[:40]
    pattern = f"{bundle_folder.PLATES}/shot{number}_{letters}.####.jpg"
    for frame in _source(shot).numbers:
        one_more()
        picture = _picture(shot, frame)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / sequence_files.file_name(Path(pattern).name, frame)
            Image.fromarray(picture).save(file, quality=95, subsampling="4:4:4")
        except OSError as error:
            raise bundle_folder.output_error(folder, error) from error
    return pattern


def _picture(shot: Shot, frame: int) -> UInt8Array:
    """(H, W, 3) uint8 sRGB of a frame of a video, upright and in its own pixels."""
    film = _source(shot)
    assert isinstance(film, Film)
    try:
        return film.unscaled_picture(frame)
    except video.FAULTS as error:
        raise _changed(shot) from error


def _source(shot: Shot) -> Film | ImageSequence:
    try:
        return video.frame_source(shot.path)
    except video.FAULTS as error:
        raise _changed(shot) from error


def _changed(shot: Shot) -> UserError:
    return UserError(f"{quoted(shot.path)} changed or vanished while the work went on: put it back and start again.")
