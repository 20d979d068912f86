"""[S] SPZ (github.com/nianticlabs/spz), versions 2 to 4: quantised arrays, compressed by gzip, from 4 on by zstd.

Its axes are x right, y up, z back, where 3DGS PLY files have y down and z forward: half a turn about x.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..model.gaussian_transform import transformed
from ..model.reconstruction import Array, Gaussians
from ..model.spherical_harmonics import degree_of
from .reading import COEFFICIENTS, Codecs, Damaged, Reading, SplatFile, gaussians, smallest_three, wxyz

MAGIC = b"NGSP"
WRITTEN = 3  # the version that most programs read
HALF_TURN = np.diag((1.0, -1.0, -1.0, 1.0))  # y up from y down, and back
COLOR_SPAN = 0.15  # of the constant coefficient: byte = 255 (½ + 0.15 c)
HARMONICS_STEP = (0, 8, 16, 16)  # of stored bytes by degree: 5 bits for the first, 4 for the others
GZIP_LEVEL = 6


def read(path: Path, how: Reading) -> SplatFile:
    """The splats; opacity is a byte, the scale's logarithm a byte in sixteenths, quaternions xyzw."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Damaged("is cut off or damaged; get it again") from error
    if data[:4] != MAGIC or len(data) < 16:
        raise Damaged("is no SPZ file")
    version, count, degree, bits = struct.unpack_from("<IIBB", data, 4)
    if version not in (2, 3, 4):
        raise Damaged(f"is an SPZ file of version {version}; versions 2 to 4 can be read")
    if degree >= len(COEFFICIENTS):
        raise Damaged(f"has spherical harmonics of degree {degree}; at most {len(COEFFICIENTS) - 1} can be read")
    if not count:
        raise Damaged("holds no splats")
    widths = [9, 1, 3, 3, 3 if version == 2 else 4, 3 * (COEFFICIENTS[degree] - 1)]
    if version == 4:
        streams = _frames(data, count, widths, how.codecs)
    else:
        ends = 16 + np.cumsum([0, *widths]) * count
        streams = [data[start:end] for start, end in pairwise(ends)]
    if any(len(stream) != width * count for stream, width in zip(streams, widths, strict=True)):
        raise Damaged(f"is cut off: it holds fewer than its {count:,} splats; get it again")
    found = _decoded([np.frombuffer(s, np.uint8).reshape(count, -1) for s in streams if s], version, bits, degree)
    return SplatFile(transformed(found, HALF_TURN) if how.spz_is_y_up else found, notes=[])


def _frames(data: bytes, count: int, widths: list[int], codecs: Codecs) -> list[bytes]:
    """The streams of version 4: a table of sizes, then a zstd frame each."""
    if codecs.zstd is None:
        raise Damaged("is compressed with zstd, for which this Python has no decoder; import it in Blender")
    number, table = struct.unpack_from("<xxxBI", data, 12)
    streams = [b""] * len(widths)
    offset = table + 16 * number
    try:
        for index in range(min(number, len(widths))):
            stored, size = struct.unpack_from("<QQ", data, table + 16 * index)
            if size != widths[index] * count:
                raise Damaged(f"is damaged: it does not hold the {count:,} splats that it names; get it again")
            streams[index] = codecs.zstd(data[offset : offset + stored], size)
            offset += stored
    except (struct.error, ValueError) as error:
        raise Damaged("is cut off or damaged; get it again") from error
    return streams


def _decoded(streams: list[Array], version: int, bits: int, degree: int) -> Gaussians:
    places, alphas, colors, scales, rotations = streams[:5]
    count = len(places)
    wide = np.zeros((count, 3, 4), np.uint8)  # 24 bits, put at the top of 32 to keep the sign
    wide[..., 1:] = places.reshape(count, 3, 3)
    means = (wide.reshape(count, 12).view("<i4") >> 8) / np.float32(2**bits)
    sh = [((colors / np.float32(255) - 0.5) / COLOR_SPAN)[:, None]]
    if degree:
        sh.append((streams[5].astype(np.float32) - 128).reshape(count, -1, 3) / 128)
    return gaussians(
        means,
        np.exp(scales / np.float32(16) - 10),
        _three_bytes(rotations) if version == 2 else _four_bytes(rotations),
        alphas[:, 0] / np.float32(255),
        np.concatenate(sh, axis=1),
    )


def _three_bytes(stored: Array) -> Array:
    """Quaternions wxyz of version 2: x, y, z as bytes, w ≥ 0 left out."""
    others = stored / np.float32(127.5) - 1
    return smallest_three(np.zeros(len(stored), np.int64), others)


def _four_bytes(stored: Array) -> Array:
    """Quaternions wxyz of version 3: the place of the largest of x, y, z, w, and the others as sign and 9 bits."""
    packed = np.ascontiguousarray(stored).view("<u4")[:, 0]
    fields = np.stack([packed >> 20, packed >> 10, packed], axis=-1)
    others = (fields & 511) / np.float32(511 * np.sqrt(2)) * np.where(fields & 512, np.float32(-1), np.float32(1))
    return wxyz(smallest_three(packed >> 30, others))


def write(gaussians: Gaussians, path: Path) -> None:
    """An SPZ file of version 3, y up; positions as fine as 24 bits allow for the splats' extent."""
    turned = transformed(gaussians, HALF_TURN)
    count, degree = len(turned), degree_of(turned.sh)
    extent = float(np.abs(turned.means).max(initial=2.0**-4))
    bits = int(np.clip(np.floor(np.log2((2**23 - 1) / extent)), 0, 24))
    places = np.rint(turned.means * 2.0**bits).clip(-(2**23), 2**23 - 1).astype("<i4")
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
    header = MAGIC + struct.pack("<IIBBBB", WRITTEN, count, degree, bits, 0, 0)
    body = b"".join([header, *(stream.tobytes() for stream in streams)])
    path.write_bytes(gzip.compress(body, GZIP_LEVEL, mtime=0))


def _harmonics(sh: Array) -> Array:
    """Bytes around 128 of all but the constant, in steps that compress well."""
    step = np.concatenate([np.full(2 * d + 1, HARMONICS_STEP[d]) for d in range(1, degree_of(sh) + 1)])[:, None]
    return _bytes(np.rint(sh[:, 1:] * 128 / step) * step + 128)


def _bytes(values: Array) -> Array:
    stored: Array = np.rint(values).clip(0, 255).astype(np.uint8)
    return stored


def _packed(rotations: Array) -> Array:
    """The inverse of `_four_bytes`."""
    xyzw = np.roll(rotations, -1, axis=-1)
    largest = np.abs(xyzw).argmax(axis=-1)
    rows = np.arange(len(xyzw))
    xyzw = np.where(xyzw[rows, largest, None] < 0, -xyzw, xyzw)
    places = ((1, 0, 0, 0), (2, 2, 1, 1), (3, 3, 3, 2))  # of the others, by the largest's
    others = np.stack([xyzw[rows, np.array(place)[largest]] for place in places], axis=-1)
    fields = np.rint(np.abs(others) * (511 * np.sqrt(2))).clip(0, 511).astype(np.uint32)
    fields |= np.where(others < 0, 512, 0).astype(np.uint32)
    packed: Array = largest.astype(np.uint32) << 30 | fields[:, 0] << 20 | fields[:, 1] << 10 | fields[:, 2]
    return packed.astype("<u4", copy=False)
