"""[S] The array records of a bundle: the arrays of each kind of record, their types and shapes, and a checked reader.

Numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TypeVar

import numpy as np

from ..model.arrays import Array
from ..model.reconstruction import Gaussians, PointCloud, TrackedPoints
from . import array_file

Record = TypeVar("Record")

# For each kind of record: field -> (type, shape). In a shape, digits are fixed sizes, and equal letters equal sizes.
POINTMAP_ARRAYS = {
    "points": ("F32", "HW3"), "confidence": ("F32", "HW"), "mask": ("BOOL", "HW"), "removed": ("U8", "HW"),
}  # fmt: skip
CLOUD_ARRAYS = {
    "positions": ("F32", "N3"), "normals": ("F32", "N3"), "colors": ("U8", "N3"), "confidence": ("F32", "N"),
    "photo": ("I32", "N"),
}  # fmt: skip
GAUSSIAN_ARRAYS = {
    "means": ("F32", "N3"), "scales": ("F32", "N3"), "rotations": ("F32", "N4"), "opacities": ("F32", "N"),
    "sh": ("F32", "NK3"), "confidence": ("F32", "N"), "photo": ("I32", "N"),
}  # fmt: skip
TRACK_ARRAYS = {
    "point": ("I32", "N"), "frame": ("I32", "N"), "pixels": ("F32", "N2"), "positions": ("F32", "K3"),
    "errors": ("F32", "K"), "weights": ("F32", "K"),
}  # fmt: skip
SHOT_ARRAYS = dict.fromkeys(
    (
        *("median_error", "p95_error", "worst_error", "inliers", "coverage"),
        *("position_spread", "rotation_spread", "focal_spread"),
    ),
    ("F32", "N"),
)
OPTIONAL = {"pointmaps/removed", "gaussians/confidence", "gaussians/photo", *(f"shots/{name}" for name in SHOT_ARRAYS)}


def array_record(
    make: Callable[..., Record], prefix: str, table: Mapping[str, tuple[str, str]], arrays: Mapping[str, Array]
) -> Record:
    """The record `make(**fields)`, whose fields are the arrays named `prefix`/field.

    `table` is the table above for this kind of record. Fields in OPTIONAL may be missing. Raises KeyError where another
    field is missing, and ValueError where a type or shape contradicts `table`, or the other arrays of the record.
    """
    values: dict[str, Array] = {}
    sizes: dict[str, int] = {}
    for name, (dtype, shape) in table.items():
        if f"{prefix}/{name}" not in arrays and f"{prefix.split('/')[0]}/{name}" in OPTIONAL:
            continue
        array = arrays[f"{prefix}/{name}"]
        fits = array.dtype == np.dtype(array_file.DTYPES[dtype]) and array.ndim == len(shape)
        for letter, size in zip(shape, array.shape, strict=False):
            fits = fits and (size == int(letter) if letter.isdigit() else sizes.setdefault(letter, size) == size)
        if not fits:
            raise ValueError(f"the array {prefix}/{name} has the wrong type or shape")
        values[name] = array
    return make(**values)


assert {f.name for f in fields(PointCloud)} == set(CLOUD_ARRAYS)
assert {f.name for f in fields(Gaussians)} == set(GAUSSIAN_ARRAYS)
assert {f.name for f in fields(TrackedPoints)} == set(TRACK_ARRAYS)
