"""[S] PLY files as tables: the elements that a header declares, their rows and columns, binary or text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..files import bounded
from ..files.bounded import Damaged
from ..model.arrays import Array

LONGEST_HEADER = 1 << 16  # bytes; real headers are below 3 kB
# PLY's name of a type -> numpy's
TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
# The columns of 3DGS.
MEAN, CONSTANT = ("x", "y", "z"), ("f_dc_0", "f_dc_1", "f_dc_2")
SCALE, ROTATION, OPACITY = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3"), ("opacity",)
ROWS = 4096  # rows that are handled at a time, so few that they stay in the processor's cache
TEXT = "ascii"
# The format of a PLY's data -> the byte order of its numbers, as numpy writes it.
ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", TEXT: "="}


class Property(NamedTuple):
    """A column: its name and the type of its numbers; for a column of lists, also the type of their lengths."""

    name: str
    kind: np.dtype[np.generic]
    length_kind: np.dtype[np.generic] | None = None


class Element(NamedTuple):
    """A table: its name, its number of rows, and its columns."""

    name: str
    size: int
    properties: tuple[Property, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(each.name for each in self.properties)

    @property
    def row(self) -> np.dtype[np.void] | None:
        """The type of a row; None where a column holds lists, as those of faces do."""
        if any(each.length_kind is not None for each in self.properties):
            return None
        return np.dtype([(each.name, each.kind) for each in self.properties])


class Header(NamedTuple):
    """A PLY's header: the format of its data (ORDERS), its elements and comments, and the offset of the data."""

    form: str
    elements: list[Element]
    comments: list[str]
    offset: int


def parse(data: bytes) -> Header:
    """The header at the beginning of a file, `data`, with the line ends of any system. Raises Damaged."""
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)", data[:LONGEST_HEADER])
    if not data.startswith(b"ply") or not end:
        raise Damaged("is no PLY file, or its header is cut off")
    lines = [line.split() for line in data[: end.start()].decode("ascii", "replace").splitlines()]
    form = next((line[1] for line in lines if len(line) > 1 and line[0] == "format"), "unknown")
    if form not in ORDERS:
        raise Damaged(f"is a PLY of the format {form!r:.40}, which is not known here")
    elements: list[Element] = []
    with bounded.as_damage("has a PLY header that cannot be understood; export it again"):
        for line in lines:
            if line[:1] == ["element"]:
                elements.append(_element(line))
            elif line[:1] == ["property"]:
                element = elements[-1]
                elements[-1] = element._replace(properties=(*element.properties, _property(line, ORDERS[form])))
        if any(len(set(element.names)) < len(element.names) for element in elements):
            raise ValueError("two columns of one name")
    comments = [" ".join(line[1:]) for line in lines if line[:1] == ["comment"]]
    return Header(form, elements, comments, end.end())


def _element(line: list[str]) -> Element:
    """The element that a header's line declares, without properties yet. Raises ValueError."""
    _, name, size = line
    if int(size) < 0:
        raise ValueError("a negative number of rows")
    return Element(name, int(size))


def _property(line: list[str], order: str) -> Property:
    """The property that a header's line declares. `order` is the byte order (ORDERS)."""
    if line[1] == "list":
        _, _, length_kind, kind, name = line
        return Property(name, np.dtype(order + TYPES[kind]), np.dtype(order + TYPES[length_kind]))
    _, kind, name = line
    return Property(name, np.dtype(order + TYPES[kind]))


def tables(path: Path, header: Header, names: Sequence[str]) -> list[Array]:
    """The rows of the elements `names`: memory maps of a binary file, or doubles from a text. Raises Damaged."""
    if header.form == TEXT:
        return _text_tables(path, header, names)
    size = path.stat().st_size
    offset = header.offset
    rows: dict[str, Array] = {}
    for element in header.elements:
        if set(names) <= set(rows):
            break
        row = element.row
        if row is None:
            offset = _after_lists(path, element, offset)
        else:
            if element.name in names:
                rows[element.name] = _mapped(path, element, row, offset, size)
            offset += element.size * row.itemsize
    return [rows[name] for name in names]


