"""[S] Files of points: PLY (with `splat_files.ply_tables`) and LAS (ASPRS LAS 1.0 to 1.4, not compressed).

LAZ and E57 need libraries that the extension does not carry. They are refused with a sentence that says what to do.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...splat_files import ply_tables
from .solve import Points, points

COLOR = ("red", "green", "blue")
DIFFUSE = ("diffuse_red", "diffuse_green", "diffuse_blue")
LAS = b"LASF"
E57 = b"ASTM-E57"
COMPRESSED = 0x80  # the bit in the number of the points' format that LAZ sets
# The number of a point's format -> where its colour begins, three 16-bit numbers: ASPRS LAS 1.4, tables 7 to 17.
LAS_COLORS = {2: 20, 3: 28, 5: 28, 7: 30, 8: 30, 10: 30}
LAS_SIZES = {0: 20, 1: 28, 2: 26, 3: 34, 4: 57, 5: 63, 6: 30, 7: 36, 8: 38, 9: 59, 10: 67}


def read_ply(path: Path) -> Points | None:
    """The vertices of a PLY, with their colours if it has any; None where it has no points. Raises Damaged."""
    with bounded.open_regular(path) as file:
        header = ply_tables.parse(file.read(ply_tables.LONGEST))
    vertices = next((element for element in header.elements if element.name == "vertex"), None)
    if vertices is None or not set(ply_tables.MEAN) <= set(vertices.names):
        raise Damaged("has no points: no element vertex with x, y and z")
    (rows,) = ply_tables.tables(path, header, ("vertex",))
    names = next((each for each in (COLOR, DIFFUSE) if set(each) <= set(vertices.names)), None)
    colors = None
    if names is not None:
        colors = ply_tables.columns(rows, names, np.float32)
        kind = next(each.kind for each in vertices.properties if each.name == names[0])
        if kind.kind == "f":  # fractions of 1
            colors = colors * 255
        elif kind.itemsize == 2:
            colors = colors / 257
    return points(ply_tables.columns(rows, ply_tables.MEAN, np.float64), colors)


def read_las(path: Path) -> Points | None:
    """The points of a LAS file, in the file's own units; None where it has no points. Raises Damaged."""
    with bounded.open_regular(path) as file:
        header = file.read(375)
    if len(header) < 227:
        raise Damaged("is cut off: it ends within its header; get it again")
    major, minor = header[24], header[25]
    (begin,) = struct.unpack_from("<I", header, 96)
    number, size = struct.unpack_from("<BH", header, 104)
    if number & COMPRESSED:
        raise Damaged("is compressed (LAZ), which is not read here; save it as LAS, or as PLY")
    if (major, minor) >= (1, 4) and len(header) >= 255:
        (count,) = struct.unpack_from("<Q", header, 247)
    else:
        (count,) = struct.unpack_from("<I", header, 107)
    if number not in LAS_SIZES or size < LAS_SIZES[number]:
        raise Damaged(f"has points of the format {number}, which LAS does not have; export it again")
    length = path.stat().st_size
    if begin + count * size > length:
        whole = max(0, (length - begin) // size)
        raise Damaged(f"is cut off: {whole:,} of its {count:,} points are there; get it again")
    if not count:
        return None
    rows = np.memmap(path, np.uint8, "r", begin, (count, size))
    scale, offset = struct.unpack_from("<3d", header, 131), struct.unpack_from("<3d", header, 155)
    raw = np.ascontiguousarray(rows[:, :12]).view("<i4").astype(np.float64)
    positions = raw * scale + offset
    colors = None
    if number in LAS_COLORS:
        place = LAS_COLORS[number]
        deep = np.ascontiguousarray(rows[:, place : place + 6]).view("<u2")
        colors = (deep >> 8 if deep.max() > 255 else deep).astype(np.uint8)  # some programs write 8 bits
    return points(positions, colors)
