"""[S] SPZ (github.com/nianticlabs/spz), versions 1 to 4: quantised arrays, compressed by gzip, from 4 on by zstd.

Its axes are x right, y up, z back; those of 3DGS PLY files are x right, y down, z forward. A record of Adobe's in the
file may name others.
"""

from __future__ import annotations

import gzip
import struct
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import bounded
from ..files.bounded import Damaged
from ..model.arrays import Array, FloatArray
from ..model.errors import UserError, quoted
from ..model.gaussian_transform import mirrored, transformed
from ..model.reconstruction import Gaussians
from ..model.spherical_harmonics import degree_of
from .reading import (
    STORED_COEFFICIENTS,
    Codecs,
    Reading,
    SplatFile,
    check_count,
    decoded,
    gaussians,
    notes_on_degree,
    smallest_three,
    wxyz,
)

MAGIC, GZIP = b"NGSP", b"\x1f\x8b"
WRITTEN = 3  # the version that is written, since most programs read it
HEADER = struct.Struct("<4sIIBBBB")
FRAME_SIZES = struct.Struct("<QQ")  # a row of version 4's table: the bytes of a frame, and those of its content
ANTIALIASED, EXTENDED = 1, 2  # bits of the header's flags
COORDINATE_SYSTEM = 0xADBE0003  # the type of Adobe's record of the coordinate system
MOST_RECORDS = 1 << 16  # bytes of records that are read; the known ones take twenty
RECORDS_START = 32  # bytes before the records of version 4
# The directions of the axes x, y, z of each coordinate system, by its number in Adobe's record; 0 is SPZ's usual one.
SYSTEMS = (
    "RUB", "LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF", "LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU",
    "RBU",
)  # fmt: skip
# The first letter of right, left, down, up, forward or back -> that direction, in axes right, down, forward.
DIRECTIONS = {"R": (1, 0, 0), "L": (-1, 0, 0), "D": (0, 1, 0), "U": (0, -1, 0), "F": (0, 0, 1), "B": (0, 0, -1)}
OURS = "RDF"  # the axes of Gaussians
HALF_TURN = np.array((1.0, -1.0, -1.0))  # signs that take axes right, up, back to right, down, forward, and back again
COLOR_SPAN = 0.15  # the byte of a constant coefficient c is 255 (½ + 0.15 c)
HARMONICS_STEP = (0, 8, 16, 16)  # degree -> step of the bytes: 5 bits for the first degree, 4 for the others
GZIP_LEVEL = 6
COARSEST = 0.5  # times the median size of splats: larger steps between stored positions are visible


class _Header(NamedTuple):
    """The first 16 bytes. Positions have `fraction_bits` bits after the point. Version 4 has `streams`."""

    magic: bytes
    version: int
    splats: int
    degree: int
    fraction_bits: int
    flags: int
    streams: int

    def widths(self) -> list[int]:
        """The bytes per splat of positions, opacities, colours, scales, rotations and harmonics."""
        position, rotation = 6 if self.version == 1 else 9, 3 if self.version < 3 else 4
        return [position, 1, 3, 3, rotation, 3 * (STORED_COEFFICIENTS[self.degree] - 1)]


def recognises(head: bytes, _size: int) -> bool:
    """Whether `head` begins with SPZ's magic number, or with gzip's."""
    return head.startswith((MAGIC, GZIP))


def read(path: Path, how: Reading) -> SplatFile:
    """The splats of the file. Raises OSError and Damaged.

    An opacity is stored as a byte, a scale as its logarithm in sixteenths, and a quaternion as xyzw.
    """
    data = bounded.content(path)
    if data.startswith(GZIP):
        content = bounded.Inflation(data)
        header = _header(content.read(HEADER.size), len(data))
        streams = [content.read(width * header.splats) for width in header.widths()]
        records = content.read(MOST_RECORDS)
        if not content.ended and len(records) < MOST_RECORDS:
            raise Damaged("is cut off or damaged; get it again")
    else:
        header = _header(data[: HEADER.size], len(data))
        if header.version < 4:
            ends = HEADER.size + np.cumsum([0, *header.widths()]) * header.splats
            streams = [data[start:end] for start, end in pairwise(ends)]
            records = data[ends[-1] :][:MOST_RECORDS]
        else:
            streams, records = _frames(data, header, how.codecs)
    if any(len(stream) != width * header.splats for stream, width in zip(streams, header.widths(), strict=True)):
        raise Damaged(f"is cut off: it holds fewer than its {header.splats:,} splats; get it again")
    splats = _decoded([np.frombuffer(s, np.uint8).reshape(header.splats, -1) for s in streams if s], header)
    system = _coordinate_system(records) if header.flags & EXTENDED else 0
    notes = notes_on_degree(header.degree, path.name)
    if system >= len(SYSTEMS):
        notes.append(
            f"{quoted(path.name)} has axes of the unknown kind {system}; they were taken for the usual ones, y up."
        )
        system = 0
    axes = SYSTEMS[system] if system or how.spz_is_y_up else OURS
    return SplatFile(
        _right_down_forward(splats, axes),
        notes,
        antialiased=bool(header.flags & ANTIALIASED),
    )