def _mapped(path: Path, element: Element, row: np.dtype[np.void], offset: int, size: int) -> Array:
    """(element.size,) rows, a memory map from `offset` on. Raises Damaged where a file of `size` bytes is too short."""
    if not element.size:
        return np.empty(0, row)
    if not row.itemsize:
        raise Damaged(f"has rows without columns ({element.name})")
    if offset + element.size * row.itemsize > size:
        whole = max(0, (size - offset) // row.itemsize)
        raise Damaged(f"is cut off: {whole:,} of its {element.size:,} rows are there; get it again")
    return np.memmap(path, row, "r", offset, (element.size,))


def _after_lists(path: Path, element: Element, offset: int) -> int:
    """The offset at which the data of an element with lists end.

    In most meshes all lists are as long as the first one; these are skipped at once.
    """
    if not element.size:
        return offset
    data = np.memmap(path, np.uint8, "r")
    row = _row_of_lists(data, element, offset)
    end = offset + element.size * row.itemsize
    if end <= len(data):
        rows = data[offset:end].view(row)
        lengths = [name for name in row.names or () if name.startswith("length ")]
        if all((rows[name] == rows[name][0]).all() for name in lengths):
            return end
    for _ in range(element.size):
        offset += _row_of_lists(data, element, offset).itemsize
    return offset


def _row_of_lists(data: Array, element: Element, offset: int) -> np.dtype[np.void]:
    """The type of the row at `offset`: each list is a field with its length, and an array of that length."""
    fields: list[tuple[str, npt.DTypeLike, int]] = []
    end = offset
    for each in element.properties:
        count = 1
        if each.length_kind is not None:
            stored = data[end : end + each.length_kind.itemsize]
            count = int(stored.view(each.length_kind)[0]) if len(stored) == each.length_kind.itemsize else -1
            fields.append((f"length {each.name}", each.length_kind, 1))
            end += each.length_kind.itemsize
        end += count * each.kind.itemsize
        if count < 0 or end > len(data):
            raise Damaged(f"is cut off within its lists ({element.name}); get it again")
        fields.append((each.name, each.kind, count))
    return np.dtype([(name, kind, (count,)) for name, kind, count in fields])


def _text_tables(path: Path, header: Header, names: Sequence[str]) -> list[Array]:
    """As `tables`, of a PLY whose numbers are text."""
    rows: dict[str, Array] = {}
    size = path.stat().st_size
    with path.open(encoding="ascii", errors="replace") as file:  # splits lines at the line ends of any system
        file.seek(header.offset)
        lines = (line for line in file if not line.isspace())
        for element in header.elements:
            if set(names) <= set(rows):
                break
            if element.name in names:
                rows[element.name] = _text_rows(lines, element, size)
            else:
                next(islice(lines, element.size, element.size), None)
    return [rows[name] for name in names]


def _text_rows(lines: Iterator[str], element: Element, size: int) -> Array:
    """(element.size,) rows of doubles, one from each line. Raises Damaged."""
    width = len(element.properties)
    if element.row is None or not width:
        raise Damaged(f"has rows that cannot be read ({element.name})")
    bounded.check(8 * element.size * width, size)
    matrix = np.empty((element.size, width))
    for start in range(0, element.size, ROWS):
        block = list(islice(lines, min(ROWS, element.size - start)))
        with bounded.as_damage("has rows of text that are no numbers; export it again"):
            numbers = np.array(" ".join(block).split(), np.float64)
        if len(numbers) != width * min(ROWS, element.size - start):
            whole = start + min(len(numbers) // width, len(block))
            raise Damaged(f"is cut off: {whole:,} of its {element.size:,} rows are there; get it again")
        matrix[start : start + len(block)] = numbers.reshape(-1, width)
    doubles = np.dtype([(name, "f8") for name in element.names])
    return matrix.view(doubles)[:, 0] if len(matrix) else np.empty(0, doubles)


def columns(rows: Array, names: Sequence[str], kind: npt.DTypeLike = np.float32) -> Array:
    """(N, len(names)) the columns `names` as numbers of the type `kind`."""
    picked = np.empty((len(rows), len(names)), kind)
    rows = rows.view(np.ndarray)  # a memory-mapped array takes longer to be cut into parts
    kinds = rows.dtype
    if kinds == np.dtype([(name, "<f4") for name in kinds.names or ()]):  # nearly always: the rows are one matrix
        matrix = rows.view("<f4").reshape(len(rows), len(kinds.names or ()))
        indices = [(kinds.names or ()).index(name) for name in names]
        for start in range(0, len(rows), ROWS):
            picked[start : start + ROWS] = matrix[start : start + ROWS].take(indices, axis=1)
        return picked
    for start in range(0, len(rows), ROWS):
        part = rows[start : start + ROWS]
        for column, name in enumerate(names):
            picked[start : start + ROWS, column] = part[name]
    return picked
