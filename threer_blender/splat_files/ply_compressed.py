"""[S] PlayCanvas' compressed PLY: chunks of 256 splats with bounds, four packed words a splat, harmonics as bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..model.reconstruction import Array, Gaussians
from .ply_tables import Element, columns, tables
from .reading import COEFFICIENTS, Damaged, constant_from_color, exponential, gaussians, harmonics, smallest_three

CHUNK = 256  # splats
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
HARMONICS_SPAN = 8.0  # bytes stand for coefficients from -4 to 4


def is_compressed(elements: list[Element]) -> bool:
    """Whether the elements are those of a compressed PLY."""
    names = {element.name: element.names for element in elements}
    return "chunk" in names and set(PACKED) <= set(names.get("vertex", ()))


def read(path: Path, elements: list[Element], offset: int) -> Gaussians:
    """The splats; positions, scales and colours lie between their chunk's bounds."""
    if [element.name for element in elements] not in (["chunk", "vertex"], ["chunk", "vertex", "sh"]):
        raise Damaged("is a compressed PLY with unknown elements")
    chunks, rows, *more = tables(path, elements, offset)
    if len(chunks) * CHUNK < len(rows):
        raise Damaged("is a compressed PLY with too few chunks; get it again")
    chunk = np.arange(len(rows)) // CHUNK

    def between(name: str, part: Array) -> Array:
        low, high = (columns(chunks, [f"{end}_{name}{axis}" for axis in "xyz"])[chunk] for end in ("min", "max"))
        value: Array = low + (high - low) * part
        return value

    position, rotation, scale, rgba = (np.asarray(rows[name], np.uint32) for name in PACKED)
    color = np.stack([_part(rgba, shift, 8) for shift in (24, 16, 8, 0)], axis=-1)
    display = color[:, :3]
    if "min_r" in (chunks.dtype.names or ()):
        low, high = (columns(chunks, [f"{end}_{channel}" for channel in "rgb"])[chunk] for end in ("min", "max"))
        display = low + (high - low) * display
    others = (np.stack([_part(rotation, shift, 10) for shift in (20, 10, 0)], axis=-1) - 0.5) * np.sqrt(np.float32(2))
    return gaussians(
        between("", _vector(position)),
        exponential(between("scale_", _vector(scale))),
        smallest_three(rotation >> 30, others),
        color[:, 3],
        harmonics(constant_from_color(display), _rest(more[0]) if more else np.empty((len(rows), 0))),
    )


def _part(words: Array, shift: int, bits: int) -> Array:
    """A field of bits as a number in [0, 1]."""
    part: Array = ((words >> shift) & (2**bits - 1)) / np.float32(2**bits - 1)
    return part


def _vector(words: Array) -> Array:
    """(N, 3): 11, 10 and 11 bits."""
    return np.stack([_part(words, 21, 11), _part(words, 11, 10), _part(words, 0, 11)], axis=-1)


def _rest(rows: Array) -> Array:
    """The harmonics' bytes: the middles of 256 steps, but the ends for the first and last."""
    count = len(rows.dtype.names or ())
    if count not in [3 * (k - 1) for k in COEFFICIENTS]:
        raise Damaged(f"has {count} columns of spherical harmonics; 9, 24 or 45 belong there")
    stored = columns(rows, [f"f_rest_{index}" for index in range(count)])
    middle = (stored + 0.5) / 256
    part = np.where(stored == 0, 0, np.where(stored == 255, 1, middle))
    return (part - 0.5) * HARMONICS_SPAN
