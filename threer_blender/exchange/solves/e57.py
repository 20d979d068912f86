"""[S] Points of E57 files (ASTM E2807): all scans of a file, each moved by its pose, in metres.

A file is pages, usually of 1024 bytes, whose last four are a checksum. The XML at its end declares the fields of each
scan's points; their values stand in packets, one stream of bits for each field, the lowest bit first.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...files import bounded
from ...files.bounded import Damaged
from ...model.arrays import Array, FloatArray
from ...model.quaternions import matrices_from_wxyz
from .solve import Points, points, unit_quaternion

SIGNATURE = b"ASTM-E57"
HEADER = struct.Struct("<8sIIQQQQ")  # signature, version (2), file's length, XML's place and length, page's size
SECTION = struct.Struct("<8xQQQ")  # of a scan's points: its length, where its packets begin, where its index does
DATA_PACKET = 1
LARGEST_PAGE = 1 << 20
CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
INVALID = ("cartesianInvalidState", "sphericalInvalidState")
COLOR = ("colorRed", "colorGreen", "colorBlue")
CUT = "is cut off or damaged; export it again"


@dataclass(frozen=True)
class Field:
    """The declaration of a value that each point has.

    `kind` is Float, Integer or ScaledInteger. `single` is true for floats of 32 bits. `minimum` and `maximum` bound the
    stored integers; a ScaledInteger is the stored integer times `scale` plus `offset`.
    """

    name: str
    kind: str
    single: bool
    minimum: int
    maximum: int
    scale: float
    offset: float

    @property
    def bits(self) -> int:
        """How many bits a value takes in its stream; 0 where all points have the same value."""
        if self.kind == "Float":
            return 32 if self.single else 64
        return (self.maximum - self.minimum).bit_length()

    def values(self, stream: bytes, count: int) -> Array:
        """(count,) the values of a stream. Raises Damaged where it is too short."""
        if len(stream) * 8 < count * self.bits:
            raise Damaged(CUT)
        if self.kind == "Float":
            return np.frombuffer(stream, "<f4" if self.single else "<f8", count)
        raw = _integers(stream, self.bits, count) + np.int64(self.minimum)
        return raw * self.scale + self.offset if self.kind == "ScaledInteger" else raw


def read(path: Path) -> Points | None:
    """The points of all scans, with their colours where a scan has them; None where there are no points.

    Raises Damaged, and OSError.
    """
    data = bounded.content(path)
    _, _, _, _, xml_begin, xml_length, page = HEADER.unpack_from(data)
    if not 8 <= page <= LARGEST_PAGE or xml_length > len(data):
        raise Damaged(CUT)
    text = _logical(data, page, xml_begin, xml_length)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise Damaged("declares entities, which E57 files do not; do not trust it")
    try:
        root = _without_namespace(ElementTree.fromstring(text))
    except ElementTree.ParseError as error:
        raise Damaged(CUT) from error
    scans = [_scan(scan, data, page) for scan in root.findall("data3D/vectorChild")]
    if not scans:
        return None
    return points(np.concatenate([positions for positions, _ in scans]), np.concatenate([color for _, color in scans]))


def _without_namespace(root: ElementTree.Element) -> ElementTree.Element:
    """The tree with plain names in place of names with a namespace; changes `root` itself."""
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def _logical(data: bytes, page: int, begin: int, length: int) -> bytes:
    """`length` bytes from the place `begin` of the file on, without the checksums of the pages."""
    useful, first = page - 4, begin // page
    last = first + (begin % page + length + useful - 1) // useful
    pages = (data[number * page : number * page + useful] for number in range(first, last))
    part = b"".join(pages)[begin % page : begin % page + length]
    if len(part) < length:
        raise Damaged(CUT)
    return part


# ------------------------------------------------------------------ a scan


def _scan(scan: ElementTree.Element, data: bytes, page: int) -> tuple[FloatArray, Array]:
    """Positions (N, 3) in the file's frame and colours (N, 3), grey where there are none, of a scan's valid points."""
    table = scan.find("points")
    if table is None or table.find("prototype") is None:
        return np.empty((0, 3)), np.empty((0, 3), np.uint8)
    count = int(table.get("recordCount", "0"))
    fields = [_field(element) for element in table.findall("prototype/*")]
    bounded.check(count * sum(field.bits for field in fields) // 8, len(data))
    bounded.check(count, len(data))
    streams = _streams(data, page, int(table.get("fileOffset", "0")), len(fields))
    columns = {
        field.name: field.values(stream, count)
        for field, stream in zip(fields, streams, strict=True)
        if field.name in (*CARTESIAN, *SPHERICAL, *INVALID, *COLOR)
    }
    positions = _positions(columns) @ _rotation(scan).T + _numbers(scan, "pose/translation", "xyz")
    colors = np.full((count, 3), 128, np.uint8)
    if set(COLOR) <= set(columns):
        by_name = {field.name: field for field in fields}
        colors = np.stack([_byte(columns[name], by_name[name]) for name in COLOR], axis=1)
    valid = np.ones(count, bool)
    for name in INVALID:
        valid &= columns.get(name, np.zeros(count, np.int64)) == 0
    return positions[valid], colors[valid]


def _field(element: ElementTree.Element) -> Field:
    """The declaration in an element of a scan's prototype. Raises Damaged."""
    kind = element.get("type", "")
    if kind not in ("Float", "Integer", "ScaledInteger"):
        raise Damaged(f"has points with {element.tag}, which E57's points do not hold; export it again")
    minimum = 0 if kind == "Float" else int(element.get("minimum", str(-(2**63))))
    maximum = 0 if kind == "Float" else int(element.get("maximum", str(2**63 - 1)))
    if not -(2**63) <= minimum <= maximum < 2**63:
        raise Damaged(CUT)
    scale, offset = float(element.get("scale", "1")), float(element.get("offset", "0"))
    return Field(element.tag, kind, element.get("precision") == "single", minimum, maximum, scale, offset)


