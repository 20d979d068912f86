"""Headers of plates, written here byte by byte, and frame rates that are fractions."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from threer_blender.files import plate_headers
from threer_blender.files.plate_headers import Header, exact_rate


def listed(*attributes: tuple[str, str, bytes]) -> bytes:
    body = b"".join(n.encode() + b"\0" + k.encode() + b"\0" + struct.pack("<I", len(v)) + v for n, k, v in attributes)
    return body + b"\0"


def exr(*attributes: tuple[str, str, bytes], flags: int = 0) -> bytes:
    return plate_headers.EXR_MAGIC + struct.pack("<I", 2 | flags) + listed(*attributes)


def dpx(order: str, transfer: int, rate: float, aspect: tuple[int, int]) -> bytes:
    data = bytearray(2048)
    data[:4] = b"SDPX" if order == ">" else b"XPDS"
    data[801] = transfer
    struct.pack_into(f"{order}II", data, 1628, *aspect)
    struct.pack_into(f"{order}f", data, 1724, rate)
    return bytes(data)


def test_exr(tmp_path: Path) -> None:
    path = tmp_path / "a.exr"
    path.write_bytes(
        exr(
            ("comment", "string", b"shot on a phone"),
            ("framesPerSecond", "rational", struct.pack("<iI", 24000, 1001)),
            ("pixelAspectRatio", "float", struct.pack("<f", 2.0)),
        )
    )
    assert plate_headers.read(path) == Header(Fraction(24000, 1001), 2.0, plate_headers.LINEAR)
    path.write_bytes(exr())
    assert plate_headers.read(path) == Header(None, 1.0, plate_headers.LINEAR)


@pytest.mark.parametrize("order", ["<", ">"])
def test_dpx(tmp_path: Path, order: str) -> None:
    path = tmp_path / "a.dpx"
    path.write_bytes(dpx(order, 3, 23.976, (2, 1)))
    assert plate_headers.read(path) == Header(Fraction(24000, 1001), 2.0, plate_headers.LOGARITHMIC)
    path.write_bytes(dpx(order, 6, float("nan"), (0xFFFFFFFF, 0xFFFFFFFF)))
    assert plate_headers.read(path) == Header(None, 1.0, plate_headers.DISPLAY)


CUT = exr(("framesPerSecond", "rational", struct.pack("<iI", 24, 1)))[:-5]


@pytest.mark.parametrize("content", [b"", b"not a plate", exr()[:-1] + b"name", CUT, b"SDPX" + bytes(100)])
def test_what_is_broken_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.exr").write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 (whatever broke first)
        plate_headers.read(tmp_path / "a.exr")


@pytest.mark.parametrize(
    ("rounded", "fraction"),
    [(23.976, "24000/1001"), (29.97, "30000/1001"), (59.94, "60000/1001"), (24, "24"), (25.0, "25"), (12.5, "25/2"),
     (119.88, "120000/1001"), (23.98, "24000/1001"), (15.0, "15"), (0.5, "1/2")],
)  # fmt: skip
def test_rates_are_fractions(rounded: float, fraction: str) -> None:
    assert exact_rate(rounded) == Fraction(fraction)


# The attributes of 40 × 30 pixels without compression, and of tiles of 16 × 16 pixels.
WINDOW = ("dataWindow", "box2i", struct.pack("<4i", 0, 0, 39, 29)), ("compression", "compression", b"\0")
TILES = ("tiles", "tiledesc", struct.pack("<IIB", 16, 16, 0))
OF_LINES, OF_TILES = ("type", "string", b"scanlineimage"), ("type", "string", b"tiledimage")


def followed_by_chunks(header: bytes, counts: list[int], before_size: int) -> tuple[bytes, int]:
    """A whole file: the tables of the parts with so many chunks, then the chunks of 8 bytes each, which begin with
    `before_size` bytes and their size. And where the first part ends."""
    chunk = bytes(before_size) + struct.pack("<I", 8) + bytes(8)
    first = len(header) + 8 * sum(counts)
    places = [first + number * len(chunk) for number in range(sum(counts))]
    return header + struct.pack(f"<{sum(counts)}Q", *places) + sum(counts) * chunk, first + counts[0] * len(chunk)


def several_parts(*parts: tuple[tuple[str, str, bytes], ...]) -> bytes:
    return exr(*parts[0], flags=plate_headers.PARTS) + b"".join(listed(*part) for part in parts[1:]) + b"\0"


@pytest.mark.parametrize(
    ("header", "counts", "before_size"),
    [
        (exr(*WINDOW), [30], 4),
        (exr(*WINDOW, TILES, flags=plate_headers.TILED), [6], 16),
        (several_parts((*WINDOW, OF_LINES), (*WINDOW, OF_LINES)), [30, 30], 8),
        (several_parts((*WINDOW, TILES, OF_TILES), (*WINDOW, OF_LINES)), [6, 30], 20),
    ],
)
def test_an_exr_is_cut_where_its_first_part_is(
    tmp_path: Path, header: bytes, counts: list[int], before_size: int
) -> None:
    path = tmp_path / "a.exr"
    data, end = followed_by_chunks(header, counts, before_size)
    for length in (len(data), end):
        path.write_bytes(data[:length])
        assert not plate_headers.is_cut(path)
    for length in (end - 1, end - 20, len(header) + 8, len(header) + 1):
        path.write_bytes(data[:length])
        assert plate_headers.is_cut(path)
    unfinished = bytearray(data)
    unfinished[len(header) : len(header) + 8] = bytes(8)
    path.write_bytes(unfinished)
    assert plate_headers.is_cut(path)
