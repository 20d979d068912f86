"""[S] Points of PLY files, with `splat_files.ply_tables`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...splat_files import ply_tables
from .solve import Points, points

COLOR = ("red", "green", "blue")
DIFFUSE = ("diffuse_red", "diffuse_green", "diffuse_blue")


def read(path: Path) -> Points | None:
    """The vertices of a PLY, with their colours (0 to 255) if it has any; None where there are 0 of them.

    Raises Damaged where no element `vertex` has x, y and z.
    """
    with bounded.open_regular(path) as file:
        header = ply_tables.parse(file.read(ply_tables.LONGEST_HEADER))
    vertices = next((element for element in header.elements if element.name == "vertex"), None)
    if vertices is None or not set(ply_tables.MEAN) <= set(vertices.names):
        raise Damaged("has no points: no element vertex with x, y and z")
    (rows,) = ply_tables.tables(path, header, ("vertex",))
    names = next((each for each in (COLOR, DIFFUSE) if set(each) <= set(vertices.names)), None)
    colors = None
    if names is not None:
        kinds = {each.kind for each in vertices.properties if each.name in names}
        kind = next(each.kind for each in vertices.properties if each.name == names[0])
        colors = ply_tables.columns(rows, names, np.uint8 if kinds == {np.dtype("u1")} else np.float32)
        if kind.kind == "f":  # fractions of 1
            colors = colors * 255
        elif kind.itemsize == 2:
            colors = colors / 257
    return points(ply_tables.columns(rows, ply_tables.MEAN, np.float64), colors)
