"""LAS, written byte by byte as its specification says, and LAZ that another program wrote."""

import struct
from pathlib import Path

import numpy as np
import pytest

from threer_blender.exchange.solves import las, reading
from threer_blender.files.bounded import Damaged

RECORDED = Path(__file__).with_name("recorded")
POSITIONS = np.array([[1.25, -2, 3], [500_000.5, 5_000_000.25, 12.75], [0, 0, -1]])
COLORS = np.array([[0, 128, 255], [1, 2, 3], [255, 255, 0]])
OFFSET, SCALE = np.array([1000.0, 2000, 0]), 0.01


def written(version: tuple[int, int], form: int, deep: bool = True, count: int = 3) -> bytes:
    """ASPRS LAS 1.2 or 1.4: public header block, then points of the format 0, 2 or 7.

    Colours are `deep` (16 bits) or of 8 bits. The header claims `count` points; three follow.
    """
    size, color = {0: (20, None), 2: (26, 20), 7: (36, 30)}[form]
    header = bytearray(375 if version == (1, 4) else 227)
    header[:4], header[24:26] = b"LASF", bytes(version)
    struct.pack_into("<HI", header, 94, len(header), len(header))
    struct.pack_into("<BHI", header, 104, form, size, 0 if version == (1, 4) else count)
    struct.pack_into("<6d", header, 131, SCALE, SCALE, SCALE, *OFFSET)
    if version == (1, 4):
        struct.pack_into("<Q", header, 247, count)
    rows = bytearray(3 * size)
    for row, (position, rgb) in enumerate(zip(np.rint((POSITIONS - OFFSET) / SCALE), COLORS, strict=True)):
        struct.pack_into("<3i", rows, row * size, *position.astype(int))
        if color is not None:
            struct.pack_into("<3H", rows, row * size + color, *(rgb * 257 if deep else rgb))
    return bytes(header) + bytes(rows)


@pytest.mark.parametrize(("version", "form", "deep"), [((1, 2), 2, True), ((1, 4), 7, True), ((1, 2), 2, False)])
def test_las(version: tuple[int, int], form: int, deep: bool, tmp_path: Path) -> None:
    (tmp_path / "x.las").write_bytes(written(version, form, deep))
    cloud = las.read(tmp_path / "x.las")
    assert cloud is not None
    assert np.allclose(cloud.positions, POSITIONS, atol=1e-6)
    assert np.array_equal(cloud.colors, COLORS)


def test_las_without_colours_is_grey(tmp_path: Path) -> None:
    (tmp_path / "x.las").write_bytes(written((1, 2), 0))
    cloud = las.read(tmp_path / "x.las")
    assert cloud is not None
    assert (cloud.colors == 128).all()


def test_las_that_is_cut(tmp_path: Path) -> None:
    (tmp_path / "x.las").write_bytes(written((1, 2), 2)[:-30])
    with pytest.raises(Damaged, match="1 of its 3 points"):
        las.read(tmp_path / "x.las")
    (tmp_path / "x.las").write_bytes(written((1, 2), 2, count=4_000_000_000))
    with pytest.raises(Damaged, match="3 of its 4,000,000,000"):
        las.read(tmp_path / "x.las")


@pytest.mark.parametrize("name", ["points.laz", "points_1_2.laz"])
def test_laz(name: str) -> None:
    """Files of laspy with lazrs, of the formats 7 and 2. The same random numbers are drawn here again."""
    random = np.random.default_rng(0)
    positions = random.uniform(-100, 100, (60, 3)).round(2) + (1000, 2000, 0)
    solve = reading.read(RECORDED / name)
    assert solve.points is not None
    assert np.allclose(solve.points.positions, positions, atol=1e-9)
    assert np.array_equal(solve.points.colors, random.integers(0, 256, (60, 3)))


def test_laz_that_is_cut_or_claims_too_much(tmp_path: Path) -> None:
    data = bytearray((RECORDED / "points_1_2.laz").read_bytes())
    (tmp_path / "x.laz").write_bytes(data[:-200])
    with pytest.raises(Damaged, match="cut off"):
        las.read(tmp_path / "x.laz")
    struct.pack_into("<I", data, 107, 4_000_000_000)
    (tmp_path / "x.laz").write_bytes(data)
    with pytest.raises(Damaged, match="claims to hold"):
        las.read(tmp_path / "x.laz")
    (tmp_path / "x.laz").write_bytes((RECORDED / "points_1_2.laz").read_bytes().replace(b"laszip", b"xxxxxx"))
    with pytest.raises(Damaged, match="does not say how"):
        las.read(tmp_path / "x.laz")
