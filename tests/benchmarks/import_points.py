"""Seconds from arrays to Blender attributes, beside copying the same bytes. [B]

    python -m tests.benchmarks.import_points

The copy goes into plain new memory, which is what Blender's allocator gives; numpy's own copy, which may ask the
kernel for huge pages instead, is printed for comparison.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import bpy
import numpy as np

from tests.benchmarks._measure import chosen
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


def main() -> None:
    chosen(__doc__)
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


if __name__ == "__main__":
    main()
