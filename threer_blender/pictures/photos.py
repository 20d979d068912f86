"""[R] Reads photos: which of the chosen files can be used, and their pixels. `video` does so for videos."""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from PIL import UnidentifiedImageError

from ..files import bounded, sequence_files
from ..files.photo_files import CHOOSABLE, KINDS, VIDEO_SUFFIXES
from ..files.sequence_files import is_pattern
from ..model.arrays import UInt8Array
from ..model.errors import UserError
from ..model.reconstruction import Photo, Unregistered
from . import panoramas
from .decoding import DecodedPicture, Unusable, decoded, is_picture, is_raw, is_video
from .exif import LensTags, focal_and_sensor, focal_for_sensor, lens_tags

Warn = Callable[[str, str], None]
"""Tells the artist a sentence, the first string. The second is the name of the photo that it is about."""

SMALLEST_SIDE = 64  # pixels
MOST_BYTES = 4 << 30  # of a photo's file


@dataclass(frozen=True)
class Photos:
    """The result of `read`: the `accepted` photos, and the files that cannot be used, each in the artist's order."""

    accepted: list[Photo]
    unregistered: list[Unregistered]

    def without_panoramas(self, engine: str) -> Photos:
        """The same, for an engine that cannot use panoramas. `engine` is its label."""
        accepted = [photo for photo in self.accepted if not photo.panorama]
        reason, advice = f"It is a 360° panorama, which {engine} cannot use.", "Choose the classical engine for it."
        refused = [Unregistered(photo.name, reason, advice) for photo in self.accepted if photo.panorama]
        return Photos(accepted, [*self.unregistered, *refused])


def read(
    paths: Sequence[str | Path],
    warn: Warn,
    progress: Callable[[float], None] = lambda _: None,
) -> Photos:
    """Reads all chosen files, `paths`, as `files.photo_files.find` returns them: decodes, hashes and reads their EXIF.

    Files that are no picture, damaged, too small, too large, or copies of earlier ones are left out, and `warn` names
    each. Of videos and image sequences, the frames worth working with are returned. `progress` takes the fraction done
    and may raise to stop.
    """
    files = [Path(path) for path in paths]
    accepted: list[Photo] = []
    raws: list[Photo] = []
    unregistered: list[Unregistered] = []
    first_of: dict[str, str] = {}
    tags: dict[str, LensTags] = {}
    for index, (file, name) in enumerate(zip(files, _names(files), strict=True)):
        progress(index / len(files))
        file_progress = partial(_report_part, progress, index, len(files))
        try:
            digest, data = _read(file, name, first_of)
            if data is not None:
                photo, tags[name] = _photo(file, data, name, digest, warn)
                accepted.append(photo)
                raws += [photo] if is_raw(file, data) else []
            else:
                accepted += _frames(file, name, digest, warn, file_progress)
            first_of[digest] = name
        except _Refused as refused:
            unregistered.append(refused.unregistered)
            warn(f"{refused.unregistered.reason} {refused.unregistered.advice}", name)
    _tell_previews(raws, warn)
    return Photos([_with_lens(photo, tags) for photo in accepted], unregistered)


def _with_lens(photo: Photo, tags: Mapping[str, LensTags]) -> Photo:
    """The photo with the lens that its tags describe. `tags` has those of all photos by name."""
    if photo.panorama:  # its tags describe one of the camera's several lenses
        return replace(photo, focal=photo.width / (2 * math.pi))
    if photo.name not in tags:
        return photo
    focal, sensor_width = focal_and_sensor(tags[photo.name], photo.width, photo.height, tags.values())
    if focal is None and tags[photo.name].camera and find_spec("lensfunpy"):
        return _with_named_sensor(photo, tags[photo.name])
    return replace(photo, focal=focal, sensor_width=sensor_width)


def _with_named_sensor(photo: Photo, tags: LensTags) -> Photo:
    """The photo with a focal length by its camera's sensor, where the data base knows the camera by its name."""
    from . import lens_profiles

    try:
        sensor = lens_profiles.sensor(tags.camera)
    except UserError:
        return photo
    focal = focal_for_sensor(sensor.width, tags, photo.width, photo.height)
    width = sensor.width if photo.width >= photo.height else sensor.height
    return photo if focal is None else replace(photo, focal=focal, sensor_width=width)


def _report_part(progress: Callable[[float], None], index: int, count: int, fraction: float) -> None:
    """Reports that a `fraction` of file `index`, of `count` files, is done."""
    progress((index + fraction) / count)


def _names(files: Sequence[Path]) -> list[str]:
    """A name for each file: the file's own, after as many parent folders as distinguish files of the same name."""
    same: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        same[file.name].append(file.absolute())
    names = ["/".join(file.absolute().parts[-_distinct_depth(same[file.name]) :]) for file in files]
    return [name.encode("utf-8", "replace").decode("utf-8") for name in names]


