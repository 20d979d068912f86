"""[R] Photos as inputs of networks that take many views: all of one size, each with the map back to its photo. Pillow.

A `Recipe` follows from photos' sizes alone; `prepared` applies it to a photo. The recipes of all views of one run are
made together, since all inputs get the same size by cropping or by borders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from ..model.arrays import Array, FloatArray
from ..model.errors import UserError
from ..model.reconstruction import Photo, PhotoFromMap
from ..pictures.photos import pixels
from .inputs import LARGEST, Input, dust3r_crop

WHITE = 255
PI3_PIXELS = 255_000  # of an input of Pi3, at most
Box = tuple[int, int, int, int]
Resampling = Literal["pillow", "lanczos", "opencv"]
# The (width, height) of MapAnything's training pictures.
MAP_ANYTHING_SIZES = (
    (518, 518), (518, 392), (518, 336), (518, 294), (518, 252), (518, 168), (392, 518), (336, 518), (294, 518),
    (252, 518),
)  # fmt: skip


class Recipe(NamedTuple):
    """How a photo becomes an input of a network.

    The `part` (left, top, right, bottom) of the photo is resized to each of `sizes` (width, height), one after the
    other. Then `box` (left, top, right, bottom) is cut out; where it reaches beyond the picture, it is white.
    `resampling` is "pillow": Pillow's antialiased bicubic; "lanczos": Pillow's Lanczos to shrink and bicubic to
    enlarge; or "opencv": OpenCV's area to shrink and bicubic to enlarge.
    """

    part: Box
    sizes: tuple[tuple[int, int], ...]
    box: Box
    resampling: Resampling


def vggt(photos: Sequence[Photo]) -> list[Recipe]:
    """VGGT's recipes: the width becomes 518, and the height follows, rounded to whole patches.

    A height above 518 is cropped to that about the middle. White borders make all inputs equal in size.
    """
    side, patch = 518, 14
    recipes = []
    for photo in photos:
        height = _whole(photo, photo.height * side / photo.width / patch) * patch
        top = max(0, (height - side) // 2)
        box = (0, top, side, top + min(height, side))
        recipes.append(Recipe((0, 0, photo.width, photo.height), ((side, height),), box, "pillow"))
    return _bordered(recipes)


def vggt_omega(photos: Sequence[Photo], side: int = 512) -> list[Recipe]:
    """VGGT-Omega's recipes: about as many patches as a square of `side` pixels has, in the photo's aspect ratio.

    A photo longer than 2:1 is cropped to that first. White borders make all inputs equal in size.
    """
    patch = 16
    recipes = []
    for photo in photos:
        width, height = photo.width, photo.height
        part = (0, 0, width, height)
        if height < width / 2:
            cropped_width = min(width, max(1, round(height / 0.5)))
            left = (width - cropped_width) // 2
            part = (left, 0, left + cropped_width, height)
        elif height > 2 * width:
            cropped_height = min(height, max(1, round(width * 2.0)))
            top = (height - cropped_height) // 2
            part = (0, top, width, top + cropped_height)
        height_over_width = (part[3] - part[1]) / (part[2] - part[0])
        columns = (side // patch) / height_over_width**0.5
        size = (round(columns) * patch, round((side // patch) ** 2 / columns) * patch)
        recipes.append(Recipe(part, (size,), (0, 0, *size), "pillow"))
    return _bordered(recipes)


def depth_anything3(photos: Sequence[Photo]) -> list[Recipe]:
    """Depth Anything 3's recipes: the longer side becomes 504, then both sides are rounded to whole patches.

    All pictures are cropped, about their middles, to the smallest width and the smallest height among them.
    """
    side, patch = 504, 14
    sizes = []
    for photo in photos:
        longer = max(photo.width, photo.height)
        first = (max(1, round(photo.width * side / longer)), max(1, round(photo.height * side / longer)))
        # A hundredth of a pixel more, so that half a patch rounds up.
        second = (_whole(photo, (first[0] + 0.01) / patch) * patch, _whole(photo, (first[1] + 0.01) / patch) * patch)
        sizes.append((first, second))
    width, height = (min(second[axis] for _, second in sizes) for axis in (0, 1))
    recipes = []
    for photo, (first, second) in zip(photos, sizes, strict=True):
        left, top = round((second[0] - width) / 2), round((second[1] - height) / 2)
        box = (left, top, left + width, top + height)
        recipes.append(Recipe((0, 0, photo.width, photo.height), (first, second), box, "opencv"))
    return recipes


def map_anything(photos: Sequence[Photo]) -> list[Recipe]:
    """MapAnything's recipes: all inputs have the training size whose aspect ratio is nearest the photos' mean.

    Each photo is resized to cover that size, and cropped about its middle.
    """
    mean = _mean_aspect(photos)
    return _covering(photos, min(MAP_ANYTHING_SIZES, key=lambda size: abs(size[0] / size[1] - mean)))


def pi3(photos: Sequence[Photo]) -> list[Recipe]:
    """Pi3's recipes: all inputs have the largest size of whole patches within PI3_PIXELS in the photos' mean aspect.

    Each photo is resized to cover that size, and cropped about its middle. The published program takes the first
    photo's aspect ratio, and stretches the others to it.
    """
    patch = 14
    aspect = _mean_aspect(photos)
    rows = math.sqrt(PI3_PIXELS / aspect) / patch
    columns = rows * aspect
    whole_columns, whole_rows = max(1, round(columns)), max(1, round(rows))
    while whole_columns * whole_rows * patch**2 > PI3_PIXELS:
        if whole_columns * rows > whole_rows * columns:
            whole_columns -= 1
        else:
            whole_rows -= 1
    return _covering(photos, (whole_columns * patch, whole_rows * patch))


def video_512(photos: Sequence[Photo]) -> list[Recipe]:
    """The recipes of CUT3R and MUSt3R: DUSt3R's input of the first photo, at whose size all inputs are.

    Other photos are resized to cover that size, and cropped about their middles. Raises UserError where the first photo
    is too narrow a strip.
    """
    left, top, right, bottom = dust3r_crop(photos[0], 512).box
    return _covering(photos, (right - left, bottom - top))


def inputs_by(
    recipes: Callable[[Sequence[Photo]], list[Recipe]],
) -> Callable[[Sequence[Photo]], Callable[[int], Input]]:
    """The function `inputs` of a `feed_forward.Network` by `recipes`: all photos -> (index of a photo -> its input)."""

    def inputs(photos: Sequence[Photo]) -> Callable[[int], Input]:
        chosen = recipes(photos)
        return lambda index: prepared(photos[index], chosen[index])

    return inputs


def prepared(photo: Photo, recipe: Recipe) -> Input:
    """The network's input of a photo by a recipe. Raises UserError where the photo is gone or has changed."""
    image = pixels(photo, LARGEST)
    decoded_x, decoded_y = image.shape[1] / photo.width, image.shape[0] / photo.height
    left, top, right, bottom = recipe.part
    image = image[
        round(top * decoded_y) : round(bottom * decoded_y), round(left * decoded_x) : round(right * decoded_x)
    ]
    for size in recipe.sizes:
        image = resized(image, size, recipe.resampling)
    width, height = recipe.sizes[-1]
    scale_x, scale_y = (right - left) / width, (bottom - top) / height
    offset = left + recipe.box[0] * scale_x, top + recipe.box[1] * scale_y
    return Input(_cut(image, recipe.box), PhotoFromMap(scale_x, scale_y, *offset))


