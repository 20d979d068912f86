"""[R] Photos as networks want them: resized and cropped exactly as published. Needs Pillow.

A `ResizeCrop` says how: the whole photo is resized to a size, and a box is cut out of it. An `Input` holds the outcome,
and the map from its pixels back to the photo's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ..model.arrays import BoolArray
from ..model.errors import UserError
from ..model.reconstruction import Photo, PhotoFromMap
from ..pictures.masks import in_map
from ..pictures.photos import pixels

PATCH = 16
LARGEST = 4096  # pixels of the long side to which a photo is decoded, far more than any network's input has


class ResizeCrop(NamedTuple):
    """How a photo is resized and cropped, in pixels.

    `size` (width, height) is that of the whole photo after resizing. `box` (left, top, right, bottom) is cut out of it.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]


class Input(NamedTuple):
    """A photo as a network gets it: `image` (H, W, 3) uint8 sRGB.

    `photo_from_map` maps pixels of the image to those of the photo. `excluded` (H, W) is True at masked pixels, whose
    predictions are ignored; None where none are masked.
    """

    image: npt.NDArray[np.uint8]
    photo_from_map: PhotoFromMap
    excluded: BoolArray | None = None

    def masked(self, photo: Photo, excluded: Callable[[Photo, tuple[int, int]], BoolArray | None]) -> Input:
        """The same input with the photo's mask.

        `excluded(photo, (width, height))` returns the mask at that size, (height, width), or None where there is none.
        """
        mask = excluded(photo, (photo.width, photo.height))
        if mask is None:
            return self
        return self._replace(excluded=in_map(mask, self.photo_from_map, (self.image.shape[0], self.image.shape[1])))

    @property
    def normalised(self) -> Tensor:
        """The image as a tensor (3, H, W), float32 in [-1, 1]."""
        return torch.from_numpy(self.image).permute(2, 0, 1) / 127.5 - 1


def long_side_crop(width: int, height: int, side: int = 512) -> ResizeCrop:
    """The resizing and cropping of DUSt3R and MASt3R for a photo of this size in pixels.

    The long side becomes `side` pixels. The largest box of whole patches is cut out about the middle. A square is cut
    to 4:3, since the networks were trained on no squares. Raises ValueError where the short side is less than a patch.
    """
    longer = max(width, height)
    size = round(width * side / longer), round(height * side / longer)
    middle = size[0] // 2, size[1] // 2
    half = [m * 2 // PATCH * PATCH // 2 for m in middle]
    if size[0] == size[1]:
        half[1] = half[0] * 3 // 4
    if min(half) == 0:
        raise ValueError("the short side is less than a patch")
    return ResizeCrop(size, _around(middle, half[0], half[1]))


def square_crop(width: int, height: int, side: int) -> ResizeCrop:
    """The resizing and cropping of DUSt3R 224 and Splatt3R for a photo of this size in pixels.

    The short side becomes `side` pixels, and the middle square is cut out.
    """
    shorter = min(width, height)
    long = round(side * max(width, height) / shorter)
    size = (long, side) if width > height else (side, long)
    return ResizeCrop(size, _around((size[0] // 2, size[1] // 2), side // 2, side // 2))


def prepared(photo: Photo, crop: ResizeCrop) -> Input:
    """The photo, resized and cropped as `crop` says. Shrinks by Lanczos and enlarges bicubically, as published."""
    picture = Image.fromarray(pixels(photo, LARGEST))
    shrinks = max(photo.width, photo.height) > max(crop.size)
    filter_ = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    image = np.array(picture.resize(crop.size, filter_).crop(crop.box))
    scale_x, scale_y = photo.width / crop.size[0], photo.height / crop.size[1]
    return Input(image, PhotoFromMap(scale_x, scale_y, crop.box[0] * scale_x, crop.box[1] * scale_y))


def dust3r(photo: Photo, side: int) -> Input:
    """The photo as the input of a network of the DUSt3R family that was trained at `side` pixels: 512 or 224.

    Raises UserError where the photo is too narrow a strip.
    """
    return prepared(photo, dust3r_crop(photo, side))


def dust3r_crop(photo: Photo, side: int) -> ResizeCrop:
    """How `dust3r` resizes and crops the photo. Raises as it does."""
    if side == 224:
        return square_crop(photo.width, photo.height, side)
    try:
        return long_side_crop(photo.width, photo.height, side)
    except ValueError:
        raise UserError(
            f"{photo.name} is more than {side // PATCH} times as long as it is wide, too narrow a strip for this "
            "engine; take it out of the selection or crop it."
        ) from None


def _around(middle: tuple[int, int], half_width: int, half_height: int) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) about `middle` (x, y)."""
    x, y = middle
    return x - half_width, y - half_height, x + half_width, y + half_height
