"""Solves of other programs: `python -m tests.benchmarks.exchange`. A minute.

Three tables: the models of one scene (sceaux) by several programs, each against COLMAP's; one known scene in every
format, against its truth; and how long a million points take to read, beside a copy of the file's bytes. Positions are
shares of the cameras' extent, after the similarity that fits best.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from tests import splat_variants
from tests.benchmarks import _measure, _sceaux
from tests.exchange.solves import scene, test_las
from threer_blender.exchange.solves import las, ply, reading
from threer_blender.exchange.solves.solve import Solve

MILLION = 1_000_000


def sceaux() -> None:
    """Real files of one scene, each against COLMAP's."""

    def form(cell: object) -> str:
        return f"{cell:.1e}" if isinstance(cell, float) else str(cell)

    _measure.table(_sceaux.HEAD, _sceaux.rows(), form)


def formats() -> None:
    """A known scene, written by the tests as each program does."""
    print(f"\n| format | cameras | position | angle, degrees | points |\n{'|---' * 5}|")
    for program in scene.WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            solve = reading.read(scene.write(program, Path(folder)))
        truth = np.array([camera.world_from_camera for camera in scene.truth(program)])
        distance, angle = _sceaux.differences(np.array([view.world_from_camera for view in solve.views]), truth)
        points = 0.0 if solve.points is None else float(np.abs(solve.points.positions - scene.points()).max())
        print(f"| {program} | {len(solve.views)} | {distance:.1e} | {angle:.1e} | {points:.1e} |", flush=True)


def timed(work: Callable[[], object]) -> float:
    """The best of three, in seconds of this process."""
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return float(best)


def colmap_folder(folder: Path) -> Path:
    """A COLMAP model of a million points with three observers each, and one camera."""
    kind = np.dtype([("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("e", "<f8"), ("n", "<u8"), ("t", "<u4", 6)])
    rows = np.zeros(MILLION, kind)
    rows["xyz"], rows["n"], rows["t"][:, 0] = np.random.default_rng(0).normal(size=(MILLION, 3)) + (0, 0, 9), 3, 1
    (folder / "points3D.bin").write_bytes(np.uint64(MILLION).tobytes() + rows.tobytes())
    (folder / "cameras.txt").write_text("1 PINHOLE 640 480 500 500 320 240\n")
    (folder / "images.txt").write_text("1 1 0 0 0 0 0 0 1 a.jpg\n\n")
    import pycolmap

    (folder / "text").mkdir()
    for name in ("cameras.txt", "images.txt"):
        (folder / name).rename(folder / "text" / name)
    (folder / "text" / "points3D.txt").write_text("")
    model = pycolmap.Reconstruction(str(folder / "text"))
    (folder / "new").mkdir()
    model.write_binary(str(folder / "new"))
    for name in ("cameras.bin", "images.bin"):
        (folder / "new" / name).rename(folder / name)
    return folder


def speed() -> None:
    """A million points."""
    print(f"\n| a million points | CPU-seconds | a copy of its bytes |\n{'|---' * 3}|")
    random = np.random.default_rng(0)
    positions = random.normal(size=(MILLION, 3)).astype("f4")
    colors = random.integers(0, 255, (MILLION, 3)).astype("u1")
    names = {**dict(zip("xyz", positions.T, strict=True)), **dict(zip(ply.COLOR, colors.T, strict=True))}
    data = test_las.written((1, 2), 2, count=MILLION)[:227]
    rows = np.zeros(MILLION, np.dtype([("xyz", "<i4", 3), ("rest", "u1", 8), ("rgb", "<u2", 3)]))
    rows["xyz"], rows["rgb"] = positions * 1000, colors.astype("u2") * 257
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x.ply").write_bytes(splat_variants.ply(names))
        (folder / "x.las").write_bytes(data + rows.tobytes())
        (folder / "colmap").mkdir()
        kinds: dict[str, tuple[Path, Callable[[], Solve | object]]] = {
            "PLY": (folder / "x.ply", lambda: ply.read(folder / "x.ply")),
            "LAS": (folder / "x.las", lambda: las.read(folder / "x.las")),
        }
        model = colmap_folder(folder / "colmap")
        kinds["COLMAP, binary"] = (model / "points3D.bin", lambda: reading.read(model))
        for label, (path, read) in kinds.items():
            copy = timed(partial(Path.read_bytes, path))
            print(f"| {label} | {timed(read):.2f} | {copy:.2f} |", flush=True)


def main() -> None:
    _measure.chosen(__doc__)
    if _sceaux.SCEAUX.is_dir():
        sceaux()
    else:
        print(f"The models of sceaux are not there ({_sceaux.SCEAUX}).")
    formats()
    speed()


if __name__ == "__main__":
    main()
