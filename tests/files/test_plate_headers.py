"""Headers of plates, written here byte by byte, and frame rates that are fractions."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest

from threer_blender.files import plate_headers
from threer_blender.files.plate_headers import Header, exact_rate


def exr(*attributes: tuple[str, str, bytes]) -> bytes:
    body = b"".join(n.encode() + b"\0" + k.encode() + b"\0" + struct.pack("<I", len(v)) + v for n, k, v in attributes)
    return plate_headers.EXR_MAGIC + struct.pack("<I", 2) + body + b"\0"


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