def _distinct_depth(files: Sequence[Path]) -> int:
    """The least number of last parts by which all of these paths differ."""
    depths = range(1, max(len(file.parts) for file in files) + 1)
    return next(depth for depth in depths if len({file.parts[-depth:] for file in files}) == len(files))


class _Refused(Exception):
    """A file is left out; `unregistered` has the reason."""

    def __init__(self, name: str, reason: str, advice: str) -> None:
        self.unregistered = Unregistered(name, reason, advice)


# Advice for a file that is left out.
RESAVE = "Open it in a picture editor and save it anew as a JPEG or an 8-bit PNG, or take it out of the selection."
RENAME = "Give it the ending of its kind."
RECUT = "Choose another file, or make shots of it whose frames are all there and of one size."
CUT = "Cut it into ordinary views of 60 to 90 degrees that overlap by half, and choose those instead."
CONVERT = "Convert it to an MP4, or save its frames as pictures and choose their folder."


def _read(file: Path, name: str, first_of: Mapping[str, str]) -> tuple[str, bytes | None]:
    """The file's sha256, and its content if it is a photo. `first_of` has the names of earlier files by hash.

    Raises _Refused where it is no photo or video, cannot be read, or is a copy of an earlier file.
    """
    if file.suffix.lower() not in CHOOSABLE:
        raise _Refused(name, "This file is not a photo.", f"Choose {KINDS}.")
    if not _is_text(str(file.absolute())):
        raise _Refused(name, "Its name, or that of its folder, holds bytes that are no letters.", "Rename it.")
    data = None
    try:
        if is_pattern(file):
            digest = _sequence_digest(file)
        elif file.suffix.lower() in VIDEO_SUFFIXES:
            digest = _sha256(file)
        else:
            data = _content(file)
            digest = hashlib.sha256(data).hexdigest()
    except FileNotFoundError:
        raise _Refused(name, "The file is gone.", "Put it back, or take it out of the selection.") from None
    except PermissionError:
        raise _Refused(name, "The file may not be read.", "Give yourself the right to read it.") from None
    except OSError as error:
        raise _Refused(name, f"It cannot be read{_brief(error)}.", "Copy it to another disk.") from error
    except ValueError as error:
        raise _Refused(name, f"It {error}.", RESAVE) from error
    if digest in first_of:
        advice = "Nothing is lost; choose each photo once to silence this."
        raise _Refused(name, f"It is the same file as {first_of[digest]}, byte for byte.", advice)
    return digest, data


def _content(file: Path) -> bytes:
    """All bytes of a photo's file. Raises OSError, or ValueError where it is no regular file or too large."""
    with bounded.open_regular(file) as stream:
        if os.fstat(stream.fileno()).st_size > MOST_BYTES:
            raise ValueError(f"has more than {MOST_BYTES >> 30} GB")
        return stream.read()


def _photo(file: Path, data: bytes, name: str, digest: str, warn: Warn) -> tuple[Photo, LensTags]:
    """The photo with the content `data`, and its tags. Raises _Refused where it cannot be used."""
    try:
        with decoded(file, data, long_side=1) as picture:
            width, height = picture.size
            if min(width, height) < SMALLEST_SIDE:
                reason = f"It is only {width} × {height} pixels, and {SMALLEST_SIDE} on a side is the least."
                raise _Refused(name, reason, "Use the camera's original instead of a thumbnail.")
            if picture.flaw:
                warn(picture.flaw, name)
            kind = panoramas.tagged(picture.image.info, width, height)
            if kind == panoramas.OTHER:
                raise _Refused(name, "It is a part of a panorama, or a cylindrical one: no lens sees it so.", CUT)
            is_panorama = bool(kind) or (width == 2 * height and _goes_round(file, data))
            photo = Photo(name, str(file.absolute()), width, height, digest, panorama=is_panorama)
            return photo, lens_tags(picture.exif)
    except _Refused:
        raise
    except Unusable as error:
        raise _Refused(name, str(error), RESAVE) from error
    except MemoryError:
        raise
    except Exception as error:  # The decoders raise a dozen unrelated types; whichever it is, this file is at fault.
        if is_video(data):
            reason = "It is a video, though its name ends as a picture's."
            raise _Refused(name, reason, RENAME) from error
        reason = f"It is damaged, or not the picture its name says{_brief(error)}."
        raise _Refused(name, reason, RESAVE) from error


def _goes_round(file: Path, data: bytes) -> bool:
    with decoded(file, data, panoramas.THUMBNAIL) as picture:
        return panoramas.goes_round(picture.pixels(panoramas.THUMBNAIL))


