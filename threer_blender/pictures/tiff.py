"""[R] TIFF that Pillow reads wrongly: more than 8 bits a sample, in grey, RGB and CMYK, and CMYK with an alpha.

Pillow garbles separate planes, and cannot read floats in colour. So here it only unpacks each strip or tile, as if that
held bytes. This module interprets the bytes by TIFF 6.0, and the predictor of floats by Adobe's Photoshop TIFF
Technical Note 3.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin

from ..files import bounded
from ..model.arrays import Array, UInt8Array
from .light import displayed

MOST_PAGES = 16  # pictures in a file that are looked at
MOST_BYTES = 4_000_000_000  # of a picture's samples; TIFF cannot address more
# Samples may take LEAST_BYTES, or EXPANSION times the file's size, whichever is more. Larger pictures are refused.
LEAST_BYTES, EXPANSION = 32 << 20, 2000
# Format of a sample (1: whole number, 3: float) and its bits -> the type in numpy.
_KINDS = {(1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (3, 16): "f2", (3, 32): "f4", (3, 64): "f8"}
# Photometric interpretation -> samples that are colour. 0: grey with 0 as white, 1: grey, 2: RGB, 5: CMYK.
_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}
_JPEG = (6, 7)  # values of the tag COMPRESSION
_ALPHA = (1, 2)  # extra samples that are an alpha: 1 is multiplied into the colours already, 2 is not
_DIFFERENCES, _FLOAT_DIFFERENCES = 2, 3  # values of the tag PREDICTOR
# Numbers of tags.
WIDTH, HEIGHT, BITS, COMPRESSION = 256, 257, 258, 259
PHOTOMETRIC, FILL_ORDER, SAMPLES, ROWS = 262, 266, 277, 278
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT = 284, 317, 322, 323
EXTRA, FORMAT, PROFILE = 338, 339, 34675
WITHIN = 330  # the places of pictures that belong to this one
STRIPS, TILES = (273, 279), (324, 325)  # the tags of their offsets and of their byte counts
_BIG, BIG_ENDIAN_BIG = b"II+\0", b"MM\0+"  # first bytes of a BigTIFF; Pillow reads none of the second kind
_MAGIC = (b"II*\0", b"MM\0*", _BIG)
Entries = Mapping[int, Any]


class Layout(NamedTuple):
    """How the samples of a picture lie in the file.

    `size` of the picture and `part`, that of a strip or tile, are (width, height) in pixels. `samples` is the number of
    samples a pixel. `planes` is 1 where they lie side by side, else `samples`. `kind` is their type, in the file's byte
    order.
    """

    size: tuple[int, int]
    part: tuple[int, int]
    samples: int
    planes: int
    kind: np.dtype[Any]


def tags(data: bytes) -> Entries:
    """The tags of the first picture in a TIFF; none where `data` is no TIFF. Raises Pillow's errors."""
    if data[:4] not in _MAGIC:
        return {}
    entries = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if is_big(data) else 8])
    stream = BytesIO(data)
    stream.seek(entries.next)
    entries.load(stream)
    return entries


def with_largest_first(data: bytes) -> bytes:
    """The TIFF with the largest of its first MOST_PAGES pictures in front: a thumbnail may precede the photo. Other
    files stay as they are, and so do TIFFs whose first picture is the largest."""
    if data[:4] not in _MAGIC:
        return data
    header = data[: 16 if is_big(data) else 8]
    first = TiffImagePlugin.ImageFileDirectory_v2(header).next
    stream, places, areas = BytesIO(data), [first], dict[int, int]()
    with contextlib.suppress(*bounded.FAULTS):  # the pictures before the damage count
        while places and len(areas) < MOST_PAGES:
            place = places.pop(0)
            if not place or place in areas:
                continue
            stream.seek(place)
            entries = TiffImagePlugin.ImageFileDirectory_v2(header)
            entries.load(stream)
            areas[place] = int(entries.get(WIDTH, 0)) * int(entries.get(HEIGHT, 0))
            within = entries.get(WITHIN, ())
            places += [entries.next, *([within] if isinstance(within, int) else within)]
    largest = max(areas, key=areas.__getitem__, default=first)
    if largest == first:
        return data
    if is_big(data):
        return data[:8] + struct.pack("<Q", largest) + data[16:]
    return data[:4] + struct.pack(">I" if data.startswith(b"MM") else "<I", largest) + data[8:]


def is_big(data: bytes) -> bool:
    """Whether a file is a BigTIFF that can be read."""
    return data.startswith(_BIG)


