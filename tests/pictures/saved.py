"""Pictures for tests of reading them: a scene without symmetry, EXIF, files of any kind, and what is read from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Photo
from threer_blender.pictures import photos


class Warned:
    """Collects the warnings to the artist: each sentence, and the photo that it is about."""

    def __init__(self) -> None:
        self.sentences: list[tuple[str, str]] = []

    def __call__(self, text: str, photo: str) -> None:
        self.sentences.append((text, photo))


def scene(width: int = 160, height: int = 96, seed: int = 0) -> Array:
    """A smooth colour picture without any symmetry, whose top-left quarter alone is bright red."""
    y, x = np.mgrid[:height, :width]
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [90 + 60 * np.sin(x / width * 7 + p) * np.cos(y / height * 5 + 2 * p) for p in phase]
    picture = np.stack(waves, axis=-1)
    picture[: height // 2, : width // 2, 0] = 250
    return picture.round().astype(np.uint8)


def tags(**values: Any) -> Image.Exif:
    """EXIF with the given tags, those of the camera in their own directory."""
    exif = Image.Exif()
    camera = {getattr(ExifTags.Base, name): value for name, value in values.items() if name != "Orientation"}
    if "Orientation" in values:
        exif[ExifTags.Base.Orientation] = values["Orientation"]
    if camera:
        exif[ExifTags.IFD.Exif] = camera
    # Through bytes, since Pillow's TIFF writer takes the camera's directory only from a parsed EXIF.
    parsed = Image.Exif()
    parsed.load(exif.tobytes())
    return parsed


def save(path: Path, picture: Array | Image.Image, **options: Any) -> Path:
    """Writes the picture in the format that the suffix of `path` names, with Pillow's `options`."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if path.suffix in (".jpg", ".JPG"):
        options = {"quality": 97, "subsampling": 0, **options}
    image.save(path, **options)
    return path


def read_one(path: Path) -> Photo:
    """The photo in a file that is read without a warning."""
    warned = Warned()
    result = photos.read([path], warned)
    assert not result.unregistered
    assert not warned.sentences
    return result.accepted[0]


def difference(a: Array, b: Array) -> float:
    """Mean difference of values."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(int) - b.astype(int)).mean())
