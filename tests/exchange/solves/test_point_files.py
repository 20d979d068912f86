"""LAS, written byte by byte as its specification says; PLY in the forms that programs write."""

import struct
from pathlib import Path

import numpy as np
import pytest

from tests import splat_variants
from tests.exchange.solves import scene
from threer_blender.exchange.solves import point_files, reading
from threer_blender.files.bounded import Damaged
from threer_blender.model.errors import UserError

POSITIONS = np.array([[1.25, -2, 3], [500_000.5, 5_000_000.25, 12.75], [0, 0, -1]])
COLORS = np.array([[0, 128, 255], [1, 2, 3], [255, 255, 0]])
OFFSET, SCALE = np.array([1000.0, 2000, 0]), 0.01


def las(version: tuple[int, int], form: int, deep: bool = True, count: int = 3) -> bytes:
    """ASPRS LAS 1.2 or 1.4: public header block, then points of the format 0, 2 or 7."""
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
    (tmp_path / "x.las").write_bytes(las(version, form, deep))
    cloud = point_files.read_las(tmp_path / "x.las")
    assert cloud is not None
    assert np.allclose(cloud.positions, POSITIONS, atol=1e-6)
    assert np.array_equal(cloud.colors, COLORS)


def test_las_without_colours_is_grey(tmp_path: Path) -> None:
    (tmp_path / "x.las").write_bytes(las((1, 2), 0))
    cloud = point_files.read_las(tmp_path / "x.las")
    assert cloud is not None
    assert (cloud.colors == 128).all()


def test_las_that_is_cut_or_compressed(tmp_path: Path) -> None:
    (tmp_path / "x.las").write_bytes(las((1, 2), 2)[:-30])
    with pytest.raises(Damaged, match="1 of its 3 points"):
        point_files.read_las(tmp_path / "x.las")
    (tmp_path / "x.las").write_bytes(las((1, 2), 2, count=4_000_000_000))
    with pytest.raises(Damaged, match="3 of its 4,000,000,000"):
        point_files.read_las(tmp_path / "x.las")
    data = bytearray(las((1, 2), 2))
    data[104] |= 0x80
    (tmp_path / "x.las").write_bytes(data)
    with pytest.raises(UserError, match="LAZ"):
        reading.read(tmp_path / "x.las")


@pytest.mark.parametrize("kind", ["u1", "f4", "u2"])
def test_ply(kind: str, tmp_path: Path) -> None:
    factor = {"u1": 1.0, "f4": 1 / 255, "u2": 257.0}[kind]
    columns = {axis: POSITIONS[:, place] for place, axis in enumerate("xyz")}
    columns |= {name: (COLORS[:, i] * factor).astype(kind) for i, name in enumerate(point_files.COLOR)}
    (tmp_path / "x.ply").write_bytes(splat_variants.ply(columns))
    cloud = point_files.read_ply(tmp_path / "x.ply")
    assert cloud is not None
    assert np.array_equal(cloud.positions, POSITIONS)
    assert np.array_equal(cloud.colors, COLORS)


def test_points_of_a_file_beside_the_cameras(tmp_path: Path) -> None:
    """RealityCapture's CSV has no points; its PLY has them, in the same world."""
    solve = reading.read(scene.write("RealityCapture", tmp_path))
    columns = {axis: scene.points()[:, place] for place, axis in enumerate("xyz")}
    (tmp_path / "x.ply").write_bytes(splat_variants.ply(columns))
    joined = reading.with_points(solve, tmp_path / "x.ply")
    assert joined.points is not None
    assert np.allclose(joined.points.positions, scene.points())
    behind = {**columns, "z": columns["z"] - 50}
    (tmp_path / "x.ply").write_bytes(splat_variants.ply(behind))
    with pytest.raises(UserError, match="behind all of its cameras"):
        reading.with_points(solve, tmp_path / "x.ply")
    with pytest.raises(UserError, match="no points"):
        reading.with_points(solve, scene.write("Metashape", tmp_path))
