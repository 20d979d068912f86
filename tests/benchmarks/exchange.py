"""Solves of other programs: `python -m tests.benchmarks.exchange`. Half a minute.

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
from tests.benchmarks._measure import chosen
from tests.exchange.solves import scene, test_las
from tests.real_data import FOLDER
from threer_blender.exchange.solves import las, ply, reading
from threer_blender.exchange.solves.solve import Solve, View
from threer_blender.geometry import similarities
from threer_blender.model.arrays import FloatArray

SCEAUX = FOLDER / "sfm_models_sceaux"
REFERENCE = "colmap_example_model_bin"
# Of this scene and with the photos' names. The .baf has none, in an order of its own.
MODELS = ("colmap_example_model_txt", "VisualSFM_example.nvm", "OpenSfM_example_meshed.json")
BAF, TRAJECTORIES = "meshroom_example.baf", ("open3d_example.json", "open3d_example.log")
MILLION = 1_000_000


def differences(poses: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """The largest differences of positions (share of the extent) and of rotations (degrees) of poses (N, 4, 4)."""
    fitted = similarities.fit(poses[None, :, :3, 3], truth[None, :, :3, 3], np.ones((1, len(poses))))
    positions = fitted.apply(poses[None, :, :3, 3])[0]
    extent = np.linalg.norm(truth[:, :3, 3] - truth[:, :3, 3].mean(axis=0), axis=1).max()
    distance = np.linalg.norm(positions - truth[:, :3, 3], axis=1).max() / extent
    relative = np.swapaxes(fitted.rotation[0] @ poses[:, :3, :3], 1, 2) @ truth[:, :3, :3]
    sine = np.linalg.norm(relative - np.swapaxes(relative, 1, 2), axis=(1, 2)) / np.sqrt(8)
    return float(distance), float(np.degrees(np.arcsin(np.clip(sine, 0, 1))).max())


def focal(view: View) -> float:
    """Focal length over the picture's larger side."""
    width, height = (view.lens.width, view.lens.height) if view.lens.width else (2832, 2128)  # Sceaux's photos
    return view.lens.intrinsics(width, height)[0] / max(width, height)


def sceaux() -> None:
    """Real files of one scene, each against COLMAP's."""
    reference = {Path(view.name).name: view for view in reading.read(SCEAUX / REFERENCE).views}
    print(f"| model of sceaux | cameras | position | angle, degrees | focal length |\n{'|---' * 5}|")
    for name in MODELS:
        views = {Path(view.name).name: view for view in reading.read(SCEAUX / name).views}
        row(name, [views[each] for each in reference], list(reference.values()))
    nameless = reading.read(SCEAUX / BAF).views
    row(BAF, nameless, in_order_of(nameless, list(reference.values())))
    first, second = (reading.read(SCEAUX / name).views for name in TRAJECTORIES)
    row(" against ".join(TRAJECTORIES), first, second)


def in_order_of(views: list[View], others: list[View]) -> list[View]:
    """The view of `others` that corresponds to each of `views`, found by the distances from all other cameras."""

    def signatures(several: list[View]) -> FloatArray:
        centres = np.array([view.world_from_camera[:3, 3] for view in several])
        distances = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=2), axis=1)
        return distances / distances.mean()

    cost = np.abs(signatures(views)[:, None] - signatures(others)[None]).sum(axis=2)
    return [others[index] for index in cost.argmin(axis=1)]


def row(name: str, views: list[View], truth: list[View]) -> None:
    poses, true = (np.array([view.world_from_camera for view in each]) for each in (views, truth))
    distance, angle = differences(poses, true)
    ratio = np.median([focal(one) / focal(other) for one, other in zip(views, truth, strict=True)])
    print(f"| {name} | {len(views)} | {distance:.1e} | {angle:.1e} | {ratio - 1:+.1e} |", flush=True)


def formats() -> None:
    """A known scene, written by the tests as each program does."""
    print(f"\n| format | cameras | position | angle, degrees | points |\n{'|---' * 5}|")
    for program in scene.WRITERS:
        with tempfile.TemporaryDirectory() as folder:
            solve = reading.read(scene.write(program, Path(folder)))
        truth = np.array([camera.world_from_camera for camera in scene.truth(program)])
        distance, angle = differences(np.array([view.world_from_camera for view in solve.views]), truth)
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
    chosen(__doc__)
    if SCEAUX.is_dir():
        sceaux()
    else:
        print(f"The models of sceaux are not there ({SCEAUX}).")
    formats()
    speed()


if __name__ == "__main__":
    main()