def _header(data: bytes, size: int) -> _Header:
    """The header in `data`, of a file of `size` bytes. Raises Damaged where it makes no sense."""
    if data.startswith(b"ply"):
        raise Damaged("is a PLY that gzip compressed; unpack it first")
    if len(data) < HEADER.size:
        raise Damaged("is cut off or damaged; get it again")
    if not data.startswith(MAGIC):
        raise Damaged("is no SPZ file")
    header = _Header(*HEADER.unpack(data))
    if header.version not in (1, 2, 3, 4):
        raise Damaged(f"is an SPZ file of version {header.version}; versions 1 to 4 can be read")
    if header.degree >= len(STORED_COEFFICIENTS):
        most = len(STORED_COEFFICIENTS) - 1
        raise Damaged(f"has spherical harmonics of degree {header.degree}; at most {most} can be read")
    if not header.splats:
        raise Damaged("holds no splats")
    check_count(header.splats, header.degree, size)
    return header


def _frames(data: bytes, header: _Header, codecs: Codecs) -> tuple[list[bytes], bytes]:
    """The streams of version 4, which are zstd frames, and the records. These lie before the table of frame sizes."""
    if codecs.zstd is None:
        raise Damaged("is compressed with zstd, for which this Python has no decoder; import it in Blender")
    widths = header.widths()
    with bounded.as_damage("is cut off or damaged; get it again"):
        (table,) = struct.unpack_from("<I", data, HEADER.size)
        streams = [b""] * len(widths)
        offset = table + FRAME_SIZES.size * header.streams
        for index in range(min(header.streams, len(widths))):
            stored, size = FRAME_SIZES.unpack_from(data, table + FRAME_SIZES.size * index)
            if size != widths[index] * header.splats:
                raise Damaged(f"is damaged: it does not hold the {header.splats:,} splats that it names; get it again")
            streams[index] = decoded(codecs.zstd, data[offset : offset + stored], size)
            offset += stored
    return streams, data[RECORDS_START:table][:MOST_RECORDS]


def _coordinate_system(records: bytes) -> int:
    """The number in Adobe's record, 0 where there is none. A record consists of its type, its length and its data."""
    offset = 0
    while offset + 12 <= len(records):
        kind, length, value = struct.unpack_from("<III", records, offset)
        if kind == COORDINATE_SYSTEM and length == 4:
            return int(value)
        offset += 8 + length
    return 0


def _right_down_forward(gaussians: Gaussians, system: str) -> Gaussians:
    """Takes splats from a coordinate system to one whose axes point right, down and forward.

    The letters of `system` are the directions of its axes (DIRECTIONS). Half of the systems are left-handed. So the
    signs of axes are changed first, which keeps each splat's own axes in order. The rest is a rotation.
    """
    matrix = np.transpose([DIRECTIONS[letter] for letter in system]).astype(np.float64)
    rotation = np.abs(matrix)
    if np.linalg.det(rotation) < 0:
        rotation[2] *= -1  # `rotation` exchanges the second and third axis: now it is a rotation by 90 degrees
    quarter_turn = np.eye(4)
    quarter_turn[:3, :3] = rotation
    flipped = mirrored(gaussians, (rotation.T @ matrix).diagonal())
    y_stays = quarter_turn[1, 1] != 0
    return flipped if y_stays else transformed(flipped, quarter_turn)


def _decoded(streams: list[Array], header: _Header) -> Gaussians:
    """The splats, in the file's axes, from streams (N, bytes of a splat) uint8."""
    places, alphas, colors, scales, rotations = streams[:5]
    count = header.splats
    if header.version == 1:
        means = places.view("<f2").astype(np.float32)
    else:
        wide = np.zeros((count, 3, 4), np.uint8)  # 24 bits, put at the top of 32 to keep the sign
        wide[..., 1:] = places.reshape(count, 3, 3)
        means = (wide.reshape(count, 12).view("<i4") >> 8) / np.float32(2.0**header.fraction_bits)
    sh = [((colors / np.float32(255) - 0.5) / COLOR_SPAN)[:, None]]
    if header.degree:
        sh.append((streams[5].astype(np.float32) - 128).reshape(count, -1, 3) / 128)
    return gaussians(
        means,
        np.exp(scales / np.float32(16) - 10),
        _three_bytes(rotations) if header.version < 3 else _four_bytes(rotations),
        alphas[:, 0] / np.float32(255),
        np.concatenate(sh, axis=1),
    )


