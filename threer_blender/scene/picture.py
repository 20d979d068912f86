"""[B] A PNG to judge a solve by: a photo, the render through its camera, and a render from a new viewpoint."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..model.arrays import Array
from . import cameras
from .build import solved_cameras
from .files import not_written

HEIGHT = 640  # pixels of the picture
GAP = 8  # pixels between its parts
SAMPLES = 16  # of Cycles; they only smooth edges, since points emit light
BACKGROUND = 0.05  # grey behind the points, linear
ORBIT, RISE = math.radians(24), math.radians(10)  # from the photo's camera to the new viewpoint, sideways and up


def write(root: bpy.types.Object, path: Path) -> None:
    """Renders the reconstruction under `root` and writes the PNG `path`.

    The reconstruction must have cameras. This changes render settings and adds a camera, so save the .blend before.
    Raises UserError where the picture cannot be written.
    """
    scene = bpy.context.scene
    solved = solved_cameras(root)
    camera = solved[len(solved) // 2]
    _prepare(scene)
    cameras.use_camera(scene, camera)
    scene.render.resolution_percentage = max(1, round(100 * HEIGHT / scene.render.resolution_y))
    photo = camera.data.background_images[0].image if camera.data.background_images else None
    rendered = _render(scene)
    scene.camera = _orbited(camera, _target(root, camera))
    parts = [rendered, _render(scene)]
    if photo is not None:
        parts.insert(0, _pixels(photo, rendered.shape[1], rendered.shape[0]))
    save(parts, path)


def _prepare(scene: bpy.types.Scene) -> None:
    """Sets the scene up to render points quickly, by Cycles over BACKGROUND."""
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = SAMPLES
    scene.cycles.use_denoising = False
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.max_bounces = 0
    scene.render.film_transparent = False
    scene.render.image_settings.file_format = "PNG"
    scene.world = bpy.data.worlds.new("3R picture")
    if scene.world.node_tree is None:  # before 5.0 a new world has no nodes
        scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (*[BACKGROUND] * 3, 1.0)


def _target(root: bpy.types.Object, camera: bpy.types.Object) -> Vector:
    """The middle of what the camera sees, in Blender's world: on its axis, at the median depth of the points near that.

    Without such points it is one unit of the reconstruction away.
    """
    camera_from_root = np.array(camera.matrix_basis.inverted())
    local = _points(root) @ camera_from_root[:3, :3].T + camera_from_root[:3, 3]
    depths = -local[:, 2]  # Blender's camera looks along -z
    central = (depths > 0) & (np.abs(local[:, :2]).max(axis=1) < 0.3 * depths)
    depth = float(np.median(depths[central])) if central.any() else 1.0
    return root.matrix_world @ camera.matrix_basis @ Vector((0.0, 0.0, -depth))


def _points(root: bpy.types.Object) -> Array:
    """(N, 3) float32 points of the cloud or the splats, in the reconstruction's world; (0, 3) without either."""
    shape = next((child for child in root.children if child.type in ("MESH", "POINTCLOUD")), None)
    if shape is None:
        return np.zeros((0, 3), np.float32)
    position = shape.data.attributes["position"].data
    flat = np.empty(3 * len(position), np.float32)
    position.foreach_get("vector", flat)
    return flat.reshape(-1, 3)


def _orbited(camera: bpy.types.Object, target: Vector) -> bpy.types.Object:
    """A copy of the camera that orbits `target` by ORBIT and RISE and still looks at it."""
    orbited = camera.copy()
    orbited.parent = None
    bpy.context.scene.collection.objects.link(orbited)
    start = camera.matrix_world
    sideways = start.to_3x3().col[0].normalized()
    swing = Matrix.Rotation(ORBIT, 4, "Z") @ Matrix.Rotation(-RISE, 4, sideways)
    orbited.matrix_world = Matrix.Translation(target) @ swing @ Matrix.Translation(-target) @ start
    return orbited


def _render(scene: bpy.types.Scene) -> Array:
    """(H, W, 3) float32 the scene as its camera sees it, in values as stored, bottom row first."""
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "view.png")
        scene.render.filepath = cameras.rendered_path(file)
        bpy.ops.render.render(write_still=True)
        image = bpy.data.images.load(file)
        rendered = _pixels(image, *image.size)
        bpy.data.images.remove(image)
    return rendered


def _pixels(image: bpy.types.Image, width: int, height: int) -> Array:
    """(height, width, 3) float32 the image scaled to this size, in values as stored, bottom row first."""
    copy = image.copy()
    copy.scale(width, height)
    pixels = np.empty(width * height * 4, np.float32)
    copy.pixels.foreach_get(pixels)
    bpy.data.images.remove(copy)
    return pixels.reshape(height, width, 4)[..., :3]


def save(parts: list[Array], path: Path) -> None:
    """Writes pictures (H, W, 3) of one height side by side as a PNG. Raises UserError where that cannot be done.

    They are float32 display values in [0, 1], the bottom row first.
    """
    gap = np.ones((parts[0].shape[0], GAP, 3), np.float32)
    row = np.concatenate([piece for part in parts for piece in (part, gap)][:-1], axis=1)
    rgba = np.concatenate([row, np.ones_like(row[..., :1])], axis=-1)
    image = bpy.data.images.new("3R picture", row.shape[1], row.shape[0])
    image.pixels.foreach_set(rgba.ravel())
    image.filepath_raw = str(path)
    image.file_format = "PNG"
    try:
        image.save()
    except RuntimeError as error:
        raise not_written(path, error) from error
    bpy.data.images.remove(image)
