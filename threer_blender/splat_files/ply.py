"""[S] PLY files of splats: the release's of Kerbl et al. 2023 (3DGS), and PlayCanvas' compressed ones.

Only here: scales as logarithms, opacities as logits, quaternions wxyz, harmonics with the channel varying slowest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..model.reconstruction import Gaussians
from . import ply_compressed, ply_tables, splatt3r
from .ply_tables import CONSTANT, MEAN, OPACITY, ROTATION, SCALE, columns
from .reading import COEFFICIENTS, Damaged, Reading, SplatFile, exponential, gaussians, harmonics, logit, sigmoid

NEEDED = (*MEAN, *CONSTANT, *OPACITY, *SCALE, *ROTATION)


def read(path: Path, how: Reading) -> SplatFile:
    """The splats of a binary PLY; columns that splats do not need are ignored, and so are normals."""
    with path.open("rb") as file:
        elements, offset = ply_tables.parse(file.read(ply_tables.LONGEST))
    vertices = next((element for element in elements if element.name == "vertex"), None)
    if ply_compressed.is_compressed(elements):
        return SplatFile(ply_compressed.read(path, elements, offset), notes=[])
    if vertices is None or not set(NEEDED) <= set(vertices.names):
        raise _not_splats(elements)
    (rows,) = ply_tables.tables(path, [vertices], offset + _before(elements, vertices))
    if splatt3r.made(rows):
        return splatt3r.read(rows, path.name, how.repair_splatt3r)
    return SplatFile(
        gaussians(
            columns(rows, MEAN),
            exponential(columns(rows, SCALE)),
            columns(rows, ROTATION),
            sigmoid(columns(rows, OPACITY)[:, 0]),
            harmonics(columns(rows, CONSTANT), columns(rows, rest_names(vertices.names))),
        ),
        notes=[],
    )


def _not_splats(elements: list[ply_tables.Element]) -> Damaged:
    names = {name for element in elements for name in element.names}
    missing = ", ".join(name for name in NEEDED if name not in names)
    if any(element.name == "face" and element.size for element in elements):
        return Damaged("holds a mesh, no splats; use File > Import > Stanford PLY")
    if not names & {*SCALE, *ROTATION}:
        return Damaged("holds plain points, no splats; use File > Import > Stanford PLY")
    return Damaged(f"lacks {missing}, without which splats cannot be shown; export it again")


def _before(elements: list[ply_tables.Element], vertices: ply_tables.Element) -> int:
    """Bytes of the elements that come first."""
    sizes = 0
    for element in elements[: elements.index(vertices)]:
        if element.row is None:
            raise Damaged(f"has lists ({element.name}) before its splats, which cannot be read")
        sizes += element.size * element.row.itemsize
    return sizes


def rest_names(names: Sequence[str]) -> list[str]:
    """The columns of harmonics above the constant, in their order."""
    count = sum(name.startswith("f_rest_") for name in names)
    rest = [f"f_rest_{index}" for index in range(count)]
    if count not in [3 * (k - 1) for k in COEFFICIENTS] or not set(rest) <= set(names):
        raise Damaged(f"has {count} columns f_rest_ of spherical harmonics; 0, 9, 24 or 45 belong there")
    return rest


def write(gaussians: Gaussians, path: Path) -> None:
    """A binary PLY as the release writes it; normals, which it leaves at zero, included."""
    coefficients = gaussians.sh.shape[1]
    rest = [f"f_rest_{index}" for index in range(3 * (coefficients - 1))]
    names = [*MEAN, "nx", "ny", "nz", *CONSTANT, *rest, *OPACITY, *SCALE, *ROTATION]
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(gaussians)}"]
    head += [*(f"property float {name}" for name in names), "end_header", ""]
    with path.open("wb") as file:
        file.write("\n".join(head).encode())
        for start in range(0, len(gaussians), ply_tables.ROWS):
            part = slice(start, start + ply_tables.ROWS)
            sh = gaussians.sh[part]
            with np.errstate(divide="ignore"):
                scales = np.log(gaussians.scales[part])
            blocks = [
                gaussians.means[part],
                np.zeros_like(gaussians.means[part]),
                sh[:, 0],
                sh[:, 1:].swapaxes(1, 2).reshape(len(sh), -1),
                logit(gaussians.opacities[part])[:, None],
                scales,
                gaussians.rotations[part],
            ]
            file.write(np.concatenate(blocks, axis=1).astype("<f4").tobytes())