def _streams(data: bytes, page: int, begin: int, count: int) -> list[bytes]:
    """The `count` streams of a scan whose points begin at the place `begin` of the file, from all of its packets."""
    length, packets, _ = SECTION.unpack(_logical(data, page, begin, SECTION.size))
    if length > len(data):
        raise Damaged(CUT)
    section = _logical(data, page, begin, length)
    useful = page - 4
    # From the section's begin to its packets, both places in the file, without the checksums between them.
    offset = (packets // page - begin // page) * useful + packets % page - begin % page
    pieces: list[list[bytes]] = [[] for _ in range(count)]
    while SECTION.size <= offset < len(section):
        kind, _, length_less_one, streams = struct.unpack_from("<BBHH", section, offset)
        if kind == DATA_PACKET:
            if streams != count:
                raise Damaged(CUT)
            sizes = struct.unpack_from(f"<{count}H", section, offset + 6)
            place = offset + 6 + 2 * count
            for piece, size in zip(pieces, sizes, strict=True):
                piece.append(section[place : place + size])
                place += size
        offset += length_less_one + 1
    return [b"".join(piece) for piece in pieces]


def _integers(stream: bytes, bits: int, count: int) -> Array:
    """(count,) the whole numbers of `bits` bits each, as int64; those of 64 bits wrap around."""
    if bits == 0:
        return np.zeros(count, np.int64)
    if bits in (8, 16, 32, 64):
        return np.frombuffer(stream, f"<u{bits // 8}", count).astype(np.int64)
    # A number begins at any bit of its first byte, so it reaches into one byte more than its bits would fill.
    first = np.arange(count, dtype=np.int64) * bits  # its first bit in the stream
    padded = np.frombuffer(stream[: (count * bits + 7) // 8] + bytes(9), np.uint8)
    values = np.zeros(count, np.uint64)
    for byte in range((bits + 7) // 8 + 1):
        part = padded[first // 8 + byte].astype(np.uint64)
        shift = 8 * byte - first % 8
        raised = np.left_shift(part, np.clip(shift, 0, 63).astype(np.uint64))
        lowered = part >> np.clip(-shift, 0, 7).astype(np.uint64)
        values |= np.where(shift >= 64, 0, np.where(shift >= 0, raised, lowered))
    return (values & np.uint64((1 << bits) - 1)).astype(np.int64)


def _positions(columns: dict[str, Array]) -> FloatArray:
    """(N, 3) in the scanner's frame, z up."""
    if set(CARTESIAN) <= set(columns):
        return np.stack([columns[name].astype(np.float64) for name in CARTESIAN], axis=1)
    if set(SPHERICAL) <= set(columns):
        distance, azimuth, elevation = (columns[name].astype(np.float64) for name in SPHERICAL)
        across = distance * np.cos(elevation)
        return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), distance * np.sin(elevation)], axis=1)
    raise Damaged("has a scan whose points have no coordinates; export it again")


def _byte(values: Array, field: Field) -> Array:
    """One colour channel as 0 to 255, from the range that the field declares."""
    low, high = field.minimum, field.maximum
    if field.kind == "Float" or high <= low:
        low, high = 0, 1 if field.kind == "Float" else 255
    return np.clip((values - float(low)) * (255 / (high - low)), 0, 255).round().astype(np.uint8)


def _rotation(scan: ElementTree.Element) -> FloatArray:
    """(3, 3) rotation from the scanner's frame to the file's."""
    if scan.find("pose/rotation") is None:
        return np.eye(3)
    rotation: FloatArray = matrices_from_wxyz(unit_quaternion(_numbers(scan, "pose/rotation", "wxyz")))
    return rotation


def _numbers(scan: ElementTree.Element, place: str, names: str) -> FloatArray:
    """The numbers whose names are the letters of `names`, in the structure at `place`; 0 for those that are absent."""
    values = [float(scan.findtext(f"{place}/{name}") or 0) for name in names]
    if not all(map(math.isfinite, values)):
        raise Damaged(CUT)
    return np.array(values)
