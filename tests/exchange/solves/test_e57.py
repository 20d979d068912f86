"""E57 files that another program wrote (libE57Format 3), and what it wrote into them."""

import struct
from pathlib import Path

import numpy as np
import pytest

from threer_blender.exchange.solves import e57, reading
from threer_blender.files.bounded import Damaged
from threer_blender.model.errors import UserError

# Three scans: scaled integers of several widths with invalid points and a pose, spherical float32, and float64.
SCANS = Path(__file__).with_name("recorded") / "scans.e57"


def test_all_scans_are_read() -> None:
    solve = reading.read(SCANS)
    with np.load(SCANS.with_suffix(".npz")) as truth:
        assert solve.metric
        assert solve.points is not None
        assert np.allclose(solve.points.positions, truth["positions"], atol=1e-12)
        assert np.array_equal(solve.points.colors, truth["colors"])


def test_a_file_that_is_cut(tmp_path: Path) -> None:
    for length in (20, 1500, 5000):
        (tmp_path / "x.e57").write_bytes(SCANS.read_bytes()[:length])
        with pytest.raises(UserError, match="cut off or damaged"):
            reading.read(tmp_path / "x.e57")


def test_more_points_than_the_file_holds(tmp_path: Path) -> None:
    data = SCANS.read_bytes().replace(b'fileOffset="48" recordCount="40"', b'fileOffset="48" recordCount="99"')
    (tmp_path / "x.e57").write_bytes(data)
    with pytest.raises(Damaged, match="cut off"):
        e57.read(tmp_path / "x.e57")


def test_pages_of_no_size(tmp_path: Path) -> None:
    data = bytearray(SCANS.read_bytes())
    struct.pack_into("<Q", data, 40, 4)  # the size of a page: its checksum alone takes 4 bytes
    (tmp_path / "x.e57").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        reading.read(tmp_path / "x.e57")
