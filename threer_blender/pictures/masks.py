"""[R] Masks: pictures that mark the pixels of a plate or of photos that are left out. numpy and Pillow.

A single picture masks all frames. A picture of a sequence masks the frame with its number. A picture in a folder masks
the photo with its name; their file endings may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..files import bounded, sequence_files
from ..files.photo_files import MOST_PIXELS
from ..model.arrays import BoolArray
from ..model.errors import UserError, cause, quoted
from ..model.reconstruction import Photo, PhotoFromMap
from . import plate_files

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")
SUFFIXES = sequence_files.SUFFIXES | {".webp", ".bmp"}
ASPECT_TOLERANCE = 0.02  # largest relative difference between the aspect ratios of a mask and its plate
OPAQUE = 0.5  # share of full white, or of full opacity, from which a pixel counts as white, or as opaque


@dataclass(frozen=True)
class Masks:
    """The files of masks. `still` is for all pictures; without it, `by_number` are for frames, `by_name` for photos.

    Where `excludes_black`, black pixels are left out, not white ones. `margin` is the number of pixels of the plate by
    which the masked area grows.
    """

    still: Path | None
    by_number: Mapping[int, Path]
    by_name: Mapping[str, Path]
    excludes_black: bool
    margin: int

    def excluded(self, photo: Photo, frame: int | None, size: tuple[int, int] | None = None) -> BoolArray | None:
        """The mask (H, W) of a photo, or of the frame `frame` of a plate, True where pixels are left out.

        It is resized to `size` (width, height); without one it keeps the size of its file. Returns None where there is
        no mask. Raises UserError where the mask cannot be read, or has another shape than the photo.
        """
        file = self.still or (self.by_name.get(Path(photo.name).stem) if frame is None else self.by_number.get(frame))
        if file is None:
            return None
        mask = _read_mask(file, self.excludes_black)
        height, width = mask.shape
        plate = _plate_size(photo, width, height)
        if abs(width / height * plate[1] / plate[0] - 1) > ASPECT_TOLERANCE:
            raise UserError(
                f"The mask {quoted(file.name)} has {width} × {height} pixels, and {quoted(photo.name)} has "
                f"{plate[0]} × {plate[1]}; make masks in the plate's size."
            )
        grown = _grown(mask, round(self.margin * width / photo.width), round(self.margin * height / photo.height))
        if size is None:
            return grown
        return np.asarray(Image.fromarray(grown).resize(size, Image.Resampling.NEAREST))


def _plate_size(photo: Photo, width: int, height: int) -> tuple[int, int]:
    """The size (width, height) of the photo whose shape a mask of `width` × `height` pixels should have.

    Where the plate's pixels are not square, masks may have the shape of its file, as those drawn on it in Blender do,
    or that of the displayed picture.
    """
    if photo.frame is None or abs(width / height * photo.height / photo.width - 1) <= ASPECT_TOLERANCE:
        return photo.width, photo.height
    from . import video  # needs a package that not every environment has

    return video.plate_size(photo)


def from_options(options: Mapping[str, Any], frames: Iterable[int]) -> Masks | None:
    """The masks that the options name; None where they name none. `frames` are the numbers of all frames.

    Raises UserError where no masks lie at that path, or where no mask has the number of any frame.
    """
    if not options.get("masks"):
        return None
    path = sequence_files.from_notation(Path(options["masks"]))
    still, by_number, by_name = _files(path)
    numbers = set(frames)
    if still is None and numbers and not numbers & set(by_number):
        raise UserError(
            f"No mask in {quoted(path)} has the number of a frame: frames are {_range(numbers)}, masks "
            f"{_range(by_number) or 'without numbers'}; number the masks as the plate."
        )
    return Masks(still, by_number, by_name, options["masked"] == "black", options["mask_margin"])


def excluder(options: Mapping[str, Any]) -> Callable[[Photo, tuple[int, int]], BoolArray | None]:
    """A function of a photo and a size (width, height) that returns the mask (H, W) at that size.

    It returns None where nothing is masked. Raises UserError where no masks lie at the path that the options name.
    """
    masks = from_options(options, ())

    def excluded(photo: Photo, size: tuple[int, int]) -> BoolArray | None:
        return None if masks is None else masks.excluded(photo, photo.frame, size)

    return excluded


def in_map(mask: BoolArray, photo_from_map: PhotoFromMap, shape: tuple[int, int]) -> BoolArray:
    """A photo's mask (H, W) at the pixels of a map of `shape` (height, width): the nearest pixel of the mask.

    `photo_from_map` maps the map's pixels to the photo's. Beyond the photo's edges, the values at the edges apply.
    """
    height, width = shape
    x = (np.arange(width) + 0.5) * photo_from_map.scale_x + photo_from_map.offset_x
    y = (np.arange(height) + 0.5) * photo_from_map.scale_y + photo_from_map.offset_y
    columns = np.clip(x.astype(int), 0, mask.shape[1] - 1)
    rows = np.clip(y.astype(int), 0, mask.shape[0] - 1)
    of_map: BoolArray = mask[np.ix_(rows, columns)]
    return of_map


def _files(path: Path) -> tuple[Path | None, dict[int, Path], dict[str, Path]]:
    """The still, or None; the masks by frame number; the masks by name. Raises UserError where there are none."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if len(files) == 1:
            return files[0], {}, {}
        patterns = {pattern for file in files if (pattern := sequence_files.pattern(file)) is not None}
        by_number = sequence_files.frames(next(iter(patterns))) if len(patterns) == 1 else {}
        by_name = {file.stem: file for file in files}
    else:
        pattern = path if sequence_files.is_pattern(path) else sequence_files.pattern(path)
        by_number = {} if pattern is None else sequence_files.frames(pattern)
        by_name = {file.stem: file for file in by_number.values()}
        if len(by_number) < 2 and path.is_file():
            return path, {}, {}
    if not by_number and not by_name:
        raise UserError(f"There are no masks in {quoted(path)}; choose pictures, or a folder of them.")
    return None, by_number, by_name


