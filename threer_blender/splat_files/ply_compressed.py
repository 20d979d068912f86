"""[S] PlayCanvas' compressed PLY: chunks of 256 splats with bounds, four packed words per splat, harmonics as bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files.bounded import Damaged
from ..model.arrays import Array
from ..model.reconstruction import Gaussians
from .ply_tables import Element, Header, columns, tables
from .reading import (
    check_count,
    constant_from_color,
    gaussians,
    harmonics,
    notes_on_degree,
    smallest_three,
    stored_degree,
)

CHUNK = 256  # splats
PACKED = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
HARMONICS_SPAN = 8.0  # bytes stand for coefficients from -4 to 4


def is_compressed(elements: list[Element]) -> bool:
    """Whether the elements are those of a compressed PLY."""
    names = {element.name: element.names for element in elements}
    return "chunk" in names and set(PACKED) <= set(names.get("vertex", ()))


def read(path: Path, header: Header) -> tuple[Gaussians, list[str]]:
    """The splats, and notes about them. Raises OSError and Damaged.

    Positions, scales and colours are stored as fractions between the bounds of their chunk.
    """
    named = {element.name: element for element in header.elements}
    degree = stored_degree(1 + len(named["sh"].names) // 3) if "sh" in named else 0
    check_count(named["vertex"].size, degree, path.stat().st_size)
    chunks, rows, *more = tables(path, header, [name for name in ("chunk", "vertex", "sh") if name in named])
    if len(chunks) * CHUNK < len(rows) or any(len(each) != len(rows) for each in more):
        raise Damaged("is a compressed PLY with too few chunks or harmonics; get it again")
    chunk = np.arange(len(rows)) // CHUNK

    def between(name: str, fraction: Array) -> Array:
        """(N, 3) the values at the `fraction` (N, 3) of the way between the bounds `name` of each splat's chunk."""
        low, high = (columns(chunks, [f"{end}_{name}{axis}" for axis in "xyz"])[chunk] for end in ("min", "max"))
        value: Array = low + (high - low) * fraction
        return value

    position, rotation, scale, rgba = (rows[name].astype(np.uint32) for name in PACKED)
    color = np.stack([_fraction(rgba, shift, 8) for shift in (24, 16, 8, 0)], axis=-1)
    display = color[:, :3]
    if "min_r" in (chunks.dtype.names or ()):
        low, high = (columns(chunks, [f"{end}_{channel}" for channel in "rgb"])[chunk] for end in ("min", "max"))
        display = low + (high - low) * display
    # Components of a unit quaternion other than the largest lie between -sqrt(1/2) and sqrt(1/2).
    others = (np.stack([_fraction(rotation, shift, 10) for shift in (20, 10, 0)], -1) - 0.5) * np.sqrt(np.float32(2))
    splats = gaussians(
        between("", _vector(position)),
        np.exp(between("scale_", _vector(scale))),
        smallest_three(rotation >> 30, others),
        color[:, 3],
        harmonics(constant_from_color(display), _rest(more[0]) if more else np.empty((len(rows), 0))),
    )
    return splats, notes_on_degree(degree, path.name)


def _fraction(words: Array, shift: int, bits: int) -> Array:
    """The field of `bits` bits at the bit `shift`, as a number in [0, 1]."""
    fraction: Array = ((words >> shift) & (2**bits - 1)) / np.float32(2**bits - 1)
    return fraction


def _vector(words: Array) -> Array:
    """(N, 3) in [0, 1] from words of 11, 10 and 11 bits."""
    return np.stack([_fraction(words, 21, 11), _fraction(words, 11, 10), _fraction(words, 0, 11)], axis=-1)


def _rest(rows: Array) -> Array:
    """(N, columns) harmonics from bytes. A byte is the middle of one of 256 steps; 0 and 255 are the range's ends."""
    stored = columns(rows, [f"f_rest_{index}" for index in range(len(rows.dtype.names or ()))])
    middle = (stored + 0.5) / 256
    fraction = np.where(stored == 0, 0, np.where(stored == 255, 1, middle))
    return (fraction - 0.5) * HARMONICS_SPAN
