"""A textured mesh of the rendered sample: its faces, its distance from the true surface, and photos that it never used.

    python -m tests.benchmarks.meshes [RESULT]

RESULT is the folder of a result of the sample; without it, the sample is solved now. Two photos are left out of the
depth and of the texture. The mesh is rendered from their cameras by Cycles, unlit, at half their size, and compared
with their plates. Accuracy is the median distance of the mesh from the true surface, completeness that of the true
surface from the mesh, both as for points (`dense_sets`).
"""

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from PIL import Image

from tests.benchmarks._measure import SAMPLE, machine, metrics, table
from tests.benchmarks.dense_sets import TOLERANCE, at_truth, gaps, truth, world
from threer_blender import bundle, headless
from threer_blender.files import bundle_folder, mesh_file
from threer_blender.geometry.meshes.charts import face_normals
from threer_blender.model.arrays import Array
from threer_blender.model.proxy_mesh import Mesh
from threer_blender.model.reconstruction import Reconstruction
from threer_blender.model.textured_mesh import TexturedMesh
from threer_blender.pipelines.meshing import MeshSettings, textured_mesh
from threer_blender.scene import build, cameras, meshes

HELD_OUT = ("IMG_2043.jpg", "IMG_2050.jpg")
SAMPLES = 1_500_000  # points on the mesh that are compared with the truth
SHARE = 50  # percent of the photos' size


def on_surface(mesh: TexturedMesh) -> Array:
    """(N, 3) points spread evenly over a mesh."""
    random = np.random.default_rng(0)
    areas = np.linalg.norm(face_normals(Mesh(mesh.vertices, mesh.faces)), axis=1)
    faces = mesh.faces[random.choice(len(areas), SAMPLES, p=areas / areas.sum())]
    first, second = random.random((2, SAMPLES, 1))
    first, second = np.where(first + second > 1, 1 - first, first), np.where(first + second > 1, 1 - second, second)
    a, b, c = (mesh.vertices[faces[:, k]] for k in range(3))
    points: Array = a + first * (b - a) + second * (c - a)
    return points


def distances(result: Reconstruction, sets: list[Array]) -> list[tuple[float, float]]:
    """Accuracy and completeness in millimetres of each of several sets of points in the result's world."""
    measure, true = metrics(), truth("sample")
    both = []
    for pointmap in result.pointmaps:
        points, mask = at_truth(pointmap, true[pointmap.photo][1])
        there = world(*true[pointmap.photo])
        judged = mask & np.isfinite(there[..., 0])
        both.append((points[judged], there[judged]))
    similarity = measure.align_pointmap(*(np.concatenate(side) for side in zip(*both, strict=True)))
    surface = np.concatenate([g[np.isfinite(g[..., 0])] for g in (world(*view) for view in true.values())])
    size = float(np.median(np.concatenate([depth[depth > 0] for _, depth in true.values()])))
    side = TOLERANCE * size / 2
    whole = measure.voxel_downsample(surface, side)
    rows = []
    for points in sets:
        moved = measure.voxel_downsample(measure.apply_sim3(similarity, points), side)
        off, missed = gaps(moved, whole)
        rows.append((float(np.median(off)) * 1000, float(np.median(missed)) * 1000))
    return rows


def rendered(result: Reconstruction, folder: Path, names: tuple[str, ...], pictures: Path) -> list[tuple[float, float]]:
    """The PSNR in decibels of the mesh from the cameras of some photos, where it covers them, and the share covered.

    `folder` is the result's, with the mesh in it. The pictures are written into `pictures`.
    """
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    root = build.build(result, folder)
    obj = meshes.show(root, folder)
    for child in root.children:
        child.hide_render = child != obj
    tree = obj.data.materials[0].node_tree
    colors = next(node for node in tree.nodes if node.type == "TEX_IMAGE")
    unlit = tree.nodes.new("ShaderNodeEmission")
    tree.links.new(colors.outputs["Color"], unlit.inputs["Color"])
    tree.links.new(unlit.outputs[0], next(n for n in tree.nodes if n.type == "OUTPUT_MATERIAL").inputs["Surface"])
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False
    scene.view_settings.view_transform, scene.render.film_transparent = "Standard", True
    rows = []
    by_name = {camera.photo: camera for camera in result.cameras}
    objects = dict(zip([camera.photo for camera in result.cameras], build.photo_cameras(root), strict=True))
    for name in names:
        cameras.use_camera(scene, objects[name])
        scene.render.resolution_percentage = SHARE
        scene.render.filepath = str(pictures / f"{Path(name).stem}.png")
        bpy.ops.render.render(write_still=True)
        with Image.open(scene.render.filepath) as image:
            actual = np.asarray(image.convert("RGBA"), float)
        with Image.open(folder / by_name[name].undistorted) as image:
            plate = image.convert("RGB").resize((actual.shape[1], actual.shape[0]), Image.Resampling.BOX)
            wanted = np.asarray(plate, float)
        covered = actual[..., 3] > 254
        error = ((actual[..., :3] - wanted)[covered] ** 2).mean()
        rows.append((float(10 * np.log10(255**2 / error)), float(covered.mean())))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, nargs="?")
    parser.add_argument("--faces", type=int, default=headless.MESH_FACES)
    parser.add_argument("--pictures", type=Path, help="a folder for the rendered pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.result or Path(temporary) / "result"
        if arguments.result is None:
            headless.reconstruct([SAMPLE / "photos"], folder)
        result = bundle.read(folder)
        fewer: Any = {
            name: [each for each in getattr(result, name) if each.photo not in HELD_OUT]
            for name in ("cameras", "pointmaps")
        }
        started, cpu = time.monotonic(), time.process_time()
        settings = MeshSettings(arguments.faces, headless.MESH_TEXTURE)
        mesh = textured_mesh(replace(result, **fewer), settings, lambda _p, _s: None, lambda _s, _d, _t: None)
        taken = f"{time.monotonic() - started:.0f} s", f"{time.process_time() - cpu:.0f} s"
        copy = Path(temporary) / "copy"
        copy.mkdir()
        shutil.copytree(folder / bundle_folder.PLATES, copy / bundle_folder.PLATES)
        mesh_file.write(mesh, copy / bundle_folder.MESH, np.eye(4))
        assert result.cloud is not None
        points, surface = distances(result, [result.cloud.positions, on_surface(mesh)])
        views = rendered(result, copy, HELD_OUT, arguments.pictures or Path(temporary))
    print(f"\nA mesh of the sample without {' and '.join(HELD_OUT)}, on {machine()}\n")
    head = ["", "Accuracy", "Completeness", "Faces", "Time", "CPU time", "PSNR", "Covered"]
    decibels = ", ".join(f"{psnr:.1f} dB" for psnr, _ in views)
    share = ", ".join(f"{covered:.0%}" for _, covered in views)
    of_mesh = ["mesh", *(f"{value:.1f} mm" for value in surface), f"{len(mesh.faces):,}", *taken, decibels, share]
    table(head, [["fused points of all photos", *(f"{value:.1f} mm" for value in points), *["–"] * 5], of_mesh])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