def _three_bytes(stored: Array) -> Array:
    """(N, 4) quaternions wxyz from the bytes (N, 3) of versions 1 and 2: x, y and z; w is not negative."""
    others = stored / np.float32(127.5) - 1
    return smallest_three(np.zeros(len(stored), np.int64), others)


def _four_bytes(stored: Array) -> Array:
    """(N, 4) quaternions wxyz from the bytes (N, 4) of version 3 on.

    They hold the index of the largest of x, y, z and w, and of each other one its sign and 9 bits.
    """
    packed = np.ascontiguousarray(stored).view("<u4")[:, 0]
    fields = np.stack([packed >> 20, packed >> 10, packed], axis=-1)
    others = (fields & 511) / np.float32(511 * np.sqrt(2)) * np.where(fields & 512, np.float32(-1), np.float32(1))
    return wxyz(smallest_three(packed >> 30, others))


def write(gaussians: Gaussians, path: Path, origin: FloatArray, antialiased: bool) -> None:
    """Writes an SPZ file of version 3, y up. `origin` is added to the means.

    Positions have the smallest steps that 24 bits allow for the splats' extent. Raises OSError, and UserError where
    these steps are too large for the splats.
    """
    turned = mirrored(gaussians, HALF_TURN)
    means = turned.means + origin * HALF_TURN
    count, degree = len(turned), degree_of(turned.sh)
    extent = float(np.abs(means).max(initial=2.0**-4))
    bits = int(np.clip(np.floor(np.log2((2**23 - 1) / extent)), 0, 24))
    if count and 2.0**-bits > COARSEST * np.median(turned.scales.max(axis=1)):
        raise UserError(
            "The splats lie too far from the world's origin for an SPZ file; move them there, or export a PLY."
        )
    places = np.rint(means * 2.0**bits).clip(-(2**23), 2**23 - 1).astype("<i4")
    with np.errstate(divide="ignore"):
        scales = (np.log(turned.scales) + 10) * 16
    streams = [
        places.view(np.uint8).reshape(count, 3, 4)[..., :3],
        _bytes(turned.opacities * 255),
        _bytes((turned.sh[:, 0] * COLOR_SPAN + 0.5) * 255),
        _bytes(scales),
        _packed(turned.rotations),
    ]
    if degree:
        streams.append(_harmonics(turned.sh))
    header = HEADER.pack(MAGIC, WRITTEN, count, degree, bits, ANTIALIASED if antialiased else 0, 0)
    body = b"".join([header, *(stream.tobytes() for stream in streams)])
    path.write_bytes(gzip.compress(body, GZIP_LEVEL, mtime=0))


def _harmonics(sh: Array) -> Array:
    """The bytes, around 128, of all harmonics but the constant, rounded to steps that compress well."""
    step = np.concatenate([np.full(2 * d + 1, HARMONICS_STEP[d]) for d in range(1, degree_of(sh) + 1)])[:, None]
    return _bytes(np.rint(sh[:, 1:] * 128 / step) * step + 128)


def _bytes(values: Array) -> Array:
    """The values, rounded and clipped to bytes."""
    stored: Array = np.rint(values).clip(0, 255).astype(np.uint8)
    return stored


def _packed(rotations: Array) -> Array:
    """The inverse of `_four_bytes`."""
    xyzw = np.roll(rotations, -1, axis=-1)
    largest = np.abs(xyzw).argmax(axis=-1)
    rows = np.arange(len(xyzw))
    xyzw = np.where(xyzw[rows, largest, None] < 0, -xyzw, xyzw)
    columns = ((1, 0, 0, 0), (2, 2, 1, 1), (3, 3, 3, 2))  # of the others, by the largest's
    others = np.stack([xyzw[rows, np.array(column)[largest]] for column in columns], axis=-1)
    fields = np.rint(np.abs(others) * (511 * np.sqrt(2))).clip(0, 511).astype(np.uint32)
    fields |= np.where(others < 0, 512, 0).astype(np.uint32)
    packed: Array = largest.astype(np.uint32) << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return packed.astype("<u4", copy=False)