def _tell_previews(raws: Sequence[Photo], warn: Warn) -> None:
    """Tells the artist which pixels of raw files are used."""
    if raws:
        sizes = sorted({(photo.width, photo.height) for photo in raws})
        listed = ", ".join(f"{width} × {height}" for width, height in sizes[:3])
        count = "one raw file" if len(raws) == 1 else f"{len(raws)} raw files"
        warn(f"Of {count}, the JPEG preview that the camera put inside is used ({listed} pixels).", "")


def _frames(file: Path, name: str, digest: str, warn: Warn, progress: Callable[[float], None]) -> list[Photo]:
    """The frames of a video or an image sequence that are worth working with, as photos. Raises _Refused."""
    if find_spec("av") is None:
        advice = "Install it, or save the video's frames as pictures and choose their folder."
        raise _Refused(name, "Reading videos needs the Python package av, which is not here.", advice)
    from . import video

    try:
        chosen = video.choose(file.absolute(), name, digest, progress)
    except Unusable as error:
        raise _Refused(name, str(error), RECUT) from error
    except video.FAULTS as error:
        if not is_pattern(file) and is_picture(_first_bytes(file)):
            raise _Refused(name, "It is a picture, though its name ends as a video's.", RENAME) from error
        raise _Refused(name, f"It is damaged, or no video that can be decoded{_brief(error)}.", CONVERT) from error
    width, height = chosen[0].width, chosen[0].height
    if width == 2 * height and panoramas.goes_round(_frame_pixels(chosen[0], panoramas.THUMBNAIL)):
        advice = "Save some of its frames as pictures, choose their folder, and the classical engine."
        raise _Refused(name, "It is a 360° video: no camera with a single lens films so.", advice)
    for remark in video.remarks(file.absolute()):
        warn(remark, name)
    return chosen


def _first_bytes(file: Path) -> bytes:
    with bounded.open_regular(file) as stream:
        return stream.read(8)


def _is_text(name: str) -> bool:
    """Whether a path is valid text. On Linux it may hold other bytes, which neither JSON nor Blender can store."""
    return name == name.encode("utf-8", "replace").decode("utf-8")


def _brief(error: Exception) -> str:
    """A system's or decoder's error in brackets. Empty where it would name classes or addresses of objects."""
    words = getattr(error, "strerror", None) or ""  # which does not repeat the file's name
    if not words and isinstance(error, OSError) and not isinstance(error, UnidentifiedImageError):
        words = " ".join(str(error).split())[:120]
    return f" ({words})" if words else ""


def _sha256(file: Path) -> str:
    with bounded.open_regular(file) as stream:  # a pipe would be waited for, a device read without end
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sequence_digest(pattern: Path) -> str:
    """A hash of the sequence's folder, and of its files' names and sizes."""
    files = sequence_files.frames(pattern)
    listed = [f"{file.name} {file.stat().st_size}" for file in files.values()]
    return hashlib.sha256("\n".join([str(pattern.parent.resolve()), *listed]).encode()).hexdigest()


def pixels(photo: Photo, long_side: int | None = None) -> UInt8Array:
    """(H, W, 3) uint8 sRGB, upright. With `long_side`, it is shrunk, never enlarged, to a longer side of that length.

    Photo pixel = (photo.width / W, photo.height / H) × pixel, with the first pixel's centre at (0.5, 0.5). W and H are
    rounded, so the two factors may differ. Raises UserError where the file is gone or has changed.
    """
    if photo.frame is not None:
        return _frame_pixels(photo, long_side)
    with _reopened(photo, long_side) as picture:
        return picture.pixels(long_side)


def _frame_pixels(photo: Photo, long_side: int | None) -> UInt8Array:
    from . import video

    assert photo.frame is not None
    try:
        if video.frame_source(photo.path).size != (photo.width, photo.height):
            raise UserError(_changed(photo))
        return video.pixels(photo.path, photo.frame, long_side)
    except (*video.FAULTS, Unusable) as error:
        raise UserError(_changed(photo)) from error


def blender_shows(photo: Photo) -> bool:
    """Whether Blender shows the photo's file as `pixels` returns it. Raises UserError as `pixels` does.

    Blender ignores EXIF rotation and colour profiles, and does not know all formats.
    """
    if photo.frame is not None:  # its file is a whole video
        return False
    with _reopened(photo, long_side=1) as picture:
        return picture.plain


@contextmanager
def _reopened(photo: Photo, long_side: int | None) -> Iterator[DecodedPicture]:
    try:
        data = _content(Path(photo.path))
        if hashlib.sha256(data).hexdigest() != photo.sha256:
            raise UserError(_changed(photo))
        with decoded(Path(photo.path), data, long_side) as picture:
            yield picture
    except (OSError, SyntaxError, ValueError, EOFError, Unusable) as error:
        raise UserError(_changed(photo)) from error


def _changed(photo: Photo) -> str:
    return f"The photo {photo.name} changed or vanished while the work went on: put it back and start again."
