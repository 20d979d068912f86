"""[S] PLY files of splats: those of Kerbl et al. 2023 (3DGS), their relatives, and PlayCanvas' compressed ones.

They store scales as logarithms, opacities as logits, and quaternions as wxyz. Columns of harmonics are sorted by
channel, then by coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files.bounded import Damaged
from ..model.arrays import Array, FloatArray
from ..model.directions import UP_IS_MINUS_Y
from ..model.errors import quoted
from ..model.reconstruction import Gaussians
from . import ply_compressed, ply_tables, splatt3r
from .ply_tables import CONSTANT, MEAN, OPACITY, ROTATION, SCALE, Element, columns
from .reading import (
    FLAT_THICKNESS,
    Reading,
    SplatFile,
    check_count,
    constant_from_color,
    gaussians,
    harmonics,
    logit,
    notes_on_degree,
    relative,
    sigmoid,
    stored_degree,
)

COLORS = (("red", "green", "blue"), ("r", "g", "b"))  # names of the columns of plain colours
# Mip-splatting's column: the standard deviation of a blur that scales and opacities do not yet contain.
FILTER = ("filter_3D",)
NEEDED = (*MEAN, *SCALE[:2], *ROTATION, *OPACITY)
# The beginnings, in small letters, of comments with facts about the splats.
VERTICAL = "vertical axis:"  # nerfstudio and Brush: the axis that is vertical
MODE = "splatrendermode:"  # Brush: "mip" where the splats were trained with antialiasing
POSTSHOT = "antialiased "  # Postshot: "1" where they were
UPS = {"x": (1.0, 0.0, 0.0), "y": UP_IS_MINUS_Y, "z": (0.0, 0.0, 1.0)}  # nerfstudio's z points up, Brush's y down
OURS = "Exported by 3R Blender"  # the comment in the files that we write
LARGEST_ROUNDING = 0.05  # times the median scale of splats: where floats would round positions by more, write doubles
FEW = 16  # in fewer splats, all logits might lie between 0 and 1 by chance


class _Comments(NamedTuple):
    """The facts in a header's comments: `up` and `antialiased` as in SplatFile, `ours` where we wrote the file."""

    up: tuple[float, float, float]
    antialiased: bool
    ours: bool


def recognises(head: bytes, _size: int) -> bool:
    """Whether `head` begins with PLY's magic number."""
    return head.startswith((b"ply\n", b"ply\r"))


