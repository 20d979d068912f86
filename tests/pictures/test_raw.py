"""Raw files as their makers lay them out: the largest preview is the photo, upright, with what EXIF knows of its lens.

The layouts follow public descriptions: TIFF/EP and Adobe's DNG 1.7; Canon's CR2 and CR3 and Fujifilm's RAF as the
ExifTool and LibRaw projects document them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures.saved import Warned, scene
from threer_blender.model.arrays import Array
from threer_blender.pictures import photos

FULL, SMALL, MENU = (960, 640), (800, 536), (160, 120)
ASCII, SHORT, LONG, RATIONAL = 2, 3, 4, 5
Tag = tuple[int, int, "bytes | int | Sequence[int]"]


def jpeg(size: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(scene(*size)).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def sensor(count: int = 60_000) -> bytes:
    """A lossless JPEG as raw files have: its frame is one that no viewer decodes, and its codes hold any bytes."""
    codes = np.random.default_rng(0).integers(0, 256, count).astype(np.uint8).tobytes().replace(b"\xff", b"\xff\x00")
    frame = struct.pack(">BBHBHHB", 0xFF, 0xC3, 11, 14, 4000, 6000, 1) + b"\x00\x11\x00"
    scan = struct.pack(">BBHBBBBBB", 0xFF, 0xDA, 8, 1, 0, 0, 1, 0, 0)
    return b"\xff\xd8" + frame + scan + codes + b"\xff\xd9"


class Tiff:
    """A TIFF file under construction: blocks of data, and directories that point to them."""

    def __init__(self, order: str = "<", magic: bytes = b"", room: int = 8) -> None:
        self.order = order
        self.data = bytearray((magic or (b"II*\0" if order == "<" else b"MM\0*")) + bytes(room - len(magic or b"0000")))

    def block(self, data: bytes) -> int:
        self.data += bytes(len(self.data) % 2)
        offset = len(self.data)
        self.data += data
        return offset

    def directory(self, tags: Sequence[Tag], next_one: int = 0) -> int:
        entries = b""
        for code, kind, value in sorted(tags, key=lambda tag: tag[0]):
            if isinstance(value, bytes):
                packed, count = value, len(value)
            else:
                values = [value] if isinstance(value, int) else list(value)
                packed = struct.pack(self.order + {SHORT: "H", LONG: "I", RATIONAL: "I"}[kind] * len(values), *values)
                count = len(values) // (2 if kind == RATIONAL else 1)
            if len(packed) > 4:
                packed = struct.pack(self.order + "I", self.block(packed))
            entries += struct.pack(self.order + "HHI", code, kind, count) + packed.ljust(4, b"\0")
        packed = struct.pack(self.order + "H", len(tags)) + entries + struct.pack(self.order + "I", next_one)
        return self.block(packed)

    def finished(self, first: int) -> bytes:
        self.data[4:8] = struct.pack(self.order + "I", first)
        return bytes(self.data)

    def camera(self, orientation: int) -> list[Tag]:
        exif = self.directory([(0x920A, RATIONAL, (24, 1)), (0xA405, SHORT, 36)])
        named: list[Tag] = [(0x010F, ASCII, b"Maker\0"), (0x0110, ASCII, b"Camera 1\0"), (0x0112, SHORT, orientation)]
        return [*named, (0x8769, LONG, exif)]

    def strip(self, data: bytes, size: tuple[int, int], compression: int, photometric: int = 6) -> list[Tag]:
        offset = self.block(data)
        shape: list[Tag] = [(0x0100, LONG, size[0]), (0x0101, LONG, size[1]), (0x0103, SHORT, compression)]
        return [*shape, (0x0106, SHORT, photometric), (0x0111, LONG, offset), (0x0117, LONG, len(data))]

    def linked(self, data: bytes) -> list[Tag]:
        """A preview as JPEGInterchangeFormat."""
        return [(0x0201, LONG, self.block(data)), (0x0202, LONG, len(data)), (0x0103, SHORT, 6)]


def dng(orientation: int, order: str) -> bytes:
    """Thumbnail in pixels first, the sensor and two previews in sub-directories."""
    file = Tiff(order)
    raw = file.directory([(0x00FE, LONG, 0), *file.strip(sensor(), (6000, 4000), 7, 32803)])
    large = file.directory([(0x00FE, LONG, 1), *file.strip(jpeg(FULL), FULL, 7)])
    small = file.directory([(0x00FE, LONG, 1), *file.strip(jpeg(SMALL), SMALL, 7)])
    thumbnail = file.strip(scene(*MENU).tobytes(), MENU, 1, 2)
    extra: list[Tag] = [(0x014A, LONG, (raw, small, large)), (0xC612, SHORT, (1, 4))]
    return file.finished(file.directory([(0x00FE, LONG, 1), *thumbnail, *file.camera(orientation), *extra]))


def cr2(orientation: int, order: str) -> bytes:
    """The large preview first, then the menu's, then the sensor."""
    file = Tiff(order, room=16)
    file.data[8:12] = b"CR\x02\0"
    raw = file.directory(file.strip(sensor(), (6000, 4000), 6))
    menu = file.directory(file.linked(jpeg(MENU)), raw)
    return file.finished(file.directory([*file.strip(jpeg(FULL), FULL, 6), *file.camera(orientation)], menu))


