"""PLY in the forms that programs write, alone and beside a solve's cameras."""

from pathlib import Path

import numpy as np
import pytest

from tests import splat_variants
from tests.exchange.solves import scene
from tests.exchange.solves.test_las import COLORS, POSITIONS
from threer_blender.exchange.solves import ply, reading
from threer_blender.model.errors import UserError


@pytest.mark.parametrize("kind", ["u1", "f4", "u2"])
def test_ply(kind: str, tmp_path: Path) -> None:
    factor = {"u1": 1.0, "f4": 1 / 255, "u2": 257.0}[kind]
    columns = {axis: POSITIONS[:, column] for column, axis in enumerate("xyz")}
    columns |= {name: (COLORS[:, i] * factor).astype(kind) for i, name in enumerate(ply.COLOR)}
    (tmp_path / "x.ply").write_bytes(splat_variants.ply(columns))
    cloud = ply.read(tmp_path / "x.ply")
    assert cloud is not None
    assert np.array_equal(cloud.positions, POSITIONS)
    assert np.array_equal(cloud.colors, COLORS)


def test_points_of_a_file_beside_the_cameras(tmp_path: Path) -> None:
    """RealityCapture's CSV has no points; its PLY has them, in the same world."""
    solve = reading.read(scene.write("RealityCapture", tmp_path))
    columns = {axis: scene.points()[:, column] for column, axis in enumerate("xyz")}
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
