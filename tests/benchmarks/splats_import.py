"""Seconds from a 3DGS PLY of one million splats, SH degree 3, to Blender, and what the modifier's nodes take. [B]

python -m tests.benchmarks.splats_import
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from tests.benchmarks._measure import chosen
from tests.splats import random_gaussians
from threer_blender import splat_files
from threer_blender.model.arrays import Array
from threer_blender.scene import points
from threer_blender.scene.splats import nodes, splats

COUNT = 1_000_000


def timed(label: str, work: Callable[[], Any]) -> Any:
    """The result of `work`; prints its time and its CPU-time."""
    start, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(f"  {label:44} {time.perf_counter() - start:6.2f} s, CPU {time.process_time() - cpu:6.2f} s", flush=True)
    return result


def main() -> None:
    chosen(__doc__)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location.z = 5
    print(f"Blender {bpy.app.version_string}, {COUNT:,} splats, SH degree 3")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "million.ply"
        splat_files.write(random_gaussians(COUNT), path)
        print(f"  {path.stat().st_size / 1e6:.0f} MB")
        cpu_start = time.process_time()
        timed("copying the file's bytes, for comparison", lambda: bytearray(path.read_bytes()))
        copying = time.process_time() - cpu_start
        start, cpu_start = time.perf_counter(), time.process_time()
        gaussians = timed("reading the file", lambda: splat_files.read(path).gaussians)
    geometry = timed(
        "filling Blender's attributes",
        lambda: splats.new_geometry("million", gaussians, not points.has_point_clouds()),
    )
    obj = timed("object, nodes and materials", lambda: splats.new_object("million", geometry))
    taken, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    print(f"  {'import, all of it':44} {taken:6.2f} s, CPU {cpu:6.2f} s, {cpu / copying:.0f} times copying")
    scene.collection.objects.link(obj)

    def evaluate() -> Array:
        obj.update_tag()
        bpy.context.view_layer.update()
        return obj.evaluated_get(bpy.context.evaluated_depsgraph_get())

    timed("nodes: points for viewports", evaluate)
    points.set_input(obj.modifiers[0], nodes.VIEWPORT_POINTS, False)
    timed("nodes: quads for the camera, sorted", evaluate)
    scene.camera.location.x = 1
    timed("nodes: the same, the camera moved", evaluate)


if __name__ == "__main__":
    main()