def shows_photo(photo: Photo, view_input: Input) -> Array:
    """(H, W) bool: whether a pixel of the input shows the photo, not a border, and is not masked."""
    scale_x, scale_y, offset_x, offset_y = view_input.photo_from_map
    height, width = view_input.image.shape[:2]
    x, y = (np.arange(width) + 0.5) * scale_x + offset_x, (np.arange(height) + 0.5) * scale_y + offset_y
    shows = ((y > 0) & (y < photo.height))[:, None] & ((x > 0) & (x < photo.width))[None, :]
    return shows if view_input.excluded is None else shows & ~view_input.excluded


def resized(image: Array, size: tuple[int, int], resampling: Resampling) -> Array:
    """The picture `image` (h, w, 3) uint8, resized to `size` (width, height)."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    if resampling != "opencv":
        shrinks = resampling == "lanczos" and width < image.shape[1]
        kernel = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
        return np.array(Image.fromarray(image).resize(size, kernel))
    if width > image.shape[1] or height > image.shape[0]:
        values = _bicubic(image, size)
    else:
        rows, columns = _shares(image.shape[0], height), _shares(image.shape[1], width)
        values = np.stack([rows @ image[..., channel] @ columns.T for channel in range(3)], axis=-1)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _bicubic(image: Array, size: tuple[int, int]) -> Array:
    """`image` resized as by OpenCV's bicubic: torch has the same kernel (a = -0.75, no antialiasing)."""
    planes = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    grown = functional.interpolate(planes, size[::-1], mode="bicubic")
    return np.asarray(grown[0].permute(1, 2, 0).numpy())


