"""[S] .ksplat (github.com/mkkellogg/GaussianSplats3D, `SplatBuffer`): sections of splats in spatial buckets."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import COEFFICIENTS, MAX_DEGREE
from .checks import joined
from .reading import Reading, SplatFile, check_count, constant_from_color, gaussians

HEADER, SECTION_HEADER = 4096, 1024  # bytes
VERSION = (0, 1)
USUAL_BOUNDS = (-1.5, 1.5)  # the least and largest harmonics of a header that has zeros there


class _Level(NamedTuple):
    """A compression level: the types of positions, of scales and rotations, and of harmonics; the usual `range`."""

    position: str
    other: str
    harmonics: str
    range: int


LEVELS = (_Level("<f4", "<f4", "<f4", 1), _Level("<u2", "<f2", "<f2", 32767), _Level("<u2", "<f2", "u1", 32767))


class _Header(NamedTuple):
    """The file's header: version, numbers of sections and splats, compression level, least and largest harmonics."""

    major: int
    minor: int
    sections: int
    splats: int
    level: int
    bounds: tuple[float, float]


class _Section(NamedTuple):
    """A section's header.

    It holds `splats`, and has room for `capacity`. A full bucket holds `bucket_splats`; there are `buckets` buckets,
    `full` and `partial` ones. `block` is the side of a bucket in world units, `bucket_bytes` the size of its centre in
    the file. Stored positions run from 0 to 2 × `range` along that side. `degree` is that of harmonics.
    """

    splats: int
    capacity: int
    bucket_splats: int
    buckets: int
    block: float
    bucket_bytes: int
    range: int
    full: int
    partial: int
    degree: int


def recognises(head: bytes, size: int) -> bool:
    """Whether `head` is a header of a known version, and the file long enough for its sections."""
    if len(head) < HEADER:
        return False
    header = _header(head)
    known = (header.major, header.minor) == VERSION and header.level < len(LEVELS)
    return known and header.sections > 0 and HEADER + header.sections * SECTION_HEADER <= size


def read(path: Path, _how: Reading) -> SplatFile:
    """The splats of all sections. Raises OSError, and Damaged where the file makes no sense.

    Opacities and colours are stored as bytes, scales as they are, and quaternions as wxyz.
    """
    data = bounded.content(path)
    if len(data) < HEADER:
        raise Damaged("is cut off or no .ksplat: it has no whole header; get it again")
    header = _header(data)
    level = header.level
    if (header.major, header.minor) != VERSION or level >= len(LEVELS):
        raise Damaged(f"is a .ksplat of version {header.major}.{header.minor}, level {level}, which is not known here")
    offset = HEADER + header.sections * SECTION_HEADER
    parts: list[Gaussians] = []
    with bounded.as_damage(f"is cut off: it holds fewer than its {header.splats:,} splats; get it again"):
        sections = [_section(data, HEADER + i * SECTION_HEADER, LEVELS[level].range) for i in range(header.sections)]
        check_count(sum(s.splats for s in sections), max((s.degree for s in sections), default=0), len(data))
        for section in sections:
            parts.append(_splats(data, offset, section, level, header.bounds))
            row = _row(level, section.degree).itemsize
            offset += section.bucket_bytes * section.buckets + 4 * section.partial + row * section.capacity
    if not parts:
        raise Damaged("holds no splats")
    return SplatFile(joined(parts), notes=[])


def _header(data: bytes) -> _Header:
    """The file's header, with the usual bounds of harmonics in place of zeros."""
    major, minor, sections, _, _, splats, level = struct.unpack_from("<BBxxIIIIH", data)
    low, high = struct.unpack_from("<ff", data, 36)
    return _Header(major, minor, sections, splats, level, (low or USUAL_BOUNDS[0], high or USUAL_BOUNDS[1]))


def _section(data: bytes, offset: int, usual_range: int) -> _Section:
    """The section header at `offset`, with the usual range where it has a zero there. Raises Damaged."""
    fields = struct.unpack_from("<IIIIfHxxI4xIIH", data, offset)
    section = _Section(*fields)
    if section.degree > MAX_DEGREE:
        raise Damaged(f"has spherical harmonics of degree {section.degree}; up to {MAX_DEGREE} can be read")
    return section._replace(range=section.range or usual_range)


def _row(level: int, degree: int) -> np.dtype[np.void]:
    """The type of one stored splat; `level` is an index into LEVELS."""
    kinds = LEVELS[level]
    rest = 3 * (COEFFICIENTS[degree] - 1)
    fields = [("mean", kinds.position, 3), ("scale", kinds.other, 3), ("rotation", kinds.other, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("rest", kinds.harmonics, (rest,))])


def _splats(data: bytes, offset: int, section: _Section, level: int, bounds: tuple[float, float]) -> Gaussians:
    """The splats of one section."""
    partial = np.frombuffer(data, "<u4", section.partial, offset)
    offset += 4 * section.partial
    centres = np.frombuffer(data, "<f4", 3 * section.buckets, offset).reshape(-1, 3)
    offset += section.bucket_bytes * section.buckets
    rows = np.frombuffer(data, _row(level, section.degree), section.splats, offset)
    means = rows["mean"].astype(np.float32)
    if level:
        # The full buckets come first; `partial` has the size of each other one.
        ends = section.full * section.bucket_splats + np.cumsum(partial, dtype=np.int64)
        index = np.arange(len(rows))
        bucket = np.where(
            index < section.full * section.bucket_splats,
            index // max(section.bucket_splats, 1),
            section.full + np.searchsorted(ends, index, "right"),
        )
        means = (means - section.range) * (section.block / 2 / section.range) + centres[bucket]
    rgba = rows["rgba"] / np.float32(255)
    rest = rows["rest"].astype(np.float32)
    if level == 2:
        rest = bounds[0] + rest / 255 * (bounds[1] - bounds[0])
    # Within each degree the channels follow one another.
    sh = [constant_from_color(rgba[:, None, :3])]
    for degree in range(1, section.degree + 1):
        first, last = 3 * (COEFFICIENTS[degree - 1] - 1), 3 * (COEFFICIENTS[degree] - 1)
        sh.append(rest[:, first:last].reshape(len(rows), 3, -1).swapaxes(1, 2))
    scales, rotations = (rows[name].astype(np.float32) for name in ("scale", "rotation"))
    return gaussians(means, scales, rotations, rgba[:, 3], np.concatenate(sh, axis=1))
