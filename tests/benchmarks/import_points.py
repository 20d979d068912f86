"""Seconds from arrays to Blender attributes, and from files to arrays, beside copying the same bytes. [B]

    python -m tests.benchmarks.import_points

The copy goes into plain new memory, which is what Blender's allocator gives; numpy's own copy, which may ask the
kernel for huge pages instead, is printed for comparison.
"""

from __future__ import annotations

import io
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bpy
import lazrs
import numpy as np

from tests import splat_variants
from tests.benchmarks import _measure
from tests.exchange.solves import test_las
from threer_blender.exchange.solves import las, ply
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction
from threer_blender.scene import points

COUNT = 5_000_000
ROUNDS = 5


def synthetic() -> Reconstruction:
    """Random points of ten photos."""
    rng = np.random.default_rng(0)
    photos = [Photo(f"{i}.jpg", f"/{i}.jpg", 4000, 3000, sha256=str(i)) for i in range(10)]
    cameras = [Camera(p.name, 4000, 3000, 3000.0, 3000.0, 2000.0, 1500.0, np.eye(4)) for p in photos]
    cloud = PointCloud(
        positions=rng.random((COUNT, 3), np.float32),
        normals=rng.random((COUNT, 3), np.float32),
        colors=rng.integers(0, 256, (COUNT, 3), np.uint8),
        confidence=rng.random(COUNT, np.float32),
        photo=rng.integers(0, len(photos), COUNT, np.int32),
    )
    return Reconstruction("test", "", photos, cameras, cloud=cloud)


def seconds(work: Callable[[], object]) -> float:
    """The seconds that `work` takes, without those that dropping its result takes."""
    start = time.perf_counter()
    result = work()
    taken = time.perf_counter() - start
    del result
    return taken


def written(folder: Path) -> dict[Path, Callable[[Path], Any]]:
    """Files of COUNT points with colours, each with its reader."""
    random = np.random.default_rng(0)
    positions = random.normal(size=(COUNT, 3)).astype("f4")
    colors = random.integers(0, 255, (COUNT, 3)).astype("u1")
    columns = {**dict(zip("xyz", positions.T, strict=True)), **dict(zip(ply.COLOR, colors.T, strict=True))}
    (folder / "points.ply").write_bytes(splat_variants.ply(columns))
    rows = np.zeros(COUNT, np.dtype([("xyz", "<i4", 3), ("rest", "u1", 8), ("rgb", "<u2", 3)]))
    rows["xyz"], rows["rgb"] = positions * 1000, colors.astype("u2") * 257
    header = bytearray(test_las.written((1, 2), 2, count=COUNT)[:227])
    (folder / "points.las").write_bytes(bytes(header) + rows.tobytes())
    (folder / "points.laz").write_bytes(compressed(header, rows))
    return {folder / "points.ply": ply.read, folder / "points.las": las.read, folder / "points.laz": las.read}


def compressed(header: bytearray, rows: Array) -> bytes:
    """The file of LAZ with the points of a LAS of the format 2."""
    vlr = lazrs.LazVlr.new_for_compression(2, 0)
    record = bytes(vlr.record_data())
    output = io.BytesIO()
    header[104] |= las.COMPRESSED
    struct.pack_into("<II", header, 96, len(header) + 54 + len(record), 1)
    output.write(header + struct.pack("<H16sHH32s", 0, las.LASZIP[0], las.LASZIP[1], len(record), b"") + record)
    compressor = lazrs.LasZipCompressor(output, vlr)
    compressor.compress_many(rows.view(np.uint8))
    compressor.done()
    return output.getvalue()


def files() -> Iterator[list[object]]:
    """For each format: megabytes, seconds to copy the file's bytes, to read it, and to read it per copy."""
    with tempfile.TemporaryDirectory() as name:
        works = dict(written(Path(name)))
        for path, read in works.items():
            data = np.frombuffer(path.read_bytes(), np.uint8)
            copies = [seconds(data.tobytes) for _ in range(ROUNDS)]
            reads = [seconds(partial(read, path)) for _ in range(ROUNDS)]
            copy, taken = statistics.median(copies), statistics.median(reads)
            yield [
                path.suffix[1:].upper(),
                f"{len(data) / 1e6:.0f}",
                f"{copy:.3f}",
                f"{taken:.3f}",
                f"{taken / copy:.1f}",
            ]


def main() -> None:
    _measure.chosen(__doc__)
    reconstruction = synthetic()
    cloud = reconstruction.cloud
    assert cloud is not None
    arrays = [cloud.positions, cloud.normals, cloud.colors, cloud.confidence, cloud.photo]

    def everything() -> None:
        points.new_geometry("points", cloud, points.radii(reconstruction), as_mesh=not points.has_point_clouds())

    works = {
        "copying the bytes": lambda: [array.tobytes() for array in arrays],
        "numpy's copy": lambda: [array.copy() for array in arrays],
        "radii alone": lambda: points.radii(reconstruction),
        "importing": everything,
    }
    taken: dict[str, list[float]] = {label: [] for label in works}
    for _ in range(ROUNDS):
        for label, work in works.items():
            taken[label].append(seconds(work))
            bpy.data.batch_remove([*bpy.data.meshes, *bpy.data.pointclouds])
    size = sum(array.nbytes for array in arrays)
    print(f"Blender {bpy.app.version_string}, {COUNT:,} points, {size / 1e6:.0f} MB, median (first) of {ROUNDS}")
    for label, times in taken.items():
        print(f"  {label:18} {statistics.median(times):.3f} s ({times[0]:.3f} s)")
    print(f"  ratio {statistics.median(taken['importing']) / statistics.median(taken['copying the bytes']):.1f}")
    _measure.table(["File", "MB", "Copy s", "Read s", "Ratio"], files())


if __name__ == "__main__":
    main()
