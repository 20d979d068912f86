"""A panorama's camera in Blender: Cycles renders what it sees where the Reconstruction says, all around."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from tests.blender.world import looking_at
from threer_blender.cli.inspection import write_png
from threer_blender.model import lens
from threer_blender.model.arrays import Array
from threer_blender.model.reconstruction import Camera, Photo, PointCloud, Reconstruction
from threer_blender.scene import build, cameras, points

WIDTH, HEIGHT = 256, 128
FOCAL = WIDTH / (2 * np.pi)
POSE = looking_at((0.5, -1.5, -0.3), (2.0, -1.0, 3.0), roll=7)
# Places around the camera: ahead, right, left, behind, above, below.
LIGHTS = POSE[:3, 3] + np.array(
    [(0.4, 0.1, 2), (2, -0.6, 0.1), (-2, 0.3, -0.4), (0.5, 0.2, -2), (0.3, -2, 0.5), (0.4, 2, 1)]
)


def panorama(folder: Path) -> Reconstruction:
    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    write_png(folder / "round.png", picture)
    photo = Photo("round.png", str(folder / "round.png"), WIDTH, HEIGHT, "0" * 64, focal=FOCAL, panorama=True)
    camera = Camera(
        "round.png", WIDTH, HEIGHT, FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2, POSE, lens.Distortion(lens.PANORAMA)
    )
    count = len(LIGHTS)
    cloud = PointCloud(
        LIGHTS.astype(np.float32),
        np.tile(np.array([0, -1, 0], np.float32), (count, 1)),
        np.full((count, 3), 200, np.uint8),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
    )
    return Reconstruction("test", "GPL-3.0-or-later", [photo], [camera], cloud=cloud)


def rendered(path: Path) -> Array:
    """(H, W) brightness of what the scene's camera sees."""
    scene = bpy.context.scene
    scene.cycles.samples, scene.cycles.device, scene.cycles.use_denoising = 4, "CPU", False
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "PNG"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(path))
    pixels = np.array(image.pixels[:]).reshape(HEIGHT, WIDTH, 4)[::-1, :, :3]
    return pixels.max(axis=2)


@pytest.mark.parametrize("light", [1, 3, 5], ids=["right", "behind", "below"])
def test_cycles_sees_all_around_where_the_reconstruction_says(tmp_path: Path, light: int) -> None:
    reconstruction = panorama(tmp_path)
    root = build.build(reconstruction, tmp_path)
    cameras.use_camera(bpy.context.scene, build.solved_cameras(root)[0])
    for obj in list(bpy.data.objects):
        if obj.type == "LIGHT" or obj.name == "Cube":
            bpy.data.objects.remove(obj)
    bpy.context.scene.world = None
    bpy.ops.mesh.primitive_ico_sphere_add(radius=0.2, location=root.matrix_world @ _vector(LIGHTS[light]))
    material = bpy.data.materials.new("light")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    shine = nodes.new("ShaderNodeEmission")
    output = next(node for node in nodes if node.type == "OUTPUT_MATERIAL")
    material.node_tree.links.new(shine.outputs[0], output.inputs[0])
    bpy.context.object.data.materials.append(material)
    bright = rendered(tmp_path / "view.png")
    rows, columns = np.nonzero(bright > 0.2)
    weights = bright[rows, columns]
    actual = np.array([np.average(columns + 0.5, weights=weights), np.average(rows + 0.5, weights=weights)])
    expected = reconstruction.cameras[0].project(LIGHTS[light])
    assert np.abs(actual - expected).max() < 1.0


def test_the_points_behind_a_panorama_are_as_large_as_those_ahead(tmp_path: Path) -> None:
    reconstruction = panorama(tmp_path)
    distance = np.linalg.norm(LIGHTS - POSE[:3, 3], axis=1)
    ratio = points.radii(reconstruction) / distance
    assert ratio.min() > 0
    assert ratio.max() / ratio.min() == pytest.approx(1, abs=1e-4)


def _vector(point: Array) -> object:
    from mathutils import Vector

    return Vector(point.tolist())