def _shares(before: int, after: int) -> FloatArray:
    """(after, before): the weight of each old pixel in each new one, by the overlap. Rows sum to one."""
    edges = np.linspace(0, before, after + 1)
    old = np.arange(before)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    shares: FloatArray = np.maximum(overlap, 0) * (after / before)
    return shares


def _mean_aspect(photos: Sequence[Photo]) -> float:
    """The mean of the photos' widths over their heights."""
    return sum(photo.width / photo.height for photo in photos) / len(photos)


def _covering(photos: Sequence[Photo], size: tuple[int, int]) -> list[Recipe]:
    """Recipes that resize each photo to cover `size` (width, height), and crop it about its middle."""
    width, height = size
    recipes = []
    for photo in photos:
        scale = max(width / photo.width, height / photo.height) + 1e-8  # or rounding could leave a pixel uncovered
        resized_size = (int(photo.width * scale), int(photo.height * scale))
        left, top = (resized_size[0] - width) // 2, (resized_size[1] - height) // 2
        box = (left, top, left + width, top + height)
        recipes.append(Recipe((0, 0, photo.width, photo.height), (resized_size,), box, "lanczos"))
    return recipes


def _whole(photo: Photo, patches: float) -> int:
    """`patches` rounded to a whole number. Raises UserError where that is 0."""
    if round(patches) < 1:
        raise UserError(f"{photo.name} is too narrow a strip for this engine; take it out of the selection or crop it.")
    return round(patches)


def _bordered(recipes: list[Recipe]) -> list[Recipe]:
    """The recipes with their boxes enlarged, about their middles, to the largest width and height among them."""
    widths, heights = ([recipe.box[axis + 2] - recipe.box[axis] for recipe in recipes] for axis in (0, 1))
    width, height = max(widths), max(heights)
    grown = []
    for recipe, inner_width, inner_height in zip(recipes, widths, heights, strict=True):
        left, top = recipe.box[0] - (width - inner_width) // 2, recipe.box[1] - (height - inner_height) // 2
        grown.append(recipe._replace(box=(left, top, left + width, top + height)))
    return grown


def _cut(image: Array, box: Box) -> Array:
    """The part of `image` (h, w, 3) in a box, white where the box reaches beyond the image."""
    left, top, right, bottom = box
    height, width = image.shape[:2]
    cut = image[max(0, top) : min(bottom, height), max(0, left) : min(right, width)]
    before, after = (max(0, -top), max(0, -left)), (max(0, bottom - height), max(0, right - width))
    return np.pad(cut, ((before[0], after[0]), (before[1], after[1]), (0, 0)), constant_values=WHITE)
