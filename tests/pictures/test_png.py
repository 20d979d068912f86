"""Colours of PNGs are those that their chunks say: cICP before a profile, before sRGB, before gAMA and cHRM."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.pictures.saved import Warned, read_one, scene
from threer_blender.model.arrays import Array
from threer_blender.pictures import light, photos, png

PICTURE = scene()
LIGHT = light.linear(PICTURE)
SRGB, LINEAR, PQ = 13, 8, 16  # transfers of ITU-T H.273
Chunk = tuple[bytes, bytes]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def written(path: Path, shares: Array, chunks: Sequence[Chunk], bits: int = 16) -> Path:
    """Writes shares of the largest code (H, W, 3) as a PNG with these chunks."""
    height, width = shares.shape[:2]
    codes = np.rint(shares * (2**bits - 1)).astype(">u2" if bits == 16 else "u1")
    rows = b"".join(b"\0" + row.tobytes() for row in codes)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    before = b"".join(chunk(*each) for each in chunks)
    path.write_bytes(png.SIGNATURE + header + before + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    return path


def gamma(exponent: float) -> Chunk:
    return b"gAMA", struct.pack(">I", round(100_000 / exponent))


def code_points(transfer: int, primaries: int = 1) -> Chunk:
    """A chunk of coding-independent code points. 1 is the number of sRGB's primaries."""
    return b"cICP", bytes([primaries, transfer, 0, 1])


CASES: list[tuple[Any, list[Chunk]]] = [
    (PICTURE / 255, []),
    (PICTURE / 255, [gamma(2.2)]),
    (PICTURE / 255, [code_points(SRGB)]),
    (PICTURE / 255, [(b"sRGB", b"\0"), gamma(1.0)]),
    (PICTURE / 255, [(b"gAMA", bytes(4))]),
    (PICTURE / 255, [(b"cICP", b"\x09")]),
    (LIGHT, [gamma(1.0)]),
    (LIGHT, [code_points(LINEAR)]),
    (LIGHT, [code_points(LINEAR), (b"sRGB", b"\0")]),
    (LIGHT ** (1 / 1.4), [gamma(1.4)]),
    (LIGHT ** (1 / 1.8), [gamma(1.8)]),
    (LIGHT ** (1 / 2.8), [gamma(2.8)]),
]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("shares", "chunks"), CASES)
def test_the_picture_is_that_of_its_chunks(tmp_path: Path, shares: Array, chunks: list[Chunk], bits: int) -> None:
    photo = read_one(written(tmp_path / "a.png", shares, chunks, bits))
    assert np.abs(photos.pixels(photo).astype(int) - PICTURE).mean() < 2


def test_hdr_is_brought_to_a_display(tmp_path: Path) -> None:
    """A page's white, 203 cd/m², is nearly white."""
    share = np.full((96, 160, 3), 0.5807)  # of 10,000 cd/m², by SMPTE ST 2084
    pixels = photos.pixels(read_one(written(tmp_path / "a.png", share, [code_points(PQ, 9)])))
    assert 240 <= pixels.min() <= pixels.max() <= 253


@pytest.mark.parametrize("number", sorted(light.WIDE))
def test_wide_primaries_by_their_chromaticities(number: int) -> None:
    values = [0.3127, 0.329, *(value for point in light.WIDE[number] for value in point)]
    content = struct.pack(">8I", *(round(value * 100_000) for value in values))
    assert png.codes(png.SIGNATURE + chunk(b"cHRM", content)) == (1, number)


@pytest.mark.parametrize("length", [0, 1, 7, 2**31 - 1, 2**32 - 1])
def test_lengths_that_lie_say_nothing(length: int) -> None:
    assert png.codes(png.SIGNATURE + struct.pack(">I4s", length, b"gAMA")) is None
    assert png.codes(b"no PNG") is None


def test_an_unknown_picture_is_named_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing" * 20)
    warned = Warned()
    (refused,) = photos.read([tmp_path / "a.png"], warned).unregistered
    assert refused.reason == "It is damaged, or not the picture its name says."