def _range(numbers: Iterable[int]) -> str:
    return sequence_files.ranges(sorted(numbers))


def _read_mask(file: Path, excludes_black: bool) -> BoolArray:
    """The mask (H, W) in a file, True where pixels are left out.

    Transparent pixels are left out. In a picture without transparency, white ones are, or black ones where
    `excludes_black`. Raises UserError where the file cannot be read.
    """
    try:
        if file.suffix.lower() in sequence_files.PLATE_SUFFIXES:
            share = plate_files.pixels(file).mean(axis=2) / 255
        else:
            with (
                bounded.as_damage(),
                bounded.open_regular(file) as opened,
                Image.open(opened, formats=FORMATS) as image,
            ):
                if image.width * image.height > MOST_PIXELS:
                    raise UserError(f"The mask {quoted(file.name)} has more than {MOST_PIXELS} pixels.")
                upright = ImageOps.exif_transpose(image)
                if upright.has_transparency_data:
                    return np.asarray(upright.convert("RGBA"))[:, :, 3] < OPAQUE * 255
                deep = upright.mode.startswith("I")
                share = np.asarray(upright if deep else upright.convert("L")) / (65535 if deep else 255)
    except (UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"The mask {quoted(file.name)} cannot be read: it is damaged, or no picture.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"The mask {quoted(file.name)} cannot be read: {cause(error)}.") from error
    mask: BoolArray = share < OPAQUE if excludes_black else share >= OPAQUE
    return mask


def _grown(mask: BoolArray, across: int, down: int) -> BoolArray:
    """The mask (H, W), grown by a box that reaches `across` pixels to the sides, and `down` pixels up and down.

    It is grown along one axis, then along the other. Sums along the axis tell whether a masked pixel is within reach.
    """
    for axis, margin in ((0, down), (1, across)):
        if not margin:
            continue
        along = np.moveaxis(mask, axis, 0)
        sums = np.concatenate([np.zeros((1, along.shape[1]), np.int64), along.cumsum(axis=0)])
        rows = np.arange(len(along))
        masked_count = sums[np.minimum(rows + margin + 1, len(along))] - sums[np.maximum(rows - margin, 0)]
        mask = np.moveaxis(masked_count > 0, 0, axis)
    return mask
