"""[S] .ksplat (github.com/mkkellogg/GaussianSplats3D, `SplatBuffer`): sections of splats in spatial buckets."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..model.reconstruction import Array
from .reading import COEFFICIENTS, Damaged, Reading, SplatFile, constant_from_color, gaussians

HEADER, SECTION_HEADER = 4096, 1024
# By compression level: types of position, scale and rotation, and of harmonics; the range of stored positions.
LEVELS = (("<f4", "<f4", "<f4", 1), ("<u2", "<f2", "<f2", 32767), ("<u2", "<f2", "u1", 32767))


class _Section(NamedTuple):
    """A section's header: numbers of splats and buckets, the buckets' size, and where its data lies."""

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


def read(path: Path, _how: Reading) -> SplatFile:
    """All sections; opacities and colours are bytes, scales linear, quaternions wxyz."""
    data = path.read_bytes()
    if len(data) < HEADER:
        raise Damaged("is cut off or no .ksplat: it has no whole header; get it again")
    major, minor, capacity, _, _, count, level = struct.unpack_from("<BBxxIIIIH", data)
    low, high = struct.unpack_from("<ff", data, 36)
    if (major, minor) != (0, 1) or level >= len(LEVELS):
        raise Damaged(f"is a .ksplat of version {major}.{minor}, level {level}, which is not known here")
    offset = HEADER + capacity * SECTION_HEADER
    parts = []
    try:
        for index in range(capacity):
            section = _section(data, HEADER + index * SECTION_HEADER, LEVELS[level][3])
            parts.append(_splats(data, offset, section, level, (low or -1.5, high or 1.5)))
            row = _row(level, section.degree).itemsize
            offset += section.bucket_bytes * section.buckets + 4 * section.partial + row * section.capacity
    except (ValueError, struct.error) as error:
        raise Damaged(f"is cut off: it holds fewer than its {count:,} splats; get it again") from error
    coefficients = max(part[4].shape[1] for part in parts)
    padded = [(*part[:4], np.pad(part[4], ((0, 0), (0, coefficients - part[4].shape[1]), (0, 0)))) for part in parts]
    return SplatFile(gaussians(*(np.concatenate(arrays) for arrays in zip(*padded, strict=True))), notes=[])


def _section(data: bytes, offset: int, usual_range: int) -> _Section:
    splats, capacity, bucket_splats, buckets, block, bucket_bytes, stored_range, full, partial, degree = (
        struct.unpack_from("<IIIIfHxxI4xIIH", data, offset)
    )
    if degree >= len(COEFFICIENTS):
        raise Damaged(f"has spherical harmonics of degree {degree}; at most {len(COEFFICIENTS) - 1} can be read")
    return _Section(
        splats,
        capacity,
        bucket_splats,
        buckets,
        block,
        bucket_bytes,
        stored_range or usual_range,
        full,
        partial,
        degree,
    )


def _row(level: int, degree: int) -> np.dtype[np.void]:
    position, other, harmonics, _ = LEVELS[level]
    rest = 3 * (COEFFICIENTS[degree] - 1)
    fields = [("mean", position, 3), ("scale", other, 3), ("rotation", other, 4), ("rgba", "u1", 4)]
    return np.dtype([*fields, ("rest", harmonics, (rest,))])


def _splats(data: bytes, offset: int, section: _Section, level: int, bounds: tuple[float, float]) -> tuple[Array, ...]:
    """Means, scales, rotations, opacities and harmonics of one section."""
    partial = np.frombuffer(data, "<u4", section.partial, offset)
    offset += 4 * section.partial
    centres = np.frombuffer(data, "<f4", 3 * section.buckets, offset).reshape(-1, 3)
    offset += section.bucket_bytes * section.buckets
    rows = np.frombuffer(data, _row(level, section.degree), section.splats, offset)
    means = rows["mean"].astype(np.float32)
    if level:
        sizes = np.concatenate([np.full(section.full, section.bucket_splats), partial])
        bucket = np.repeat(np.arange(len(sizes)), sizes)[: section.splats]
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
    arrays = (means, rows["scale"].astype(np.float32), rows["rotation"].astype(np.float32), rgba[:, 3])
    return *arrays, np.concatenate(sh, axis=1)