def nef(orientation: int, order: str) -> bytes:
    """Pixels of a thumbnail first; preview and sensor in sub-directories."""
    file = Tiff(order)
    preview = file.directory(file.linked(jpeg(FULL)))
    raw = file.directory(file.strip(np.random.default_rng(1).bytes(90_000), (300, 150), 34713, 32803))
    thumbnail = file.strip(scene(*MENU).tobytes(), MENU, 1, 2)
    return file.finished(file.directory([*thumbnail, *file.camera(orientation), (0x014A, LONG, (preview, raw))]))


def arw(orientation: int, order: str) -> bytes:
    """Previews by links, the menu's in a second directory."""
    file = Tiff(order)
    raw = file.directory(file.strip(np.random.default_rng(2).bytes(90_000), (300, 150), 32767, 32803))
    menu = file.directory(file.linked(jpeg(MENU)))
    tags = [*file.linked(jpeg(FULL)), *file.camera(orientation), (0x014A, LONG, raw)]
    return file.finished(file.directory(tags, menu))


def other_magic(magic: bytes) -> Callable[[int, str], bytes]:
    def make(orientation: int, _order: str) -> bytes:
        """A TIFF with the maker's own magic number."""
        file = Tiff("<", magic)
        tags = [*file.linked(jpeg(FULL)), *file.camera(orientation)]
        return file.finished(file.directory(tags))

    return make


def raf(orientation: int, _order: str) -> bytes:
    """A header that says where a JPEG with all tags lies, then the sensor."""
    exif = Tiff("<")
    tags = exif.finished(exif.directory(exif.camera(orientation)))
    picture = jpeg(FULL)
    segment = b"Exif\0\0" + tags
    whole = picture[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + picture[2:]
    header = b"FUJIFILMCCD-RAW 0201FF393101X-T100".ljust(84, b"\0") + struct.pack(">II", 160, len(whole))
    return header.ljust(160, b"\0") + whole + np.random.default_rng(3).bytes(90_000)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def cr3(orientation: int, _order: str) -> bytes:
    """ISO boxes: the tags and the menu's picture in moov, a preview in a uuid box, the large one in mdat."""
    first, second = Tiff("<"), Tiff("<")
    shape = first.finished(first.directory([(0x010F, ASCII, b"Maker\0"), (0x0112, SHORT, orientation)]))
    lens = second.finished(second.directory([(0x920A, RATIONAL, (24, 1)), (0xA405, SHORT, 36)]))
    boxes = box(b"CMT1", shape) + box(b"CMT2", lens) + box(b"THMB", bytes(16) + jpeg(MENU))
    moov = box(b"moov", box(b"uuid", bytes(16) + boxes))
    preview = box(b"uuid", bytes(16) + box(b"PRVW", bytes(16) + jpeg(SMALL)))
    start = box(b"ftyp", b"crx \0\0\0\1crx isom")
    return start + moov + preview + box(b"mdat", jpeg(FULL) + np.random.default_rng(4).bytes(90_000))


LAYOUTS: dict[str, Callable[[int, str], bytes]] = {
    ".dng": dng,
    ".cr2": cr2,
    ".nef": nef,
    ".arw": arw,
    ".pef": arw,
    ".srw": nef,
    ".orf": other_magic(b"IIRO"),
    ".rw2": other_magic(b"IIU\0"),
    ".raf": raf,
    ".cr3": cr3,
}


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("suffix", LAYOUTS)
def test_the_largest_preview_is_the_photo(tmp_path: Path, suffix: str, order: str, orientation: int) -> None:
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(LAYOUTS[suffix](orientation, order))
    warned = Warned()
    (photo,) = photos.read([path], warned).accepted
    size = FULL if orientation == 1 else FULL[::-1]
    assert (photo.width, photo.height) == size
    assert photo.focal == pytest.approx(36 / np.hypot(36, 24) * np.hypot(*FULL), rel=1e-3)
    upright: Array = scene(*FULL) if orientation == 1 else np.rot90(scene(*FULL), -1)
    assert np.abs(photos.pixels(photo).astype(int) - upright).mean() < 3
    assert f"{size[0]} × {size[1]}" in warned.sentences[-1][0]


@pytest.mark.parametrize("suffix", LAYOUTS)
def test_a_raw_file_without_a_preview_is_named(tmp_path: Path, suffix: str) -> None:
    file = Tiff("<")
    raw = file.strip(sensor(), (6000, 4000), 7, 32803)
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(file.finished(file.directory([*raw, *file.linked(jpeg(MENU)), *file.camera(1)])))
    (entry,) = photos.read([path], Warned()).unregistered
    assert "raw file without a JPEG preview" in entry.reason
