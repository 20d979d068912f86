"""[R] Points of LAS files (ASPRS LAS 1.0 to 1.4), and of LAZ, which are LAS files that lazrs decompresses."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import Array
from .solve import Points, points

try:
    import lazrs
except ImportError:  # Blenders without the wheels; LAZ is refused there
    lazrs = None

SIGNATURE = b"LASF"
VLR = struct.Struct("<2x16sHH32x")  # the header of a variable length record: user, number, length
LASZIP = (b"laszip encoded", 22204)  # the user and the number of LASzip's record
LASZIP_ITEMS = 32  # the byte of LASzip's record at which the items of a point begin, with their number
UNKNOWN_PLACE = -1  # instead of the place of the table of chunks; the end of the file has it then
CHUNK_ENTRY = 16  # bytes of memory that an entry of the table of chunks takes
# LAZ's number of an item of the point -> how many layers it has. The item EXTRA_BYTES has one for each of its bytes.
EXTRA_BYTES, LAYERS = 14, {10: 9, 11: 1, 12: 2, 13: 1}
CUT = "is cut off or damaged; get it again"
SHORTEST_HEADER, LONGEST_HEADER = 227, 375  # bytes, of LAS 1.0 and of LAS 1.4
BLOCK = 1 << 16  # points that are taken at once, so few that they stay in the processor's cache
COMPRESSED_BLOCK = 500_000  # points of a LAZ that are taken at once: usually ten chunks, for ten cores
COMPRESSED = 0x80  # the bit in the number of the points' format that LAZ sets
# The number of a point's format -> where its colour begins, three 16-bit numbers: ASPRS LAS 1.4, tables 7 to 17.
COLORS = {2: 20, 3: 28, 5: 28, 7: 30, 8: 30, 10: 30}
SIZES = {  # the number of a point's format -> its bytes
    0: 20,
    1: 28,
    2: 26,
    3: 34,
    4: 57,
    5: 63,
    6: 30,
    7: 36,
    8: 38,
    9: 59,
    10: 67,
}


def read(path: Path) -> Points | None:
    """The points of a LAS or LAZ file, in the file's own units; None where it has none. Raises Damaged, and OSError."""
    with bounded.open_regular(path) as file:
        header = file.read(LONGEST_HEADER)
        if len(header) < SHORTEST_HEADER:
            raise Damaged("is cut off: it ends within its header; get it again")
        record = _record(header, file.seek(0, os.SEEK_END))
        scale, offset = (np.array(struct.unpack_from("<3d", header, place)) for place in (131, 155))
        positions = np.empty((record.count, 3))
        colors_16_bit = np.empty((record.count if record.color is not None else 0, 3), "<u2")
        done = 0
        for rows in _blocks(file, header, record):
            part = slice(done, done := done + len(rows))
            steps = _numbers(rows, 0, "<i4")
            for axis in range(3):  # four times as fast as all three at once
                positions[part, axis] = steps[:, axis] * scale[axis] + offset[axis]
            if record.color is not None:
                color = _numbers(rows, record.color, "<u2")
                for channel in range(3):
                    colors_16_bit[part, channel] = color[:, channel]
    return points(positions, None if record.color is None else _eight_bit(colors_16_bit))


def _numbers(rows: Array, begin: int, kind: str) -> Array:
    """(N, 3) the three numbers of the type `kind` that begin at the byte `begin` of each point."""
    layout = np.dtype({"names": ["xyz"], "formats": [(kind, 3)], "offsets": [begin], "itemsize": rows.shape[1]})
    numbers: Array = rows.view(layout)["xyz"][:, 0]
    return numbers


def _eight_bit(colors: Array) -> Array:
    """(N, 3) uint8 from colours (N, 3) of 16 bits, or of 8 bits, which some programs write."""
    shift = 8 if len(colors) and colors.max() > 255 else 0
    narrow = np.empty(colors.shape, np.uint8)
    for start in range(0, len(colors), BLOCK):
        np.right_shift(colors[start : start + BLOCK], shift, out=narrow[start : start + BLOCK], casting="unsafe")
    return narrow


@dataclass(frozen=True)
class Record:
    """The points of a LAS file as its header declares them.

    `size` is one point's in bytes. `begin` is the first point's byte in the file, `color` the byte within each point at
    which its colour begins, None where it has none.
    """

    count: int
    size: int
    begin: int
    color: int | None
    compressed: bool