def is_readable(tags: Entries) -> bool:
    """Whether this module can read a TIFF with these tags. Other TIFFs are left to Pillow."""
    bits = tags.get(BITS, (1,))
    if tags.get(PHOTOMETRIC) not in _COLOURS or len(set(bits)) != 1:
        return False
    if _kind(tags) == (1, 8):  # Pillow ignores the alpha of CMYK
        return tags[PHOTOMETRIC] == 5 and EXTRA in tags and tags.get(COMPRESSION) not in _JPEG
    return _kind(tags) in _KINDS


def holds_light(tags: Entries) -> bool:
    """Whether the samples are floats, which hold linear light with white at 1."""
    return _kind(tags)[0] == 3


def pixels(tags: Entries, data: bytes) -> Image.Image:
    """The picture in 8 bits, with transparent pixels on black. `tags` are those of `data`.

    Raises ValueError, OSError, or Pillow's errors.
    """
    layout = _layout(tags, data[:2])
    width, height = layout.size
    needed = width * height * layout.samples * layout.kind.itemsize
    if needed > min(MOST_BYTES, max(LEAST_BYTES, EXPANSION * len(data))):
        raise ValueError("it is too large, or too large for its file")
    planes = [_plane(tags, data, layout, number) for number in range(layout.planes)]
    samples = np.concatenate(planes, axis=2)[: layout.size[1], : layout.size[0]]
    colours = _COLOURS[tags[PHOTOMETRIC]]
    picture = _eight_bit(samples[..., :colours])
    extra = tags.get(EXTRA, ())
    if tags[PHOTOMETRIC] == 0:
        picture = ~picture
    if extra and extra[0] in _ALPHA and samples.shape[2] > colours:
        alpha = _share(samples[..., colours : colours + 1])
        if colours == 4:  # ink takes light away: black is where all colours of ink are full
            ink = picture[..., :3] * (alpha if extra[0] == 2 else 1.0)
            picture[..., :3] = np.rint(ink + 255 * (1 - alpha))
        elif extra[0] == 2:
            picture = np.rint(picture * alpha).astype(np.uint8)
    return Image.fromarray(picture[..., 0] if colours == 1 else picture, {1: "L", 3: "RGB", 4: "CMYK"}[colours])


def _kind(tags: Entries) -> tuple[int, int]:
    """The format of a sample (1: whole number, 3: float) and its bits."""
    return tags.get(FORMAT, (1,))[0], tags.get(BITS, (1,))[0]


def _layout(tags: Entries, order: bytes) -> Layout:
    """The layout that the tags describe. `order` is the file's first two bytes. Raises ValueError for bad tags."""
    kind = np.dtype(_KINDS[_kind(tags)]).newbyteorder("<" if order == b"II" else ">")
    size = int(tags[WIDTH]), int(tags[HEIGHT])
    part = (size[0], min(size[1], int(tags.get(ROWS, size[1]))))
    if TILE_WIDTH in tags:
        part = int(tags[TILE_WIDTH]), int(tags[TILE_HEIGHT])
    samples = int(tags.get(SAMPLES, 1))
    planes = samples if tags.get(PLANAR) == 2 else 1
    if not 0 < samples <= 16 or min(*size, *part) < 1 or part[0] > size[0] + 4096 or part[1] > size[1] + 4096:
        raise ValueError("its tags contradict each other")
    if samples < _COLOURS[tags[PHOTOMETRIC]]:
        raise ValueError("it has too few channels")
    return Layout(size, part, samples, planes, kind)


