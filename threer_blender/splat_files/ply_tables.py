"""[S] Binary PLY files as tables: the elements that a header declares, their rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..model.reconstruction import Array
from .reading import Damaged

LONGEST = 1 << 16  # bytes; real headers are below 3 kB
TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
# The columns of 3DGS.
MEAN, CONSTANT = ("x", "y", "z"), ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE, ROTATION, OPACITY = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3"), ("opacity",)
ROWS = 4096  # as many rows stay in the processor's cache while their columns are picked
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


class Element(NamedTuple):
    """A table: its name, its number of rows, and the type of a row; lists (of faces) have no fixed size and no type."""

    name: str
    size: int
    row: np.dtype[np.void] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return (self.row.names or ()) if self.row is not None else ()


def parse(data: bytes) -> tuple[list[Element], int]:
    """The elements that the file's first bytes declare, and the offset of their data."""
    head, end, _ = data[:LONGEST].partition(b"end_header\n")
    if not data.startswith(b"ply") or not end:
        raise Damaged("is no PLY file, or its header is cut off")
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    form = next((line[1] for line in lines if len(line) > 1 and line[0] == "format"), "unknown")
    if form == "ascii":
        raise Damaged("is a PLY of text; save it as a binary PLY")
    if form not in ORDERS:
        raise Damaged(f"is a PLY of the format {form!r}, which is not known here")
    elements: list[Element] = []
    columns: list[tuple[str, str]] | None = []
    try:
        for line in lines:
            if line[:1] == ["element"]:
                columns = []
                elements.append(Element(line[1], int(line[2]), np.dtype(columns)))
            elif line[:1] == ["property"]:
                listed = line[1] == "list" or columns is None
                columns = None if listed else [*(columns or []), (line[2], ORDERS[form] + TYPES[line[1]])]
                elements[-1] = elements[-1]._replace(row=None if columns is None else np.dtype(columns))
    except (KeyError, IndexError, ValueError) as error:
        raise Damaged(f"has a PLY header that cannot be understood ({error})") from error
    return elements, len(head) + len(end)


def tables(path: Path, elements: Sequence[Element], offset: int) -> list[Array]:
    """The rows of elements that follow one another, as memory maps of the file."""
    size = path.stat().st_size
    found: list[Array] = []
    for element in elements:
        assert element.row is not None
        end = offset + element.size * element.row.itemsize
        if end > size:
            whole = max(0, (size - offset) // element.row.itemsize)
            raise Damaged(f"is cut off: {whole:,} of its {element.size:,} rows are there; get it again")
        shape = (element.size,)
        found.append(np.memmap(path, element.row, "r", offset, shape) if element.size else np.empty(0, element.row))
        offset = end
    return found


def columns(rows: Array, names: Sequence[str]) -> Array:
    """(N, len(names)) float32 of the named columns."""
    picked = np.empty((len(rows), len(names)), np.float32)
    kinds = rows.dtype
    if kinds == np.dtype([(name, "<f4") for name in kinds.names or ()]):  # as nearly always: pick from one matrix
        matrix = rows.view("<f4").reshape(len(rows), len(kinds.names or ()))
        places = [(kinds.names or ()).index(name) for name in names]
        for start in range(0, len(rows), ROWS):
            picked[start : start + ROWS] = matrix[start : start + ROWS].take(places, axis=1)
        return picked
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        for place, name in enumerate(names):
            picked[start : start + ROWS, place] = part[name]
    return picked