def read(path: Path, how: Reading) -> SplatFile:
    """The splats of a PLY. Normals and columns that splats do not need are ignored. Raises OSError and Damaged."""
    with path.open("rb") as file:
        header = ply_tables.parse(file.read(ply_tables.LONGEST_HEADER))
    declared = _comments(header.comments)
    if ply_compressed.is_compressed(header.elements):
        splats, notes = ply_compressed.read(path, header)
        return SplatFile(splats, notes, up=declared.up, antialiased=declared.antialiased)
    vertices = next((element for element in header.elements if element.name == "vertex"), None)
    if vertices is None or not set(NEEDED) <= set(vertices.names) or _color_columns(vertices) is None:
        raise _not_splats(header.elements)
    if vertices.row is None:
        raise Damaged("has lists among the columns of its splats, which cannot be read; export it again")
    degree = stored_degree(1 + len(rest_names(vertices.names)) // 3)
    check_count(vertices.size, degree, path.stat().st_size)
    (rows,) = ply_tables.tables(path, header, ["vertex"])
    notes = notes_on_degree(degree, path.name)
    if {*SCALE, *CONSTANT} <= set(vertices.names) and splatt3r.recognises(rows):
        splats, more = splatt3r.read(rows, path.name, how.repair_splatt3r)
        return SplatFile(splats, more)
    means, origin = relative(columns(rows, MEAN, np.float64 if rows.dtype["x"].itemsize == 8 else np.float32))
    scales, opacities = _sizes(rows, path.name, notes), _opacities(rows, path.name, declared.ours, notes)
    if FILTER[0] in vertices.names:
        scales, opacities = _filtered(scales, opacities, columns(rows, FILTER))
    sh = harmonics(_constant(rows, vertices), columns(rows, rest_names(vertices.names)))
    splats = gaussians(means, scales, columns(rows, ROTATION), opacities, sh)
    return SplatFile(splats, notes, origin, declared.up, declared.antialiased)


def _comments(lines: list[str]) -> _Comments:
    """The facts in the comments of a header, in any order."""
    up, antialiased = UP_IS_MINUS_Y, False
    for line in map(str.lower, lines):
        value = line.partition(":")[2].strip()
        if line.startswith(VERTICAL):
            up = UPS.get(value) or _direction(value) or up
        elif line.startswith(MODE):
            antialiased = value == "mip"
        elif line.startswith(POSTSHOT):
            antialiased = line.removeprefix(POSTSHOT).strip() == "1"
    return _Comments(up, antialiased, OURS in lines)


def _direction(text: str) -> tuple[float, float, float] | None:
    """The unit vector along three numbers in a text; None where they have no direction."""
    try:
        x, y, z = map(float, text.replace(",", " ").split())
    except ValueError:
        return None
    length = float(np.linalg.norm((x, y, z)))
    return (x / length, y / length, z / length) if 0 < length < np.inf else None


def _sizes(rows: Array, name: str, notes: list[str]) -> Array:
    """(N, 3) standard deviations. Flat splats get a third one, and a note is added to `notes`."""
    if SCALE[2] in (rows.dtype.names or ()):
        return np.exp(columns(rows, SCALE))
    notes.append(f"{quoted(name)} holds flat splats (2DGS); they were given a thickness of {FLAT_THICKNESS:g}.")
    return np.concatenate(
        [np.exp(columns(rows, SCALE[:2])), np.full((len(rows), 1), FLAT_THICKNESS, np.float32)], axis=1
    )


def _opacities(rows: Array, name: str, ours: bool, notes: list[str]) -> Array:
    """(N,) opacities from logits; or as stored, with a note, where no trained splats have such logits."""
    stored = columns(rows, OPACITY)[:, 0]
    if ours or len(stored) < FEW or not ((stored >= 0) & (stored <= 1)).all() or not stored.any():
        return sigmoid(stored)
    notes.append(
        f"The opacities in {quoted(name)} all lie between 0 and 1; they were taken as they are, not as logits."
    )
    return stored


def _filtered(scales: Array, opacities: Array, filter_size: Array) -> tuple[Array, Array]:
    """Scales (N, 3) and opacities (N,) with mip-splatting's 3D filter applied (Yu et al. 2024, section 4.1)."""
    squares, blurred = scales**2, scales**2 + filter_size**2
    remaining = np.prod(squares / np.where(blurred > 0, blurred, 1), axis=1)
    return np.sqrt(blurred), opacities * np.sqrt(remaining)


def _color_columns(vertices: Element) -> Sequence[str] | None:
    """The names of the three columns with the colours; None where there are none."""
    return next((names for names in (CONSTANT, *COLORS) if set(names) <= set(vertices.names)), None)


def _constant(rows: Array, vertices: Element) -> Array:
    """(N, 3) the constant coefficients, from their own columns, or from colours as whole numbers or fractions of 1."""
    names = _color_columns(vertices)
    assert names is not None
    values = columns(rows, names)
    if names == CONSTANT:
        return values
    kind = next(each.kind for each in vertices.properties if each.name == names[0])
    most = 2.0 ** (8 * kind.itemsize) - 1 if kind.kind == "u" else 255.0 if (values > 1).any() else 1.0
    return constant_from_color(values / most)


def _not_splats(elements: list[Element]) -> Damaged:
    """The error that says what a PLY holds or lacks whose columns are not those of splats."""
    names = {name for element in elements for name in element.names}
    missing = ", ".join(name for name in (*MEAN, *CONSTANT, *OPACITY, *SCALE, *ROTATION) if name not in names)
    if any(element.name == "face" and element.size for element in elements):
        return Damaged("holds a mesh, no splats; use File > Import > Stanford PLY")
    if not names & {*SCALE, *ROTATION}:
        return Damaged("holds plain points, no splats; use File > Import > Stanford PLY")
    return Damaged(f"lacks {missing}, without which splats cannot be shown; export it again")


def rest_names(names: Sequence[str]) -> list[str]:
    """The names of the columns of harmonics above the constant, in order. Raises Damaged where some are missing."""
    count = sum(name.startswith("f_rest_") for name in names)
    rest = [f"f_rest_{index}" for index in range(count)]
    if count % 3 or not set(rest) <= set(names):
        raise Damaged(f"has {count} columns f_rest_ of spherical harmonics; 0, 9, 24, 45 or 72 belong there")
    stored_degree(1 + count // 3)
    return rest


def write(gaussians: Gaussians, path: Path, origin: FloatArray, antialiased: bool) -> None:
    """Writes a binary PLY as the release of 3DGS does, with normals of zero. `origin` is added to the means.

    Positions are doubles where they are too far from zero for floats. Raises OSError.
    """
    coefficients = gaussians.sh.shape[1]
    rest = [f"f_rest_{index}" for index in range(3 * (coefficients - 1))]
    names = ["nx", "ny", "nz", *CONSTANT, *rest, *OPACITY, *SCALE, *ROTATION]
    means = gaussians.means.astype(np.float64) + origin
    rounding = np.spacing(np.abs(means).max(initial=0).astype(np.float32))
    doubles = bool(len(means) and rounding > LARGEST_ROUNDING * np.median(gaussians.scales))
    row = np.dtype([("mean", "<f8" if doubles else "<f4", 3), ("rest", "<f4", len(names))])
    head = ["ply", "format binary_little_endian 1.0", f"comment {OURS}"]
    head += ["comment SplatRenderMode: mip"] if antialiased else []
    head += [f"element vertex {len(gaussians)}"]
    head += [f"property {'double' if doubles else 'float'} {name}" for name in MEAN]
    head += [*(f"property float {name}" for name in names), "end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(head).encode())
        for start in range(0, len(gaussians), ply_tables.ROWS):
            part = slice(start, start + ply_tables.ROWS)
            sh = gaussians.sh[part]
            with np.errstate(divide="ignore"):
                scales = np.log(gaussians.scales[part])
            blocks = [
                np.zeros_like(gaussians.means[part]),
                sh[:, 0],
                sh[:, 1:].swapaxes(1, 2).reshape(len(sh), -1),
                logit(gaussians.opacities[part])[:, None],
                scales,
                gaussians.rotations[part],
            ]
            rows = np.empty(len(sh), row)
            rows["mean"], rows["rest"] = means[part], np.concatenate(blocks, axis=1)
            file.write(rows.tobytes())