def _record(header: bytes, length: int) -> Record:
    """The points that a `header` declares. Raises Damaged where a file of `length` bytes cannot hold them."""
    (begin,) = struct.unpack_from("<I", header, 96)
    number, size = struct.unpack_from("<BH", header, 104)
    compressed, number = bool(number & COMPRESSED), number & ~COMPRESSED
    if (header[24], header[25]) >= (1, 4) and len(header) >= 255:
        (count,) = struct.unpack_from("<Q", header, 247)
    else:
        (count,) = struct.unpack_from("<I", header, 107)
    if number not in SIZES or size < SIZES[number]:
        raise Damaged(f"has points of the format {number}, which LAS does not have; export it again")
    if compressed:
        bounded.check(count * size, length)
    elif begin + count * size > length:
        whole = max(0, (length - begin) // size)
        raise Damaged(f"is cut off: {whole:,} of its {count:,} points are there; get it again")
    return Record(count, size, begin, COLORS.get(number), compressed)


def _blocks(file: BinaryIO, header: bytes, record: Record) -> Iterator[Array]:
    """The points' bytes (N, size), BLOCK points at a time."""
    if record.compressed:
        with _damage_of_lazrs():
            vlr = _laszip_vlr(file, header)
            _check_chunks(file, record, vlr)
            yield from _decompressed(file, record, vlr)
        return
    file.seek(record.begin)
    for first in range(0, record.count, BLOCK):
        taken = min(BLOCK, record.count - first)
        yield np.frombuffer(file.read(taken * record.size), np.uint8).reshape(taken, record.size)


def _check_chunks(file: BinaryIO, record: Record, vlr: bytes) -> None:
    """Raises Damaged where the chunks of a LAZ claim more memory than the file can hold.

    A table at its end lists them. Of the formats 6 and later, each chunk begins with one whole point, the number of its
    points (4 bytes) and the sizes of its layers (4 bytes each). Source: the LAZ specification 1.4 R1 of rapidlasso.
    """
    length = file.seek(0, os.SEEK_END)
    file.seek(record.begin)
    (place,) = struct.unpack("<q", file.read(8))
    if place == UNKNOWN_PLACE:
        file.seek(length - 8)
        (place,) = struct.unpack("<q", file.read(8))
    if not 0 <= place <= length:
        raise Damaged(CUT)
    file.seek(place)
    _, count = struct.unpack("<II", file.read(8))
    bounded.check(count * CHUNK_ENTRY, length)
    (items,) = struct.unpack_from("<H", vlr, LASZIP_ITEMS)
    kinds = [struct.unpack_from("<HH", vlr, LASZIP_ITEMS + 2 + 6 * item) for item in range(items)]
    layers = sum(size if kind == EXTRA_BYTES else LAYERS.get(kind, 0) for kind, size in kinds)
    if not layers:
        return
    file.seek(record.begin)
    offset = record.begin + 8
    for _, size in lazrs.read_chunk_table(file, lazrs.LazVlr(vlr)):
        file.seek(offset + record.size + 4)
        if sum(struct.unpack(f"<{layers}I", file.read(4 * layers))) > size:
            raise Damaged(CUT)
        offset += size


def _laszip_vlr(file: BinaryIO, header: bytes) -> bytes:
    """LASzip's variable length record, which says how the points were compressed."""
    size, _, count = struct.unpack_from("<HII", header, 94)
    file.seek(size)
    for _ in range(count):
        user, number, length = VLR.unpack(file.read(VLR.size))
        content = file.read(length)
        if (user.rstrip(b"\0"), number) == LASZIP:
            return content
    raise Damaged("is compressed (LAZ), but does not say how; get it again")


def _decompressed(file: BinaryIO, record: Record, vlr: bytes) -> Iterator[Array]:
    """As `_blocks`, of a LAZ, COMPRESSED_BLOCK points at a time, on all cores: several chunks of it at once."""
    file.seek(record.begin)
    decompressor = lazrs.ParLasZipDecompressor(file, vlr)
    for first in range(0, record.count, COMPRESSED_BLOCK):
        rows = np.empty((min(COMPRESSED_BLOCK, record.count - first), record.size), np.uint8)
        decompressor.decompress_many(rows.reshape(-1))
        yield rows


@contextmanager
def _damage_of_lazrs() -> Iterator[None]:
    """Raises Damaged instead of lazrs' errors, and where lazrs is not there."""
    if lazrs is None:
        raise Damaged("is compressed (LAZ), which the Python package lazrs reads; save it as LAS, or as PLY")
    try:
        yield
    except BaseException as error:  # a panic of Rust, which damaged bytes can lead to, is no Exception
        if type(error).__name__ not in ("LazrsError", "PanicException"):
            raise
        raise Damaged(CUT) from error
