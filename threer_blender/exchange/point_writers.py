"""[S] Points for other programs: binary PLY, and LAS 1.2 with colours (ASPRS, point data record format 2)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..model.errors import UserError
from ..model.reconstruction import PointCloud
from .content import Content

PLY, LAS = "points.ply", "points.las"
VERTEX = np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("color", "u1", 3)])
LAS_POINT = np.dtype(
    [("position", "<i4", 3), ("intensity", "<u2"), ("flags", "u1"), ("class", "u1"), ("angle", "i1"), ("user", "u1")]
    + [("source", "<u2"), ("color", "<u2", 3)]
)
LAS_HEADER = 227  # bytes
STEPS = 2e9  # LAS stores a coordinate as a number of steps, at most so many


def write_ply(cloud: PointCloud, path: Path) -> None:
    """Writes points as binary PLY with positions, normals and colours."""
    rows = np.empty(len(cloud), VERTEX)
    rows["position"], rows["normal"], rows["color"] = cloud.positions, cloud.normals, cloud.colors
    names = [("float", name) for name in ("x", "y", "z", "nx", "ny", "nz")]
    names += [("uchar", name) for name in ("red", "green", "blue")]
    properties = "".join(f"property {kind} {name}\n" for kind, name in names)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{properties}end_header\n"
    path.write_bytes(header.encode("ascii") + rows.tobytes())


def write_las(cloud: PointCloud, path: Path) -> None:
    """Writes points, of which there must be one or more, as LAS 1.2.

    The step of its coordinates is the smallest power of ten that the extent allows.
    """
    positions = cloud.positions.astype(np.float64)
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = max(float((high - low).max()), 1e-6)
    step = 10.0 ** np.ceil(np.log10(extent / STEPS))
    rows = np.zeros(len(cloud), LAS_POINT)
    rows["position"] = np.rint((positions - low) / step)
    rows["flags"] = 0b1001  # the first return of one
    rows["color"] = cloud.colors.astype(np.uint16) * 257
    header = bytearray(LAS_HEADER)  # the fields' places: ASPRS LAS 1.2, section "Public header block"
    header[:4], header[24:26] = b"LASF", bytes((1, 2))
    header[58:73] = b"threer_blender "
    struct.pack_into("<HII", header, 94, LAS_HEADER, LAS_HEADER, 0)  # its size, where points begin, no records
    struct.pack_into("<BHII", header, 104, 2, LAS_POINT.itemsize, len(rows), len(rows))  # format 2; all, first returns
    struct.pack_into("<6d", header, 131, step, step, step, *low)
    struct.pack_into("<6d", header, 179, *np.stack([high, low], axis=1).ravel())
    path.write_bytes(bytes(header) + rows.tobytes())


def ply(content: Content, folder: Path) -> list[str]:
    """Writes the points into `folder` as PLY. Raises UserError where there are none."""
    write_ply(_points(content), folder / PLY)
    return []


def las(content: Content, folder: Path) -> list[str]:
    """Writes the points into `folder` as LAS. Raises UserError where there are none."""
    write_las(_points(content), folder / LAS)
    return []


def _points(content: Content) -> PointCloud:
    """The points to write. Raises UserError where there are none."""
    if content.cloud is None or not len(content.cloud):
        raise UserError("This result has no points to export.")
    return content.cloud