def _plane(tags: Entries, data: bytes, layout: Layout, number: int) -> Array:
    """Plane `number` as an array (H, W, samples a pixel of the plane), as stored.

    It holds whole strips or tiles, so it may be larger than the picture. Raises ValueError where some are missing.
    """
    across = -(-layout.size[0] // layout.part[0])
    down = -(-layout.size[1] // layout.part[1])
    samples = layout.samples // layout.planes
    offsets, counts = (tags[tag] for tag in (TILES if TILE_WIDTH in tags else STRIPS))
    chosen = slice(number * across * down, (number + 1) * across * down)
    parts = list(zip(offsets[chosen], counts[chosen], strict=True))
    if len(parts) != across * down or sum(count for _, count in parts) > len(data):
        raise ValueError("its strips are missing")
    width = across * layout.part[0]
    height = down * layout.part[1] if TILE_WIDTH in tags else layout.size[1]
    rows = _bytes(tags, data, parts, (width * samples * layout.kind.itemsize, height), layout)
    values = _undo_predictor(
        rows.reshape(height, across, layout.part[0] * samples * layout.kind.itemsize), tags, layout, samples
    )
    plane: Array = values.reshape(height, width, samples)
    return plane


def _bytes(
    tags: Entries, data: bytes, parts: list[tuple[int, int]], size: tuple[int, int], layout: Layout
) -> UInt8Array:
    """Unpacks strips or tiles, given as `parts` (offset, byte count). Returns an array (H, W) of bytes.

    `size` is (W, H). The packed parts are wrapped in a grey TIFF of 8 bits, one pixel for each byte, that Pillow opens.
    """
    packed = [data[offset : offset + count] for offset, count in parts]
    starts = np.concatenate([[8], 8 + np.cumsum([len(part) for part in packed])]).tolist()
    tiled = TILE_WIDTH in tags
    values = {WIDTH: [size[0]], HEIGHT: [size[1]], BITS: [8], COMPRESSION: [tags.get(COMPRESSION, 1)], SAMPLES: [1]}
    values |= {PHOTOMETRIC: [1], FILL_ORDER: [tags.get(FILL_ORDER, 1)]}
    if tiled:
        pixel_bytes = layout.samples // layout.planes * layout.kind.itemsize
        values |= {TILE_WIDTH: [layout.part[0] * pixel_bytes], TILE_HEIGHT: [layout.part[1]]}
    else:
        values[ROWS] = [layout.part[1]]
    offsets, counts = TILES if tiled else STRIPS
    values |= {offsets: starts[:-1], counts: [len(part) for part in packed]}
    whole = b"".join([struct.pack("<2sHI", b"II", 42, starts[-1]), *packed, _directory(values, starts[-1])])
    with Image.open(BytesIO(whole), formats=("TIFF",)) as image:
        return np.asarray(image)


def _directory(values: Mapping[int, list[int]], start: int) -> bytes:
    """The bytes of an image file directory that stands at the offset `start`. All values are of the type LONG."""
    end = start + 2 + 12 * len(values) + 4
    entries, after = b"", b""
    for tag, numbers in sorted(values.items()):
        # One number stands in the entry itself. Several stand after the directory, and the entry holds their offset.
        in_entry = numbers[0] if len(numbers) == 1 else end + len(after)
        after += b"" if len(numbers) == 1 else struct.pack(f"<{len(numbers)}I", *numbers)
        entries += struct.pack("<HHII", tag, 4, len(numbers), in_entry)
    return struct.pack("<H", len(values)) + entries + bytes(4) + after


def _undo_predictor(rows: UInt8Array, tags: Entries, layout: Layout, samples: int) -> Array:
    """Undoes the predictor. Takes bytes (H, parts across, bytes) to values (H, parts across, width × samples).

    Raises ValueError for an unknown predictor.
    """
    predictor = tags.get(PREDICTOR, 1) if tags.get(COMPRESSION, 1) != 1 else 1
    height, across, count = rows.shape
    size = layout.kind.itemsize
    if predictor == _FLOAT_DIFFERENCES and layout.kind.kind == "f":
        # The writer sorted each row's bytes: the highest byte of every value first, the lowest last. Then it stored
        # differences of bytes.
        summed = np.cumsum(rows.reshape(height, across, count // samples, samples), axis=2, dtype=np.uint8)
        planes = summed.reshape(height, across, size, count // size).swapaxes(2, 3)
        values: Array = np.ascontiguousarray(planes).view(layout.kind.newbyteorder(">"))[..., 0]
        return values
    values = np.ascontiguousarray(rows).view(layout.kind)
    if predictor == _DIFFERENCES and layout.kind.kind == "u":
        native = values.astype(layout.kind.newbyteorder("="))
        differences = native.reshape(height, across, -1, samples)
        values = np.cumsum(differences, axis=2, dtype=native.dtype).reshape(values.shape)
    elif predictor != 1:
        raise ValueError(f"its predictor {predictor} is not known")
    return values


def _eight_bit(samples: Array) -> UInt8Array:
    """Samples as stored -> 8 bits. Floats are linear light and become sRGB; whole numbers keep their highest byte."""
    if samples.dtype.kind == "f":
        return displayed(samples.astype(np.float32))
    shift = 8 * (samples.dtype.itemsize - 1)
    eight_bit: UInt8Array = (samples >> shift).astype(np.uint8)
    return eight_bit


def _share(samples: Array) -> Array:
    """Samples as float32 in [0, 1]: shares of the type's largest number, or floats as they are."""
    largest = np.iinfo(samples.dtype).max if samples.dtype.kind == "u" else 1
    return (samples.astype(np.float32) / np.float32(largest)).clip(0, 1)
