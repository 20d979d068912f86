"""[R] Facts about the photos' lenses, from numbers, lens files, and the names of camera and lens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

from ..lenses import known
from ..model.errors import UserError
from ..model.lens import KnownLens
from ..model.reconstruction import Photo
from ..pictures import video

POOR_FIT = 0.1  # px; where our model describes a lens's distortion less well, a sentence says so


def applied(photos: Sequence[Photo], options: Mapping[str, Any], warn: Callable[[str], None]) -> list[Photo]:
    """The photos with the lenses that the options tell of. `warn` gets sentences about them.

    Raises UserError where a camera or a lens is unknown, or a lens file cannot be used.
    """
    _tell_squeeze(photos, options, warn)
    camera, name = str(options.get("camera", "")).strip(), str(options.get("lens_name", "")).strip()
    if name and not camera:
        raise UserError("A lens is named but no camera: enter the camera's name, too; it says how large the sensor is.")
    if not camera:
        changed = known.applied(photos, options)
        for sentence in changed.sentences:
            warn(sentence)
        return changed.photos
    if find_spec("lensfunpy") is None:
        raise UserError(
            "Cameras are known by the Python package lensfunpy, which is not here: enter the sensor's width."
        )
    from ..pictures import lens_profiles

    camera_sensor = lens_profiles.sensor(camera)
    sensor = float(options.get("sensor", 0.0)) or camera_sensor.width  # mm
    warn(f"{camera_sensor.name}: the sensor is {sensor:.1f} mm wide.")
    photos = known.applied(photos, {**options, "sensor": sensor}).photos
    if not name:
        return photos
    held = options.get("known_lens") == "held"
    sentences, changed_photos = [], []
    for photo in photos:
        longer = max(photo.width, photo.height)
        millimetres = 0.0 if photo.focal is None else photo.focal * sensor / longer
        profile = lens_profiles.profile(camera, name, millimetres, (photo.width, photo.height))
        focal = millimetres / sensor * longer * profile.scale
        lens = KnownLens(focal, distortion=profile.distortion, held=held, name=f"The lens {profile.name}")
        sentences.append(f"{profile.name} at {millimetres:.4g} mm: k1 {profile.distortion.params[0]:.3f}.")
        if profile.residual > POOR_FIT:
            sentences[-1] += f" Its distortion is described to {profile.residual:.2f} px."
        changed_photos.append(replace(photo, focal=focal, lens=lens))
    for sentence in dict.fromkeys(sentences):
        warn(sentence)
    return changed_photos


def _tell_squeeze(photos: Sequence[Photo], options: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Tells how numbers of the lens are taken, where they are given for a plate whose pixels are not square."""
    if not any(options.get(name) for name in ("focal", "focal_pixels", "sensor", "camera")):
        return
    for photo in {photo.path: photo for photo in photos if photo.frame is not None}.values():
        across, down = video.plate_size(photo)
        squeeze = photo.width / across / (photo.height / down)
        if (across, down) != (photo.width, photo.height):
            warn(
                f"The pixels of {photo.name.rpartition(' ')[0]} are {squeeze:.3g} times as wide as high: a focal "
                f"length in pixels counts in the displayed picture of {photo.width} × {photo.height}, and the sensor's "
                f"width is that of this picture, behind an anamorphic lens {squeeze:.3g} times the sensor's own."
            )
